//! Accuracy of each class, and which classes are taken for which.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::PictureResult;

/// The accuracy of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassAccuracy {
    /// Its name.
    pub class: String,
    /// Pictures of it.
    pub n: usize,
    /// How many of them the combined prediction got right.
    pub correct: usize,
    /// Their share.
    pub top1: f64,
}

/// How often one class was taken for another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Confusion {
    /// The class that it was.
    pub truth: String,
    /// The class that the combined prediction said.
    pub predicted: String,
    /// How many pictures.
    pub count: usize,
    /// Their share of the pictures of `truth`.
    pub share: f64,
}

/// The classes that have pictures, in the order of `classes`.
pub(super) fn per_class(rows: &[PictureResult], classes: &[String]) -> Vec<ClassAccuracy> {
    let mut counts = vec![(0, 0); classes.len()];
    for row in rows {
        counts[row.label].0 += 1;
        counts[row.label].1 += usize::from(row.predicted == row.label);
    }
    let with_pictures = counts.into_iter().zip(classes).filter(|((n, _), _)| *n > 0);
    with_pictures
        .map(|((n, correct), class)| ClassAccuracy {
            class: class.clone(),
            n,
            correct,
            top1: correct as f64 / n as f64,
        })
        .collect()
}

/// The `most` pairs that were confused most often, by count; of equals the first by name.
pub(super) fn most_confused(rows: &[PictureResult], classes: &[String], most: usize) -> Vec<Confusion> {
    let mut pictures = vec![0; classes.len()];
    let mut counts: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for row in rows {
        pictures[row.label] += 1;
        if row.predicted != row.label {
            *counts.entry((row.label, row.predicted)).or_default() += 1;
        }
    }
    let confusion = |((truth, predicted), count): ((usize, usize), usize)| Confusion {
        truth: classes[truth].clone(),
        predicted: classes[predicted].clone(),
        count,
        share: count as f64 / pictures[truth] as f64,
    };
    let mut confusions: Vec<Confusion> = counts.into_iter().map(confusion).collect();
    confusions
        .sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.truth, &a.predicted).cmp(&(&b.truth, &b.predicted))));
    confusions.truncate(most);
    confusions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measures::tests::row;

    fn classes() -> Vec<String> {
        ["wren", "emu", "crow", "rook"].map(str::to_owned).to_vec()
    }

    fn rows() -> Vec<PictureResult> {
        // Truth, prediction: two crows for rooks, a wren and an emu for the other, the rest right.
        let pairs = [(2, 3), (2, 3), (2, 2), (2, 2), (0, 1), (0, 0), (1, 0)];
        pairs.map(|(label, predicted)| row(label, predicted, 0.5)).to_vec()
    }

    #[test]
    fn classes_without_pictures_have_no_accuracy() {
        let accuracies = per_class(&rows(), &classes());
        let found: Vec<_> = accuracies.iter().map(|c| (c.class.as_str(), c.n, c.correct, c.top1)).collect();
        assert_eq!(found, [("wren", 2, 1, 0.5), ("emu", 1, 0, 0.0), ("crow", 4, 2, 0.5)]);
    }

    #[test]
    fn the_most_confused_come_first_and_ties_by_name() {
        let found = most_confused(&rows(), &classes(), 20);
        let pairs: Vec<_> = found.iter().map(|c| (c.truth.as_str(), c.predicted.as_str(), c.count, c.share)).collect();
        assert_eq!(pairs, [("crow", "rook", 2, 0.5), ("emu", "wren", 1, 1.0), ("wren", "emu", 1, 0.5)]);
        assert_eq!(most_confused(&rows(), &classes(), 1).len(), 1);
        assert!(most_confused(&[row(1, 1, 0.9)], &classes(), 20).is_empty());
    }
}
