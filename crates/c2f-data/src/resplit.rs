//! Other splits than the published ones: for choosing settings without the test pictures, and for cross-validation.

use std::collections::BTreeMap;

use crate::formats::split::shuffled_by_class;
use crate::spec::Fold;
use crate::{Dataset, Error, Result, Sample};

impl Dataset {
    /// Moves `percent` of each class's training pictures (rounded, at least one) to the split `val`. A published `val`
    /// gives way: with it held-out pictures would be of two kinds.
    pub(crate) fn hold_out(&mut self, percent: usize, seed: u64) -> Result<()> {
        let train = self.splits.remove("train").unwrap_or_default();
        let mut is_val = vec![false; train.len()];
        for (class, indices) in self.classes.iter().zip(shuffled_by_class(&self.classes, &train, seed)) {
            if indices.len() < 2 {
                let message = format!("holdout: class `{class}` has {} training picture(s), not 2", indices.len());
                return Err(Error::Spec { spec: self.name.clone(), message });
            }
            let count = ((indices.len() * percent) as f64 / 100.0).round() as usize;
            for &index in &indices[..count.clamp(1, indices.len() - 1)] {
                is_val[index] = true;
            }
        }
        let (mut kept, mut held_out) = (Vec::new(), Vec::new());
        for (sample, is_val) in train.into_iter().zip(is_val) {
            if is_val { held_out.push(sample) } else { kept.push(sample) }
        }
        self.splits.insert("train".to_owned(), kept);
        self.splits.insert("val".to_owned(), held_out);
        Ok(())
    }

    /// All pictures of all splits, dealt anew: the fold's part of each class is `test`, the rest is `train`.
    pub(crate) fn keep_fold(&mut self, fold: Fold, seed: u64) -> Result<()> {
        let mut splits = std::mem::take(&mut self.splits);
        let all: Vec<Sample> =
            ["train", "val", "test"].iter().filter_map(|name| splits.remove(*name)).flatten().collect();
        let mut in_test = vec![false; all.len()];
        for (label, indices) in shuffled_by_class(&self.classes, &all, seed).iter().enumerate() {
            if indices.len() < fold.of {
                let class = &self.classes[label];
                let message = format!("fold: class `{class}` has {} pictures for {} folds", indices.len(), fold.of);
                return Err(Error::Spec { spec: self.name.clone(), message });
            }
            for (turn, &index) in indices.iter().enumerate() {
                // Each class begins with another fold, so that no fold gets all the rests.
                in_test[index] = (label + turn) % fold.of == fold.number - 1;
            }
        }
        let (mut train, mut test) = (Vec::new(), Vec::new());
        for (sample, in_test) in all.into_iter().zip(in_test) {
            if in_test { test.push(sample) } else { train.push(sample) }
        }
        self.splits = BTreeMap::from([("train".to_owned(), train), ("test".to_owned(), test)]);
        Ok(())
    }
}
