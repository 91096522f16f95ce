//! What is kept of a run: one JSON file, which is also what marks the run as done.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::files::{read_json, write_whole};

/// A finished run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The data set without its path: `cub2010?classes=30`.
    pub data: String,
    /// The row of the table.
    pub row: String,
    /// The run's seed.
    pub seed: u64,
    /// The row whose run this is, where that trains the same network in the same way: it wasn't run a second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// Which fold of how many was the test set, as `1/5`; none with the data set's own split.
    pub fold: Option<String>,
    /// What the run was asked for. A run that was asked for something else is another run.
    pub asked: Asked,
    /// Where and when it was made.
    pub made: Made,
    /// The resolved recipe, without the places of data and weights.
    pub config: Map<String, Value>,
    /// The lines of `metrics.jsonl`.
    pub epochs: Vec<Map<String, Value>>,
    /// What `c2f-train eval --full` says of the last epoch on the test pictures, without the list of pictures.
    pub test: Map<String, Value>,
    /// For each test picture, in their order, whether the prediction was right: `1` or `0`.
    pub correct: String,
    /// For each test picture, -ln of the probability of the truth, in thousandths; runs of older versions lack it. Ten where the
    /// probability is 0, as a number that isn't finite would have no mean.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cross_entropy: Vec<u32>,
}

/// What decides the outcome of a run besides the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The recipe's file, as it was.
    pub recipe: String,
    /// What the row changed in it.
    pub settings: Vec<String>,
    /// What `c2f-train eval` was asked for besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
}

impl Asked {
    /// Whether both ask for the same: comments in a recipe decide nothing.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let values = |recipe: &str| recipe.parse::<toml::Table>().ok();
        let same_recipe = self.recipe == other.recipe
            || values(&self.recipe).is_some_and(|ours| values(&other.recipe).is_some_and(|theirs| ours == theirs));
        same_recipe && self.settings == other.settings && self.views == other.views
    }
}

/// Where a run was made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Made {
    /// The day, in UTC.
    pub date: String,
    /// The commit of the sources, with `+` where they had been changed since.
    pub commit: String,
    /// The processor.
    pub machine: String,
    /// Its number of threads.
    pub threads: usize,
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "on {}, commit {}, {} ({} threads)", self.date, self.commit, self.machine, self.threads)
    }
}

/// What numbers were called in records of older versions, and what they are called today.
const RENAMED: [(&str, &str); 2] =
    [("val_attention_cosine", "val_attention_similarity"), ("attention_diversity", "attention_similarity")];

impl Record {
    /// Reads a record, if there is one.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let Some(mut record) = read_json::<Self>(path)? else { return Ok(None) };
        for numbers in record.epochs.iter_mut().chain([&mut record.test]) {
            for (old, new) in RENAMED {
                if let Some(value) = numbers.remove(old) {
                    numbers.insert(new.to_owned(), value);
                }
            }
        }
        Ok(Some(record))
    }

    /// The records in a folder, in the order of their files' names.
    ///
    /// # Errors
    /// If the folder or one of them can't be read.
    pub fn read_all(folder: &Path) -> Result<Vec<Self>> {
        let files = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        files.iter().filter_map(|file| Self::read(file).transpose()).collect()
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_whole(path, &serde_json::to_string(self)?)
    }

    /// A number that `eval --full` gives, by its keys: `["localisation", "attention", "box_mass"]`.
    pub fn test(&self, keys: &[&str]) -> Option<f64> {
        let (first, rest) = keys.split_first()?;
        rest.iter().try_fold(self.test.get(*first)?, |value, key| value.get(key))?.as_f64()
    }

    /// Seconds of training, without its evaluations; none in runs of older versions.
    pub fn train_seconds(&self) -> Option<f64> {
        self.epochs.iter().map(|epoch| epoch.get("seconds")?.as_f64()).sum()
    }

    /// The number of epochs before the last stage, which are of one look, and in it.
    pub fn epochs_by_stage(&self) -> (usize, usize) {
        let stage = |epoch: &Map<String, Value>| epoch.get("stage").cloned();
        let last = self.epochs.last().and_then(stage);
        let before = self.epochs.iter().filter(|epoch| stage(epoch) != last).count();
        (before, self.epochs.len() - before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_ask_for_nothing() {
        let asked = |recipe: &str| Asked { recipe: recipe.to_owned(), ..Asked::default() };
        let ours = asked("# The first look.\nepochs = 12\n[optimizer]\nlr = 0.02");
        assert!(ours.is_same_as(&asked("# The coarse look.\nepochs = 12\n\n[optimizer]\nlr = 0.02 # as ever")));
        assert!(!ours.is_same_as(&asked("epochs = 13\n[optimizer]\nlr = 0.02")));
        let settings = vec!["method=cal".to_owned()];
        assert!(!ours.is_same_as(&Asked { settings, ..ours.clone() }));
    }
}
