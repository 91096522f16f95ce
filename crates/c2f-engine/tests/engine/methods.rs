//! Every method trains, evaluates and predicts; what isn't finite is survived.

use crate::support::{network, options, recipe, train_all};
use c2f_engine::checkpoint::{Checkpoint, best_path, last_path};
use c2f_engine::{Error, Event, Looks, Method, Network, Recipe, Stage, evaluate, load_network, read_metrics, train};
use c2f_engine::{Inputs, Moment, Stepper, TestViews, relabel};
use candle_core::{Device, Tensor};

fn inputs(recipe: &Recipe, network: &Network) -> Inputs {
    let dataset = c2f_data::open(&recipe.data.as_ref().unwrap().parse().unwrap()).unwrap();
    let config = c2f_data::LoaderConfig { batch_size: 6, shuffle: true, ..c2f_data::LoaderConfig::default() };
    let loader = c2f_data::Loader::new(dataset.splits["train"].as_slice().into(), network.train_transform(), config);
    Inputs::new(loader.epoch(0, 0).next().unwrap().unwrap(), &Device::Cpu).unwrap()
}

/// At the end of the training.
fn at(batch: u64) -> Moment {
    Moment { batch, progress: 1.0, lr: 0.01 }
}

#[test]
fn every_method_makes_finite_steps_that_move_its_weights() {
    for method in Method::ALL {
        let recipe = recipe(method);
        let network = network(&recipe);
        let inputs = inputs(&recipe, &network);
        let mut stepper = Stepper::new(&network).unwrap();
        let before: Vec<Tensor> = network.params.entries().iter().map(|e| e.var.as_tensor().copy().unwrap()).collect();
        for batch in 0..2 {
            let report = stepper.accumulate(&network, &inputs, network.stage, at(batch)).unwrap();
            assert!(report.loss.is_finite() && report.loss > 0.0, "{method}: {}", report.loss);
            assert!(stepper.update(&network, 0.01).unwrap().is_some_and(|norm| norm > 0.0), "{method}");
        }
        for (entry, before) in network.params.entries().iter().zip(&before) {
            let change = (entry.var.as_tensor() - before).unwrap().abs().unwrap().sum_all().unwrap();
            assert!(change.to_scalar::<f32>().unwrap() > 0.0, "{method}: {} didn't move", entry.name);
        }
    }
}

#[test]
fn pictures_are_paired_where_there_are_two() {
    let mut recipe = recipe(Method::ApiNet);
    let network = network(&recipe);
    let all = inputs(&recipe, &network);
    let loss = |labels: &[u32], batch| {
        let images = all.images.narrow(0, 0, labels.len()).unwrap();
        let labels = Tensor::new(labels, &Device::Cpu).unwrap();
        let inputs = Inputs { images, source: None, labels, targets: None };
        let mut stepper = Stepper::new(&network).unwrap();
        let loss = stepper.accumulate(&network, &inputs, network.stage, at(batch)).unwrap().loss;
        assert!(loss.is_finite(), "{loss}");
        loss
    };
    // What is dropped is keyed by the batch; a picture alone has nothing dropped.
    for labels in [&[0, 1, 2][..], &[0, 0], &[0, 1, 0, 0]] {
        assert_eq!(loss(labels, 1), loss(labels, 1));
        assert_ne!(loss(labels, 1), loss(labels, 2));
    }
    assert_eq!(loss(&[1], 1), loss(&[1], 2));

    for setting in ["augment.cutmix=1.0", "loss.center_weight=0"] {
        recipe.set(setting).unwrap();
    }
    assert!(recipe.validate().unwrap_err().to_string().contains("api-net"));
}

