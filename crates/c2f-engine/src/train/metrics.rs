//! `metrics.jsonl`: a line per epoch.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use crate::network::Stage;
use crate::{Error, Result};

/// The longest file that is read, in bytes: more than the 100,000 epochs that a run can have.
const LONGEST: u64 = 64 << 20;

/// A line of `metrics.jsonl`. Accuracies are shares in 0..1; what a method or stage doesn't have is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// Which looks were trained.
    pub stage: Stage,
    /// Mean over the training pictures of all terms of the loss; null where no step was finite.
    pub train_loss: Option<f64>,
    /// Share of training pictures that the coarse look classified right, augmented, while learning.
    pub train_top1: Option<f64>,
    /// Mean over the epoch's steps of the gradient's global norm, before clipping; null where no step was made.
    #[serde(default)]
    pub grad_norm: Option<f64>,
    /// Mean over the validation pictures of -ln of the combined prediction's probability of the truth; null in the file where
    /// it isn't finite.
    #[serde(deserialize_with = "number_or_null")]
    pub val_loss: f64,
    /// Accuracy of the combined prediction.
    pub val_top1: f64,
    /// Accuracy of the coarse look.
    pub val_top1_coarse: Option<f64>,
    /// Accuracy of the fine look (in ws-dan and cal: of the crop).
    pub val_top1_fine: Option<f64>,
    /// How often the truth is among the combined prediction's five first.
    pub val_top5: f64,
    /// Mean share of the validation pictures that the fine look sees.
    pub val_area: Option<f64>,
    /// Mean cosine between the attention maps of a validation picture; runs of older versions lack it.
    #[serde(default, alias = "val_attention_cosine")]
    pub val_attention_similarity: Option<f64>,
    /// Learning rate of the head in the last step.
    pub lr: f64,
    /// Training pictures per second, without validation.
    pub images_per_s: f64,
    /// Seconds of training, without validation; runs of older versions lack it.
    #[serde(default)]
    pub seconds: Option<f64>,
}

impl EpochRecord {
    /// Whether the numbers are in their ranges, as they are unless a hand has changed them.
    fn check(&self) -> Result<(), String> {
        if self.epoch == 0 {
            return Err("epoch is 0, expected 1 or more".to_owned());
        }
        let shares = [
            ("train_top1", self.train_top1),
            ("val_top1", Some(self.val_top1)),
            ("val_top1_coarse", self.val_top1_coarse),
            ("val_top1_fine", self.val_top1_fine),
            ("val_top5", Some(self.val_top5)),
        ];
        match shares.into_iter().find_map(|(name, value)| Some((name, value.filter(|v| !(0.0..=1.0).contains(v))?))) {
            Some((name, value)) => Err(format!("{name} is {value:e}, expected 0 to 1")),
            None => Ok(()),
        }
    }
}

fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// The lines of a `metrics.jsonl`, in the order of the epochs.
///
/// # Errors
/// If the file can't be read, or a line isn't a record.
pub fn read_metrics(path: &Path) -> Result<Vec<EpochRecord>> {
    Ok(read_lines(path)?.into_iter().map(|(record, _)| record).collect())
}

/// Each record with the line that it was read from.
pub(super) fn read_lines(path: &Path) -> Result<Vec<(EpochRecord, String)>> {
    let text = c2f_files::text(path, LONGEST)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let read = |(i, line): (usize, &str)| {
        let wrong = |message| Error::Metrics { path: path.to_owned(), line: i + 1, message };
        let record: EpochRecord = serde_json::from_str(line).map_err(|e| wrong(e.to_string()))?;
        record.check().map_err(wrong)?;
        Ok((record, line.to_owned()))
    };
    lines.map(read).collect()
}

/// Replaces the file by these lines, so that a kill leaves the old or the new ones.
pub(super) fn write_lines(path: &Path, lines: &[String]) -> Result<()> {
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    Ok(c2f_files::atomic::write(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_older_versions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let line = r#"{"epoch":1,"stage":"coarse","train_loss":2.0,"train_top1":0.5,"val_loss":1.5,"val_top1":0.25,
            "val_top1_coarse":0.25,"val_top1_fine":null,"val_top5":0.75,"val_area":null,"lr":0.01,"images_per_s":9.0}"#;
        std::fs::write(&path, line.replace('\n', " ")).unwrap();
        let records = read_metrics(&path).unwrap();
        assert_eq!((records.len(), records[0].epoch, records[0].val_attention_similarity), (1, 1, None));
    }
}
