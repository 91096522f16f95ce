//! What a data set holds, as `c2f-train data inspect --json` writes it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Dataset, Skipped};

/// What a data set holds, in the order in which the loader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The data set's name.
    pub name: String,
    /// The names of the classes, in the order of their labels.
    pub classes: Vec<String>,
    /// The splits by name.
    pub splits: BTreeMap<String, SplitInspection>,
    /// What lies in the data set and is in none of the splits.
    #[serde(skip_serializing_if = "Skipped::is_empty")]
    pub skipped: Skipped,
}

/// What a split holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SplitInspection {
    /// The number of pictures.
    pub n: usize,
    /// Each picture's label, an index into the classes.
    pub labels: Vec<usize>,
    /// Each picture's file, relative to the data set's folder.
    pub files: Vec<String>,
}

impl Dataset {
    /// What the data set holds.
    pub fn inspect(&self) -> Inspection {
        let splits = self.splits.iter().map(|(name, samples)| {
            let labels = samples.iter().map(|s| s.label).collect();
            let files = samples.iter().map(|s| s.file.to_string()).collect();
            (name.clone(), SplitInspection { n: samples.len(), labels, files })
        });
        Inspection {
            name: self.name.clone(),
            classes: self.classes.clone(),
            splits: splits.collect(),
            skipped: self.skipped.clone(),
        }
    }
}