#[test]
fn each_level_has_a_step_of_its_own() {
    let mut recipe = recipe(Method::Pmg);
    recipe.set("optimizer.weight_decay=0").unwrap();
    let network = network(&recipe);
    let inputs = inputs(&recipe, &network);
    let mut stepper = Stepper::new(&network).unwrap();
    let weight = |name: &str| network.params.get(name).unwrap().var.as_tensor().copy().unwrap();
    let names = ["classifier.levels.0.weight", "classifier.levels.2.weight", "classifier.weight"];
    let differ = |before: &[Tensor; 3]| {
        let distance =
            |name: &str, before: &Tensor| apart(&[(String::new(), weight(name))], &[(String::new(), before.clone())]);
        [0, 1, 2].map(|i| distance(names[i], &before[i]) > 0.0)
    };
    let before = names.map(weight);
    stepper.accumulate(&network, &inputs, network.stage, at(0)).unwrap();
    assert_eq!(differ(&before), [true, true, false], "the levels' steps");
    stepper.update(&network, 0.01).unwrap().unwrap();
    assert_eq!(differ(&before), [true, true, true], "the last one's");

    for (setting, named) in [("optimizer.grad_accum_steps=2", "grad_accum_steps"), ("image_size=36", "image_size")] {
        let mut recipe = recipe.clone();
        recipe.set(setting).unwrap();
        let error = recipe.validate().unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("pmg"), "{error}");
    }
    recipe.set("backbone=vit_small_patch16_224").unwrap();
    let error = Network::new(&recipe, vec!["a".into(), "b".into()], &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("vit_small_patch16_224") && error.contains("3 endpoints"), "{error}");
}

#[test]
fn a_class_without_a_channel_is_refused() {
    let recipe = recipe(Method::McLoss);
    let classes = |count: usize| (0..count).map(|class| class.to_string()).collect();
    let channels = network(&recipe).model.backbone().endpoint().channels;
    assert!(Network::new(&recipe, classes(channels), &Device::Cpu).is_ok());
    let error = Network::new(&recipe, classes(channels + 1), &Device::Cpu).err().unwrap().to_string();
    assert!(error.contains("mc-loss") && error.contains(&format!("{} classes", channels + 1)), "{error}");
}

#[test]
fn mixed_batches_train_every_method_and_are_keyed_by_the_batch() {
    for method in Method::ALL.into_iter().filter(|method| *method != Method::ApiNet) {
        let plain = recipe(method);
        let mut mixed = plain.clone();
        for assignment in ["augment.mixup=0.2", "augment.cutmix=1.0", "loss.center_weight=0"] {
            mixed.set(assignment).unwrap();
        }
        let inputs = inputs(&plain, &network(&plain));
        let loss = |recipe: &Recipe, batch| {
            let network = network(recipe);
            let mut stepper = Stepper::new(&network).unwrap();
            stepper.accumulate(&network, &inputs, network.stage, at(batch)).unwrap().loss
        };
        let losses = [0, 1, 2].map(|batch| loss(&mixed, batch));
        assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{method}: {losses:?}");
        assert_eq!(loss(&mixed, 1), losses[1], "{method}");
        assert!(losses[0] != losses[1] && losses[1] != losses[2], "{method}: {losses:?}");
    }
}

#[test]
fn views_at_test_time_change_probabilities_but_not_pictures() {
    let recipe = recipe(Method::Coarse2fineOrthogonal);
    let network = network(&recipe);
    let dataset = c2f_data::open(&recipe.data.as_ref().unwrap().parse().unwrap()).unwrap();
    let run = |five_crop, flip| {
        evaluate(&network, &dataset.splits["test"], TestViews { five_crop, flip }, &mut |_, _| {}).unwrap()
    };
    let (one, two, ten) = (run(false, false), run(false, true), run(true, true));
    for other in [&two, &ten] {
        assert_eq!((other.n, other.area.is_some()), (one.n, one.area.is_some()));
        assert!(other.rows.iter().zip(&one.rows).all(|(a, b)| (a.sample, a.label) == (b.sample, b.label)));
        assert!(other.rows.iter().all(|row| (0.0..=1.0).contains(&row.probability)));
        assert!(other.loss != one.loss && other.loss.is_finite());
    }
    assert_eq!(run(true, true).rows, ten.rows);
}

