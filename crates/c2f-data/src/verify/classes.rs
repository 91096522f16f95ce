//! Classes that have little to learn from.

use super::{Finding, Problem};
use crate::Dataset;

/// With fewer training pictures, one that is odd decides what the class looks like.
const FEW: usize = 5;

/// A finding for each class with few training pictures; none where there is no training set, only one to evaluate.
pub(super) fn findings(dataset: &Dataset) -> Vec<Finding> {
    let Some(train) = dataset.splits.get("train") else { return Vec::new() };
    let mut counts = vec![0_usize; dataset.classes.len()];
    for sample in train {
        counts[sample.label] += 1;
    }
    let few = dataset.classes.iter().zip(counts).filter(|(_, count)| *count < FEW);
    few.map(|(class, count)| {
        let message = match count {
            0 => format!("class `{class}`: no picture to train on"),
            1 => format!("class `{class}`: 1 picture to train on"),
            n => format!("class `{class}`: {n} pictures to train on"),
        };
        Finding { problem: Problem::FewPictures, message, pictures: Vec::new() }
    })
    .collect()
}
