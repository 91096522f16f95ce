//! Going on: with more epochs, and in another run from the network of one.

use std::path::Path;

use crate::support::{network, options, recipe, train_all, train_until};
use c2f_engine::checkpoint::{Checkpoint, best_path, is_checkpoint, last_path};
use c2f_engine::select;
use c2f_engine::transfer::transfer;
use c2f_engine::{Event, Method, Network, Recipe, load_network, read_metrics, train};
use candle_core::{Device, Tensor};

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn value(network: &Network, name: &str) -> Vec<f32> {
    values(network.params.get(name).unwrap().var.as_tensor())
}

fn with(mut recipe: Recipe, assignment: &str) -> Recipe {
    recipe.set(assignment).unwrap();
    recipe
}

#[test]
fn a_finished_run_goes_on_for_more_epochs() {
    let short = with(recipe(Method::Baseline), "epochs=1");
    let long = with(short.clone(), "epochs=3");
    let (whole, parts, longer) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&whole, &parts] {
        train_all(&short, folder.path());
    }
    let first = std::fs::read_to_string(whole.path().join("metrics.jsonl")).unwrap();
    let summary = train(&long, &options(whole.path(), true), &mut |_| {}).unwrap();
    assert_eq!((summary.epochs, summary.interrupted), (3, false));
    assert!(std::fs::read_to_string(whole.path().join("metrics.jsonl")).unwrap().starts_with(&first));
    assert_eq!(Recipe::from_file(&whole.path().join("config.toml")).unwrap().epochs, 3);

    // The learning rate is that of a run of three epochs from where this one stands.
    train_all(&long, longer.path());
    let rates = |folder: &Path| {
        let records = read_metrics(&folder.join("metrics.jsonl")).unwrap();
        records.iter().skip(1).map(|record| record.lr).collect::<Vec<_>>()
    };
    assert_eq!(rates(whole.path()), rates(longer.path()));

    // Stopped among the epochs that were added, and resumed: the same bits.
    assert!(train_until(&long, parts.path(), true, 5).unwrap().interrupted);
    train(&long, &options(parts.path(), true), &mut |_| {}).unwrap();
    let weights = |folder: &Path| Checkpoint::read(&last_path(folder)).unwrap().weights;
    let (a, b) = (weights(whole.path()), weights(parts.path()));
    assert!(a.iter().all(|(name, tensor)| values(tensor) == values(&b[name])));

    // Fewer are another recipe.
    let error = train(&short, &options(whole.path(), true), &mut |_| {}).unwrap_err();
    assert!(error.is_usage() && error.to_string().ends_with("different: epochs"), "{error}");
}

#[test]
fn what_fits_of_a_network_of_ones_own_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let attention = with(with(recipe(Method::Attention), "epochs=1"), "ema.decay=0.5");
    train_all(&attention, folder.path());
    let path = best_path(folder.path());
    assert!(is_checkpoint(&path) && !is_checkpoint(&folder.path().join("config.toml")));
    let classes = Checkpoint::read(&path).unwrap().classes;
    let trained = Checkpoint::read(&path).unwrap().weights;

    // The same network: everything, and nothing to say.
    let mut same = Network::new(&attention, classes.clone(), &Device::Cpu).unwrap();
    let all = transfer(&mut same, &path).unwrap();
    assert_eq!((all.taken, all.warning(&path)), (trained.len(), None));
    assert!(trained.iter().all(|(name, tensor)| values(tensor) == value(&same, name)));
    // From the averages, where the checkpoint has others as well.
    let last = Checkpoint::read(&last_path(folder.path())).unwrap();
    let mut averaged = Network::new(&attention, classes.clone(), &Device::Cpu).unwrap();
    transfer(&mut averaged, &last_path(folder.path())).unwrap();
    assert_eq!(value(&averaged, "classifier.weight"), values(&last.ema["classifier.weight"]));
    assert_ne!(value(&averaged, "classifier.weight"), values(&last.weights["classifier.weight"]));

    // As many classes of other names, or in another order: the classifier and the centres are new.
    let reversed: Vec<String> = classes.iter().rev().cloned().collect();
    for mut other in [network(&attention), Network::new(&attention, reversed, &Device::Cpu).unwrap()] {
        let before = value(&other, "classifier.weight");
        let transfer = transfer(&mut other, &path).unwrap();
        assert_eq!(transfer.new, ["center.weight", "classifier.bias", "classifier.weight"]);
        assert_eq!((transfer.classes, value(&other, "classifier.weight")), (Some((3, 3)), before));
        assert!(transfer.warning(&path).unwrap().contains("the classifier is a new one"));
    }

    // Another method has parts that start anew, or none for what is there.
    let mut fine = Network::new(&recipe(Method::Coarse2fine), classes.clone(), &Device::Cpu).unwrap();
    let transferred = transfer(&mut fine, &path).unwrap();
    assert!(transferred.new.iter().any(|name| name.starts_with("inverse.")) && transferred.unused.is_empty());
    assert_eq!(value(&fine, "classifier.weight"), values(&trained["classifier.weight"]));
    let mut pooled = Network::new(&recipe(Method::Baseline), classes.clone(), &Device::Cpu).unwrap();
    assert!(transfer(&mut pooled, &path).unwrap().unused.iter().any(|name| name.starts_with("attention.")));

    // Another backbone is an error that names both.
    let mut other = Network::new(&with(recipe(Method::Baseline), "backbone=resnet18"), classes, &Device::Cpu).unwrap();
    let error = transfer(&mut other, &path).unwrap_err().to_string();
    assert!(error.contains("c2f_tiny") && error.contains("resnet18"), "{error}");
}

#[test]
fn training_begins_from_a_checkpoint() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let recipe = with(recipe(Method::Baseline), "epochs=1");
    train_all(&recipe, first.path());
    let path = best_path(first.path());
    let mut next = with(recipe, "data=synthetic?classes=4&size=24");
    next.weights = Some(path.display().to_string());
    let mut warnings = Vec::new();
    let mut listen = |event: Event<'_>| {
        if let Event::Warning(message) = event {
            warnings.push(message.to_owned());
        }
    };
    train(&next, &options(second.path(), false), &mut listen).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("the 3 classes there aren't the 4 here"), "{warnings:?}");
    // The run has what it needs: its own checkpoint, and the place of the weights for whoever asks.
    assert_eq!(Checkpoint::read(&last_path(second.path())).unwrap().recipe.weights, next.weights);
    // The pictures that trained the first are pictures that trained the second.
    let network = load_network(second.path(), &Device::Cpu).unwrap();
    let trained_on = |data: &str, split| select(&network, &data.parse().unwrap(), Some(split)).unwrap().trained_on;
    assert_eq!(
        [trained_on("synthetic?classes=3&size=24", "train"), trained_on("synthetic?classes=3&size=24", "test")],
        [24, 0]
    );
    assert_eq!(
        [trained_on("synthetic?classes=4&size=24", "train"), trained_on("synthetic?classes=4&size=24&seed=9", "train")],
        [24, 0]
    );
    drop(first);
    train(&next, &options(second.path(), true), &mut |_| {}).unwrap();
}