#[test]
fn what_is_frozen_stays_and_what_lies_behind_the_endpoint_is_not_made() {
    let mut recipe = recipe(Method::Coarse2fineOrthogonal);
    recipe.set("features.endpoint=layer2").unwrap();
    recipe.set("features.freeze=layer1").unwrap();
    recipe.set("optimizer.weight_decay=0.1").unwrap();
    let network = network(&recipe);
    assert_eq!(network.model.backbone().endpoint().stride, 4);
    let inputs = inputs(&recipe, &network);
    let mut stepper = Stepper::new(&network).unwrap();
    let before: Vec<Tensor> = network.params.entries().iter().map(|e| e.var.as_tensor().copy().unwrap()).collect();
    stepper.accumulate(&network, &inputs, Stage::Fine, at(0)).unwrap();
    stepper.update(&network, 0.01).unwrap();
    for (entry, before) in network.params.entries().iter().zip(&before) {
        let change = (entry.var.as_tensor() - before).unwrap().abs().unwrap().sum_all().unwrap();
        let frozen =
            ["conv1.", "bn1.", "layer1."].iter().any(|part| entry.name.starts_with(&format!("backbone.{part}")));
        assert_eq!(change.to_scalar::<f32>().unwrap() == 0.0, frozen, "{}", entry.name);
        assert!(!entry.name.starts_with("backbone.layer3."), "{}", entry.name);
    }
}

/// The weights after one step, at a moment of the training.
fn stepped(settings: &[&str], progress: f64) -> Vec<(String, Tensor)> {
    let mut recipe = recipe(Method::Coarse2fineOrthogonal);
    for setting in settings {
        recipe.set(setting).unwrap();
    }
    recipe.validate().unwrap();
    let network = network(&recipe);
    let inputs = inputs(&recipe, &network);
    let mut stepper = Stepper::new(&network).unwrap();
    let report = stepper.accumulate(&network, &inputs, Stage::Fine, Moment { progress, ..at(0) }).unwrap();
    assert!(report.loss.is_finite());
    assert!(stepper.update(&network, 0.01).unwrap().is_some());
    network.params.entries().into_iter().map(|entry| (entry.name, entry.var.as_tensor().copy().unwrap())).collect()
}

