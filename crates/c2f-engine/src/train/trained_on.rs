//! Which pictures trained a network.

use c2f_data::{Dataset, Sample};

/// What a network was trained on, so that a resumed run notices another data set, and an evaluation the pictures that say
/// nothing of new ones. Nothing is known of a network that wasn't trained, or in an older version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrainedOn {
    /// [`Dataset::digest`]: which pictures of which classes are in which split.
    pub dataset: Option<u64>,
    /// [`Sample::digest`] of each training picture, rising.
    pub pictures: Vec<u64>,
    /// Those of the training pictures of the networks that it went on from ([`transfer`](crate::transfer::transfer)), rising.
    pub earlier: Vec<u64>,
}

impl TrainedOn {
    /// Trained on the split `train` of `dataset`. Asks for the length of each of its files.
    pub fn new(dataset: &Dataset) -> Self {
        let train = dataset.splits.get("train").map_or(&[][..], Vec::as_slice);
        let mut pictures: Vec<u64> = train.iter().map(|sample| sample.digest(&dataset.classes[sample.label])).collect();
        pictures.sort_unstable();
        Self { dataset: Some(dataset.digest()), pictures, earlier: Vec::new() }
    }

    /// Whether these are the classes, splits and pictures that were trained on, wherever they lie now.
    pub fn is(&self, dataset: &Dataset) -> bool {
        self.dataset == Some(dataset.digest())
    }

    /// Adds what a network was trained on that this one goes on from.
    pub fn extend(&mut self, before: &Self) {
        self.earlier.extend(before.pictures.iter().chain(&before.earlier));
        self.earlier.sort_unstable();
        self.earlier.dedup();
    }

    /// Whether the network was trained on this picture of the class `class`, or on one of the same class, name and length.
    pub fn includes(&self, sample: &Sample, class: &str) -> bool {
        self.pictures.binary_search(&sample.digest(class)).is_ok() || self.began_with(sample, class)
    }

    /// The same of the networks that it went on from.
    pub fn began_with(&self, sample: &Sample, class: &str) -> bool {
        !self.earlier.is_empty() && self.earlier.binary_search(&sample.digest(class)).is_ok()
    }
}
