//! A seeded split for data sets that come without one.

use std::collections::BTreeMap;
use std::path::Path;

use rand::seq::SliceRandom;

use crate::digest::fnv1a;
use crate::random::generator;
use crate::{Error, Result, Sample};

/// The split that a name means, in any letter case, as people name folders, files and columns.
pub(crate) fn split_name(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "val" | "valid" | "validation" | "dev" => Some("val"),
        "test" | "testing" => Some("test"),
        _ => None,
    }
}

/// Splits the pictures of each class into a test set of a fifth (rounded, at least one) and a training set of the
/// rest. A class's split depends on the seed and on its own pictures alone, so that adding a class moves no other's
/// pictures. The order within each split is that of `samples`.
pub(crate) fn stratified(
    root: &Path,
    classes: &[String],
    samples: Vec<Sample>,
    seed: u64,
) -> Result<BTreeMap<String, Vec<Sample>>> {
    let mut in_test = vec![false; samples.len()];
    for (class, indices) in classes.iter().zip(shuffled_by_class(classes, &samples, seed)) {
        if indices.len() < 2 {
            let message = format!(
                "class `{class}` has {} picture, expected at least 2: one to train on, one to test on",
                indices.len()
            );
            return Err(Error::layout(root, message));
        }
        let test = ((indices.len() as f64 * 0.2).round() as usize).max(1);
        for &index in &indices[..test] {
            in_test[index] = true;
        }
    }
    let mut splits = BTreeMap::from([("train".to_owned(), Vec::new()), ("test".to_owned(), Vec::new())]);
    for (sample, test) in samples.into_iter().zip(in_test) {
        splits.entry(if test { "test" } else { "train" }.to_owned()).or_default().push(sample);
    }
    Ok(splits)
}

/// The indices of each class's pictures, in an order that depends on the seed, the class's name and their number alone.
pub(crate) fn shuffled_by_class(classes: &[String], samples: &[Sample], seed: u64) -> Vec<Vec<usize>> {
    let mut by_class = vec![Vec::new(); classes.len()];
    for (index, sample) in samples.iter().enumerate() {
        by_class[sample.label].push(index);
    }
    for (class, indices) in classes.iter().zip(&mut by_class) {
        indices.shuffle(&mut generator(seed, *b"split   ", [fnv1a(class), 0]));
    }
    by_class
}