/// The largest difference of two networks' weights.
fn apart(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> f32 {
    let pairs = a.iter().zip(b).map(|((name, a), (other, b))| {
        assert_eq!(name, other);
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap()
    });
    pairs.fold(0.0, f32::max)
}

#[test]
fn a_budget_of_nothing_is_a_path_that_is_cut() {
    let clip = "optimizer.clip_norm=0";
    let cut = stepped(&[clip, "inverse.detach_attended=true"], 1.0);
    let before = stepped(&[clip, "inverse.gradient_budget=0.3"], 0.2);
    assert!(apart(&cut, &before) < 1e-5, "{}", apart(&cut, &before));
    let after = stepped(&[clip, "inverse.gradient_budget=0.3"], 1.0);
    let twice = stepped(&[clip, "inverse.gradient_budget=0.6"], 1.0);
    let (one, two) = (apart(&cut, &after), apart(&cut, &twice));
    assert!(one > 1e-4 && (two / one - 2.0).abs() < 0.05, "{one} {two}");
}

#[test]
fn a_probe_moves_the_region_where_nothing_else_does() {
    let alone = ["inverse.gradient_scale=0", "inverse.area_weight=0", "optimizer.weight_decay=0"];
    let mapping = |more: &[&str]| {
        let mut weights = stepped(&[&alone[..], more].concat(), 1.0);
        weights.retain(|(name, _)| name.starts_with("inverse.logit."));
        weights
    };
    let (still, probed) = (mapping(&[]), mapping(&["inverse.probe=on"]));
    let shuffled = mapping(&["inverse.probe=shuffled"]);
    assert!(apart(&still, &probed) > 0.0 && apart(&probed, &shuffled) > 0.0);
    // Nothing else: neither the statistics nor the loss that the other weights follow.
    let all = |more: &[&str]| {
        let mut weights =
            stepped(&[&alone[..], &["inverse.detach_attended=true", "optimizer.clip_norm=0"], more].concat(), 1.0);
        weights.retain(|(name, _)| !name.starts_with("inverse."));
        weights
    };
    assert!(apart(&all(&[]), &all(&["inverse.probe=on"])) < 1e-6);
}

#[test]
fn each_look_can_have_a_step_of_its_own() {
    let mut recipe = recipe(Method::Coarse2fineOrthogonal);
    recipe.set("inverse.steps=alternate").unwrap();
    let network = network(&recipe);
    let inputs = inputs(&recipe, &network);
    let mut stepper = Stepper::new(&network).unwrap();
    let classifier = || network.params.get("classifier.weight").unwrap().var.as_tensor().copy().unwrap();
    let decoder = || network.params.get("inverse.logit.weight").unwrap().var.as_tensor().copy().unwrap();
    let differ =
        |a: &Tensor, b: &Tensor| (a - b).unwrap().abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap() > 0.0;
    let (first, mapping) = (classifier(), decoder());
    stepper.accumulate(&network, &inputs, Stage::Fine, at(0)).unwrap();
    let second = classifier();
    assert!(differ(&first, &second) && !differ(&mapping, &decoder()), "the coarse look's step");
    assert!(stepper.update(&network, 0.01).unwrap().is_some());
    assert!(differ(&second, &classifier()) && differ(&mapping, &decoder()), "the fine look's step");

    recipe.set("optimizer.grad_accum_steps=2").unwrap();
    assert!(recipe.validate().unwrap_err().to_string().contains("optimizer.grad_accum_steps"));
}

#[test]
fn whitened_maps_respond_each_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let similarity = |whitened: bool| {
        let mut recipe = recipe(Method::AttentionOrthogonal);
        recipe.set(&format!("attention.whitened={whitened}")).unwrap();
        recipe.set("epochs=1").unwrap();
        recipe.set("optimizer.lr=1e-6").unwrap();
        let summary = train_all(&recipe, &folder.path().join(whitened.to_string()));
        summary.last.unwrap().val_attention_similarity.unwrap()
    };
    let (plain, whitened) = (similarity(false), similarity(true));
    assert!(whitened < 0.6 * plain, "{whitened} with, {plain} without");
}

#[test]
fn every_region_and_mode_trains() {
    let regions = ["region=attention", "region=centre", "region=random", "probe=on"];
    for setting in regions.into_iter().chain(["mode=detail", "mode=mask", "mode=mask-zoom", "mode=warp"]) {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = recipe(Method::Coarse2fineOrthogonal);
        recipe.set(&format!("inverse.{setting}")).unwrap();
        let last = train_all(&recipe, &folder.path().join("run")).last.unwrap();
        assert!(last.val_loss.is_finite() && last.val_top1_fine.is_some(), "{setting}: {last:?}");
        let network = load_network(&folder.path().join("run"), &Device::Cpu).unwrap();
        assert_eq!(network.recipe.inverse, recipe.inverse);
    }
}

#[test]
fn a_run_ends_early_where_no_epoch_is_better_and_keeps_the_last_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(Method::Attention);
    for setting in
        ["data=synthetic?classes=3&size=48&holdout=25", "epochs=40", "checkpoint.keep=2", "schedule.early_stopping=3"]
    {
        recipe.set(setting).unwrap();
    }
    let summary = train_all(&recipe, &folder.path().join("run"));
    let best = summary.best_epoch.unwrap();
    assert!(summary.epochs < 40 && !summary.interrupted, "{}", summary.epochs);
    assert_eq!(summary.epochs, best + 3);
    let kept = |epoch: usize| folder.path().join(format!("run/checkpoints/epoch-{epoch}.safetensors"));
    let there: Vec<usize> = (1..=40).filter(|&epoch| kept(epoch).exists()).collect();
    assert_eq!(there, [summary.epochs - 1, summary.epochs]);
    assert_eq!(load_network(&kept(summary.epochs), &Device::Cpu).unwrap().recipe, recipe);
    // It has ended: there is nothing to resume.
    let again = train(&recipe, &options(&folder.path().join("run"), true), &mut |_| {}).unwrap();
    assert_eq!(again.epochs, summary.epochs);

    recipe.set("data=synthetic?classes=3&size=48").unwrap();
    let error = train(&recipe, &options(&folder.path().join("other"), false), &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("schedule.early_stopping") && error.contains("holdout="), "{error}");
}

