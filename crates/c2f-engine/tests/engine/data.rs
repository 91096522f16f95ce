//! Which pictures a run trains on, is measured on, and may choose by.

use std::path::Path;

use c2f_engine::checkpoint::{Checkpoint, best_path, last_path};
use c2f_engine::{Event, Method, load_network, train};
use c2f_engine::{Selection, select};
use candle_core::Device;

use crate::support::{draw, folder_recipe, options, recipe, train_all, train_until};

#[test]
fn another_draw_of_the_split_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, run) = (folder.path().join("pictures"), folder.path().join("run"));
    draw(&pictures, 0, 5);
    train_until(&folder_recipe(&pictures, "?seed=1"), &run, false, 1).unwrap();
    let resume = |pictures: &Path, seed| {
        train(&folder_recipe(pictures, &format!("?seed={seed}")), &options(&run, true), &mut |_| {})
    };
    let error = resume(&pictures, 2).err().unwrap().to_string();
    assert!(error.contains("pictures?seed=1") && error.contains("pictures?seed=2"), "{error}");
    // Where they lie doesn't matter, which there are does.
    let moved = folder.path().join("moved");
    std::fs::rename(&pictures, &moved).unwrap();
    draw(&moved, 5, 1);
    let error = resume(&moved, 1).err().unwrap().to_string();
    assert!(error.contains("last.safetensors") && error.contains("12 pictures"), "{error}");
    for class in std::fs::read_dir(&moved).unwrap() {
        std::fs::remove_file(class.unwrap().path().join("5.png")).unwrap();
    }
    assert_eq!(resume(&moved, 1).unwrap().epochs, 1);
}

#[test]
fn evaluation_measures_what_was_held_out_or_everything() {
    let folder = tempfile::tempdir().unwrap();
    let [pictures, other, run] = ["pictures", "other", "run"].map(|name| folder.path().join(name));
    draw(&pictures, 0, 5);
    draw(&other, 5, 1);
    train_all(&folder_recipe(&pictures, "?seed=3"), &run);
    let network = load_network(&run, &Device::Cpu).unwrap();
    let measured = |path: &Path, options: &str, split| {
        let spec = format!("folder:{}{options}", path.display()).parse().unwrap();
        let Selection { samples, split, trained_on, .. } = select(&network, &spec, split).unwrap();
        (samples.len(), split, trained_on)
    };
    // The data set of the run: the fifth that it held out, with its seed or without.
    assert_eq!(measured(&pictures, "?seed=3", None), (3, "test".to_owned(), 0));
    assert_eq!(measured(&pictures, "", None), (3, "test".to_owned(), 0));
    assert_eq!(measured(&pictures, "", Some("train")), (12, "train".to_owned(), 12));
    assert_eq!(measured(&pictures, "", Some("all")), (15, "all".to_owned(), 12));
    // Drawn otherwise it isn't held out any more: everything is measured, and what trained is counted.
    assert_eq!(measured(&pictures, "?seed=4", None), (15, "all".to_owned(), 12));
    // New pictures, a single one of each class.
    assert_eq!(measured(&other, "", None), (3, "all".to_owned(), 0));
    // Some of both, elsewhere.
    let (seen, mixed) = (&network.trained_on, folder.path().join("mixed"));
    draw(&mixed, 4, 2);
    let dataset = c2f_data::open_whole(&format!("folder:{}", mixed.display()).parse().unwrap()).unwrap();
    let known = dataset.all().iter().filter(|s| seen.includes(s, &dataset.classes[s.label])).count();
    assert!((1..=3).contains(&known), "{known}");
    assert_eq!(measured(&mixed, "", None), (6, "all".to_owned(), known));
    // With splits of its own it's `test`, unless another is asked for.
    let split = folder.path().join("split");
    draw(&split.join("train"), 0, 2);
    draw(&split.join("test"), 6, 2);
    assert_eq!(measured(&split, "", None), (6, "test".to_owned(), 0));
    assert_eq!(measured(&split, "", Some("all")).0, 12);
}

#[test]
fn no_epoch_is_chosen_by_the_test_pictures() {
    let [by_test, by_val] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut recipe = recipe(Method::Baseline);
    // The second epoch forgets what the first has learnt.
    for assignment in ["epochs=3", "optimizer.lr=0.5", "schedule.kind=step"] {
        recipe.set(assignment).unwrap();
    }
    let summary = train_all(&recipe, by_test.path());
    assert_eq!((summary.best_epoch, summary.data.may_choose()), (Some(3), false));
    let weights = |path| Checkpoint::read(path).unwrap().weights["classifier.bias"].to_vec1::<f32>().unwrap();
    assert_eq!(weights(&best_path(by_test.path())), weights(&last_path(by_test.path())));

    recipe.set("data=synthetic?classes=3&size=24&holdout=25").unwrap();
    let summary = train_all(&recipe, by_val.path());
    let records = c2f_engine::read_metrics(&by_val.path().join("metrics.jsonl")).unwrap();
    let rank = |epoch: usize| (records[epoch - 1].val_top1, -records[epoch - 1].val_loss);
    let best = summary.best_epoch.unwrap();
    assert!(summary.data.may_choose() && (1..=3).all(|epoch| rank(epoch) <= rank(best)), "{records:?}");
}

#[test]
fn damaged_pictures_to_validate_on_are_found_before_the_first_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    draw(&pictures.join("train"), 0, 2);
    draw(&pictures.join("val"), 2, 2);
    let damaged = std::fs::read_dir(pictures.join("val")).unwrap().next().unwrap().unwrap().path().join("2.png");
    let bytes = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &bytes[..bytes.len() / 2]).unwrap();
    let mut recipe = folder_recipe(&pictures, "");
    let run = |recipe: &_, name| {
        let (mut batches, mut warnings) = (0, Vec::new());
        let outcome = train(recipe, &options(&folder.path().join(name), false), &mut |event| match event {
            Event::Batch { .. } => batches += 1,
            Event::Warning(message) if batches == 0 => warnings.push(message.to_owned()),
            _ => {}
        });
        (outcome, batches, warnings)
    };
    let (outcome, batches, _) = run(&recipe, "refused");
    let error = outcome.err().unwrap().to_string();
    assert!(batches == 0 && error.contains("2.png"), "{error}");
    recipe.set("loader.max_unreadable=0.5").unwrap();
    let (outcome, batches, warnings) = run(&recipe, "warned");
    assert!(batches > 0 && outcome.is_ok());
    assert!(warnings.len() == 1 && warnings[0].contains("2.png"), "{warnings:?}");
}

#[test]
fn batches_without_a_readable_picture_are_no_failed_steps() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = folder.path().join("pictures");
    draw(&pictures.join("train"), 0, 1);
    draw(&pictures.join("test"), 1, 1);
    // Between three readable pictures, somewhere eleven damaged ones are in a row.
    let class = std::fs::read_dir(pictures.join("train")).unwrap().next().unwrap().unwrap().path();
    for number in 0..44 {
        std::fs::write(class.join(format!("damaged-{number}.png")), b"no picture").unwrap();
    }
    let mut recipe = folder_recipe(&pictures, "");
    for assignment in ["batch_size=1", "loader.max_unreadable=1.0"] {
        recipe.set(assignment).unwrap();
    }
    let mut finite = true;
    let summary = train(&recipe, &options(&folder.path().join("run"), false), &mut |event| {
        if let Event::Warning(message) = event {
            finite &= !message.contains("finite");
        }
    });
    assert!(finite && summary.unwrap().epochs == 1);
}
