//! Stopped anywhere and resumed, a run has the weights of an uninterrupted one, bit for bit.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{options, recipe, train_all, train_until};
use c2f_engine::checkpoint::{Checkpoint, best_path, last_path};
use c2f_engine::{EpochRecord, Error, Method, Recipe, RunFolder, load_network, read_metrics, train};
use candle_core::{Device, Tensor};

fn bits(tensors: &BTreeMap<String, Tensor>) -> BTreeMap<String, Vec<u32>> {
    let bits = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap().iter().map(|v| v.to_bits()).collect();
    tensors.iter().map(|(name, tensor)| (name.clone(), bits(tensor))).collect()
}

fn assert_same_run(a: &Path, b: &Path) {
    for path in [last_path, best_path] {
        let (a, b) = (Checkpoint::read(&path(a)).unwrap(), Checkpoint::read(&path(b)).unwrap());
        assert_eq!(bits(&a.weights), bits(&b.weights));
        assert_eq!(bits(&a.optimizer), bits(&b.optimizer));
        assert_eq!(bits(&a.ema), bits(&b.ema));
    }
    // All of the metrics but the time.
    let records = |run: &Path| -> Vec<EpochRecord> {
        let records = read_metrics(&run.join("metrics.jsonl")).unwrap();
        records.into_iter().map(|r| EpochRecord { images_per_s: 0.0, seconds: None, ..r }).collect()
    };
    assert_eq!(records(a), records(b));
}

fn stop_and_resume(recipe: &Recipe, stops: &[usize]) {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train_all(recipe, whole.path());
    for (i, stop) in stops.iter().enumerate() {
        let summary = train_until(recipe, parts.path(), i > 0, *stop).unwrap();
        assert!(summary.interrupted);
    }
    let summary = train(recipe, &options(parts.path(), true), &mut |_| {}).unwrap();
    assert_eq!((summary.epochs, summary.interrupted), (recipe.epochs, false));
    assert_same_run(whole.path(), parts.path());
}

#[test]
fn coarse2fine_in_the_first_stage_at_its_end_and_in_the_second() {
    // Four batches an epoch: in epoch 1, after its last batch, in epoch 2.
    stop_and_resume(&recipe(Method::Coarse2fineOrthogonal), &[2, 2, 3]);
}

#[test]
fn ws_dan_draws_the_same() {
    let mut recipe = recipe(Method::WsDan);
    recipe.set("loss.class_weights=balanced").unwrap();
    stop_and_resume(&recipe, &[3]);
}

#[test]
fn counterfactual_attention_is_the_same() {
    stop_and_resume(&recipe(Method::Cal), &[3]);
}

#[test]
fn pairs_and_dropout_are_the_same() {
    stop_and_resume(&recipe(Method::ApiNet), &[3]);
}

#[test]
fn jigsaws_and_the_steps_of_a_batch_are_the_same() {
    let mut recipe = recipe(Method::Pmg);
    recipe.set("ema.decay=0.9").unwrap();
    stop_and_resume(&recipe, &[3]);
}

#[test]
fn channels_left_out_are_the_same() {
    stop_and_resume(&recipe(Method::McLoss), &[3]);
}

#[test]
fn augmented_mixed_and_balanced_batches_are_the_same() {
    let mut recipe = recipe(Method::Coarse2fine);
    for assignment in [
        "augment.fit=pad",
        "augment.rotation=15",
        "augment.policy=trivial-augment",
        "augment.random_erasing=0.5",
        "augment.mixup=0.2",
        "augment.cutmix=1.0",
        "loss.center_weight=0",
        "loader.sampling=balanced",
        "loader.cache_mb=1",
    ] {
        recipe.set(assignment).unwrap();
    }
    stop_and_resume(&recipe, &[1, 4]);
}

#[test]
fn pictures_from_the_disk_cache_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    // Files, as drawings aren't kept; of a minute ago, as newer ones aren't either.
    let dataset = c2f_data::open(&"synthetic?classes=3&size=24".parse().unwrap()).unwrap();
    let pictures = folder.path().join("pictures");
    for sample in &dataset.splits["train"] {
        let path = pictures.join(format!("{}/{}.png", sample.label, sample.file.replace('/', "-")));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        c2f_data::decode(sample).unwrap().save(&path).unwrap();
        let before = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    }
    let mut plain = recipe(Method::Baseline);
    plain.set(&format!("data=folder:{}", pictures.display())).unwrap();
    let mut cached = plain.clone();
    let kept = folder.path().join("kept");
    cached.set(&format!("loader.disk_cache={}", kept.display())).unwrap();
    let runs = ["plain", "cached", "again"].map(|name| folder.path().join(name));
    train_all(&plain, &runs[0]);
    train_all(&cached, &runs[1]);
    assert_ne!(std::fs::read(kept.join("bytes")).unwrap(), [0; 8], "nothing was kept");
    // Stopped with the cache, resumed without.
    assert!(train_until(&cached, &runs[2], false, 1).unwrap().interrupted);
    train(&plain, &options(&runs[2], true), &mut |_| {}).unwrap();
    assert_same_run(&runs[0], &runs[1]);
    assert_same_run(&runs[0], &runs[2]);
}