#[test]
fn an_exported_backbone_is_a_pretrained_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backbone.safetensors");
    let mut recipe = recipe(Method::Coarse2fineOrthogonal);
    let trained = network(&recipe);
    let count = c2f_engine::export_backbone(&trained, &file).unwrap();
    recipe.set("seed=9").unwrap();
    let other = network(&recipe);
    let own = |network: &Network| {
        let entries = network.params.at("backbone").entries().into_iter();
        let entries = entries.filter(|entry| !entry.name.contains("fine_running"));
        entries.map(|entry| (entry.name, entry.var.as_tensor().copy().unwrap())).collect::<Vec<_>>()
    };
    assert!(count == own(&trained).len() && apart(&own(&trained), &own(&other)) > 0.01);
    other.load_pretrained(&file).unwrap();
    assert_eq!(apart(&own(&trained), &own(&other)), 0.0);
    // Ours is replaced, anybody else's file isn't.
    c2f_engine::export_backbone(&trained, &file).unwrap();
    std::fs::write(&file, "precious").unwrap();
    assert!(c2f_engine::export_backbone(&trained, &file).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[test]
fn a_batch_is_learnt_by_heart() {
    for method in [Method::Baseline, Method::Coarse2fineOrthogonal] {
        let recipe = recipe(method);
        let network = network(&recipe);
        let inputs = inputs(&recipe, &network);
        let mut stepper = Stepper::new(&network).unwrap();
        let mut losses = Vec::new();
        for batch in 0..30 {
            losses.push(stepper.accumulate(&network, &inputs, network.stage, at(batch)).unwrap().loss);
            stepper.update(&network, 0.02).unwrap();
        }
        assert!(losses[29] < 0.7 * losses[0], "{method}: {losses:?}");
    }
}

#[test]
fn two_half_batches_accumulate_to_the_gradient_of_one() {
    // Without BatchNorm's statistics of the batch the two would be equal; here the same batch twice is the test.
    let mut once = recipe(Method::Attention);
    once.set("ema.decay=0.5").unwrap();
    // Centres follow every batch.
    once.set("loss.center_weight=0").unwrap();
    once.set("optimizer.grad_accum_steps=2").unwrap();
    let mut networks = Vec::new();
    for repeats in [1, 2] {
        let network = network(&once);
        let inputs = inputs(&once, &network);
        let mut stepper = Stepper::new(&network).unwrap();
        for _ in 0..repeats {
            stepper.accumulate(&network, &inputs, Stage::Coarse, at(0)).unwrap();
        }
        assert!(stepper.update(&network, 0.1).unwrap().is_some_and(|norm| norm > 0.0));
        networks.push(network);
    }
    let weight = |network: &Network| {
        let entry = network.params.get("classifier.weight").unwrap();
        entry.var.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    for (a, b) in weight(&networks[0]).iter().zip(weight(&networks[1])) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

#[test]
fn a_step_that_is_not_finite_changes_nothing() {
    let recipe = recipe(Method::WsDan);
    let network = network(&recipe);
    let mut broken = inputs(&recipe, &network);
    broken.images = broken.images.affine(f64::NAN, 0.0).unwrap();
    let values = || -> Vec<Vec<f32>> {
        let entries = network.params.entries();
        entries.iter().map(|e| e.var.flatten_all().unwrap().to_vec1().unwrap()).collect()
    };
    let before = values();
    let mut stepper = Stepper::new(&network).unwrap();
    let report = stepper.accumulate(&network, &broken, Stage::Coarse, at(0)).unwrap();
    assert!(!report.loss.is_finite());
    assert!(stepper.update(&network, 0.1).unwrap().is_none());
    assert_eq!(values(), before);
}

#[test]
fn ten_steps_that_are_not_finite_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(Method::Attention);
    for assignment in ["epochs=9", "optimizer.lr=100", "schedule.warmup=0", "optimizer.clip_norm=0"] {
        recipe.set(assignment).unwrap();
    }
    // A factor that overflows the logits from the first step on.
    recipe.attention.scale = 1e4;
    recipe.optimizer.weight_decay = 1.0;
    recipe.optimizer.momentum = 0.99;
    let mut skipped = 0;
    let outcome = train(&recipe, &options(folder.path(), false), &mut |event| {
        if let Event::Warning(text) = event {
            assert!(text.contains("not finite"), "{text}");
            skipped += 1;
        }
    });
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::NotFinite { steps: 10, .. }), "{error}");
    assert!(skipped >= 10);
    assert!(Checkpoint::read(&last_path(folder.path())).is_ok());
}

