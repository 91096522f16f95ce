//! The pictures of a run.

use std::path::Path;
use std::sync::Arc;

use c2f_data::{Dataset, Sample, Spec};

use crate::checkpoint::Checkpoint;
use crate::{Error, Recipe, Result};

/// The pictures that a run trains on, and those that each epoch is measured on.
#[derive(Clone, Debug)]
pub struct Data {
    /// All of them, as they were when the run began.
    pub dataset: Arc<Dataset>,
    /// The split `train`.
    pub train: Arc<[Sample]>,
    /// The split that each epoch is measured on: `val` or, where there is none, `test`.
    pub validation_split: &'static str,
}

impl Data {
    /// Reads the data set of a recipe.
    ///
    /// # Errors
    /// If the recipe names none, it can't be read, or has no pictures to train on or to measure on.
    pub fn open(recipe: &Recipe) -> Result<Self> {
        let spec: Spec = match &recipe.data {
            Some(spec) => spec.parse()?,
            None => {
                return Err(Error::Usage("no data set: give --data KIND:PATH or set data in the recipe".to_owned()));
            }
        };
        Self::of(c2f_data::open(&spec)?)
    }

    /// The splits of a data set.
    ///
    /// # Errors
    /// If it has no pictures to train on or to measure on.
    pub fn of(dataset: Dataset) -> Result<Self> {
        let validation_split = if dataset.splits.contains_key("val") { "val" } else { "test" };
        let train: Arc<[Sample]> = dataset.split("train")?.into();
        for (split, is_empty) in
            [("train", train.is_empty()), (validation_split, dataset.split(validation_split)?.is_empty())]
        {
            if is_empty {
                let message = format!("the split {split} has no pictures");
                return Err(Error::Dataset { name: dataset.name, message });
            }
        }
        Ok(Self { dataset: Arc::new(dataset), train, validation_split })
    }

    /// The pictures that each epoch is measured on.
    pub fn validation(&self) -> &[Sample] {
        self.dataset.splits.get(self.validation_split).map_or(&[], Vec::as_slice)
    }

    /// Whether the best epoch may be chosen by what is measured after each: not on the test pictures, whose accuracy would
    /// then be too good.
    pub fn may_choose(&self) -> bool {
        self.validation_split == "val"
    }

    /// The files that each epoch is measured on; none of what is drawn or in memory, which can't be damaged.
    pub(super) fn validation_files(&self) -> Arc<[Sample]> {
        self.validation().iter().filter(|sample| sample.source.is_encoded()).cloned().collect()
    }

    /// Fails if the run of `checkpoint` had other classes or pictures, or had them in other splits.
    pub(super) fn check_same(&self, path: &Path, checkpoint: &Checkpoint, recipe: &Recipe) -> Result<()> {
        let (before, now) = (&checkpoint.trained_on, &self.dataset);
        if checkpoint.classes == now.classes && (before.dataset.is_none() || before.is(now)) {
            return Ok(());
        }
        let name = |recipe: &Recipe| recipe.data.clone().unwrap_or_default();
        let message = format!(
            "it was trained on {} pictures of {} classes of {}, but {} has {} of {} classes, or others, or in another split",
            before.pictures.len(),
            checkpoint.classes.len(),
            name(&checkpoint.recipe),
            name(recipe),
            self.train.len(),
            now.classes.len(),
        );
        Err(Error::checkpoint(path, message))
    }
}
