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
}

impl TrainedOn {
    /// Trained on the split `train` of `dataset`. Asks for the length of each of its files.
    pub fn new(dataset: &Dataset) -> Self {
        let train = dataset.splits.get("train").map_or(&[][..], Vec::as_slice);
        let mut pictures: Vec<u64> = train.iter().map(|sample| sample.digest(&dataset.classes[sample.label])).collect();
        pictures.sort_unstable();
        Self { dataset: Some(dataset.digest()), pictures }
    }

    /// Whether these are the classes, splits and pictures that were trained on, wherever they lie now.
    pub fn is(&self, dataset: &Dataset) -> bool {
        self.dataset == Some(dataset.digest())
    }

    /// Whether the network was trained on this picture of the class `class`, or on one of the same class, name and length.
    pub fn includes(&self, sample: &Sample, class: &str) -> bool {
        self.pictures.binary_search(&sample.digest(class)).is_ok()
    }
}