#[test]
fn a_run_leaves_what_evaluation_needs() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(Method::Coarse2fineOrthogonal);
    let mut events = Vec::new();
    let summary = train(&recipe, &options(folder.path(), false), &mut |event| {
        if let Event::Epoch { record, best } = event {
            events.push((record.clone(), best));
        }
    })
    .unwrap();
    assert_eq!((summary.epochs, summary.interrupted), (2, false));

    let records = read_metrics(&folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(records, events.iter().map(|(record, _)| record.clone()).collect::<Vec<_>>());
    assert_eq!(records.iter().map(|r| (r.epoch, r.stage)).collect::<Vec<_>>(), [(1, Stage::Coarse), (2, Stage::Fine)]);
    assert!(records[0].val_top1_fine.is_none() && records[1].val_top1_fine.is_some());
    assert_eq!(summary.best_epoch, Some(2), "the best epoch is one of the last stage");
    assert_eq!(Recipe::from_file(&folder.path().join("config.toml")).unwrap(), recipe);

    // Both by the folder and by the file: the same number as training reported.
    let dataset = c2f_data::open(&recipe.data.as_ref().unwrap().parse().unwrap()).unwrap();
    for path in [folder.path().to_owned(), best_path(folder.path())] {
        let network = load_network(&path, &Device::Cpu).unwrap();
        let samples = relabel(&dataset.splits["test"], &dataset.classes, &network.classes).unwrap();
        let evaluation = evaluate(&network, &samples, TestViews::default(), &mut |_, _| {}).unwrap();
        assert_eq!(evaluation.top1, records[1].val_top1);
        assert_eq!(evaluation.loss, records[1].val_loss);
        assert_eq!(evaluation.top1_fine, records[1].val_top1_fine);
        assert_eq!((evaluation.n, evaluation.rows.len()), (samples.len(), samples.len()));
    }
}

#[test]
fn predictions_have_the_parts_of_their_method() {
    for method in Method::ALL {
        let recipe = recipe(method);
        let network = network(&recipe);
        let images = inputs(&recipe, &network).images;
        let prediction = network.predict(&images, None).unwrap();
        let sums = prediction.combined.sum(1).unwrap().to_vec1::<f32>().unwrap();
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5), "{method}: {sums:?}");
        assert_eq!(prediction.attention.is_some(), method.has_attention(), "{method}");
        assert_eq!(prediction.region.is_some(), method.has_inverse(), "{method}");
        assert_eq!(prediction.fine.is_some(), method.looks() != Looks::One, "{method}");
        assert_eq!(prediction.boxes.is_some(), prediction.fine.is_some(), "{method}");
        assert!(!prediction.combined.track_op(), "{method}: evaluation keeps no graph");
    }
}

#[test]
fn averages_are_what_is_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(Method::Attention);
    recipe.set("ema.decay=0.9").unwrap();
    recipe.set("epochs=1").unwrap();
    train_all(&recipe, folder.path());
    let best = Checkpoint::read(&best_path(folder.path())).unwrap();
    let last = Checkpoint::read(&last_path(folder.path())).unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    for (name, averaged) in &best.weights {
        assert_eq!(values(averaged), values(&last.ema[name]), "{name}");
    }
    assert_ne!(values(&last.weights["classifier.weight"]), values(&last.ema["classifier.weight"]));
    assert!(best.optimizer.is_empty() && !last.optimizer.is_empty());
}