#[test]
fn adamw_averages_and_accumulation() {
    let mut recipe = recipe(Method::Attention);
    for assignment in ["optimizer.kind=adamw", "optimizer.lr=0.001", "optimizer.grad_accum_steps=2", "ema.decay=0.9"] {
        recipe.set(assignment).unwrap();
    }
    // Told to stop after the first of two accumulated batches, the run goes on to the step.
    stop_and_resume(&recipe, &[1, 4]);
}

#[test]
fn a_kill_between_two_saves_repeats_from_the_last_one() {
    let mut recipe = recipe(Method::Baseline);
    recipe.set("checkpoint.every_batches=1").unwrap();
    let (whole, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train_all(&recipe, whole.path());
    train_until(&recipe, killed.path(), false, 3).unwrap();
    // The kill came after the line of epoch 1 and before its checkpoint, and left a temporary file.
    let line = std::fs::read_to_string(whole.path().join("metrics.jsonl")).unwrap();
    std::fs::write(killed.path().join("metrics.jsonl"), line).unwrap();
    std::fs::write(killed.path().join("checkpoints/.c2f-x.tmp"), b"half").unwrap();
    train(&recipe, &options(killed.path(), true), &mut |_| {}).unwrap();
    assert_same_run(whole.path(), killed.path());
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let mut one = recipe(Method::Coarse2fine);
    for assignment in [
        "augment.policy=trivial-augment",
        "augment.mixup=0.2",
        "augment.cutmix=1.0",
        "loss.center_weight=0",
        "loader.sampling=balanced",
        "loader.threads=1",
    ] {
        one.set(assignment).unwrap();
    }
    let mut many = one.clone();
    for assignment in ["loader.threads=8", "loader.cache_mb=1"] {
        many.set(assignment).unwrap();
    }
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train_all(&one, a.path());
    train_all(&many, b.path());
    assert_same_run(a.path(), b.path());
}

#[test]
fn what_cannot_be_resumed_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(Method::Baseline);
    train_until(&recipe, folder.path(), false, 1).unwrap();
    let resume = |recipe: &Recipe| train(recipe, &options(folder.path(), true), &mut |_| {}).unwrap_err();
    let changed = |assignment: &str| {
        let mut recipe = recipe.clone();
        recipe.set(assignment).unwrap();
        recipe
    };

    let error = RunFolder::create(folder.path()).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("--resume"), "{error}");
    let error = resume(&changed("optimizer.lr=0.5"));
    assert!(error.is_usage() && error.to_string().ends_with("different: optimizer.lr"), "{error}");
    let error = resume(&changed("data=synthetic?classes=4&size=24"));
    assert!(error.to_string().contains("of 3 classes") && error.to_string().contains("of 4 classes"), "{error}");
    // The same classes and as many pictures, but others.
    let error = resume(&changed("data=synthetic?classes=3&size=24&seed=1"));
    assert!(error.to_string().contains("or others") && error.to_string().contains("seed=1"), "{error}");

    let path = last_path(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 5, 300, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = resume(&recipe);
        assert!(matches!(error, Error::Checkpoint { .. }), "{length} bytes: {error}");
    }
}

#[test]
fn checkpoints_of_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let missing = load_network(&folder.path().join("no.safetensors"), &Device::Cpu).err().unwrap();
    assert!(missing.to_string().contains("no.safetensors"), "{missing}");
    let empty = load_network(folder.path(), &Device::Cpu).err().unwrap();
    assert!(empty.to_string().contains("best.safetensors"), "{empty}");

    let foreign = folder.path().join("foreign.safetensors");
    Tensor::new(&[1f32], &Device::Cpu).unwrap().save_safetensors("w", &foreign).unwrap();
    let error = load_network(&foreign, &Device::Cpu).err().unwrap();
    assert!(error.to_string().contains("no checkpoint of c2f-train"), "{error}");
}

#[test]
fn a_checkpoint_of_another_class_count_names_the_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    let recipe = recipe(Method::Baseline);
    let names = |n: usize| (0..n).map(|i| format!("class {i}")).collect::<Vec<_>>();
    let mut network = c2f_engine::Network::new(&recipe, names(3), &Device::Cpu).unwrap();
    network.classes = names(5);
    let none = BTreeMap::new();
    Checkpoint::write(&path, &network, &c2f_engine::Progress::default(), &none, &none).unwrap();
    let error = load_network(&path, &Device::Cpu).err().unwrap();
    assert!(error.to_string().contains("classifier."), "{error}");
}
