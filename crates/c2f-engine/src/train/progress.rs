//! How far a run is.

use serde::{Deserialize, Serialize};

use super::EpochRecord;
use crate::network::Stage;

/// How far a run is: with the weights and the optimiser's state, all that a resumed run needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Epochs done.
    pub epoch: usize,
    /// Batches done of the epoch that is running.
    pub batch: usize,
    /// Steps in a row, up to now, whose loss or gradient wasn't finite.
    pub not_finite: usize,
    /// Sums over the batches done of the epoch that is running.
    pub sums: Sums,
    /// The line of the last epoch.
    pub last: Option<EpochRecord>,
    /// The line of the epoch that evaluation takes: the best of the current stage or, without pictures to choose on, the last.
    pub best: Option<EpochRecord>,
}

/// Sums over the batches of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// Pictures in batches whose loss was finite.
    pub images: usize,
    /// Sum of loss times pictures over those.
    pub loss: f64,
    /// Pictures that the coarse look got right.
    pub correct: usize,
    /// Pictures in all batches.
    pub seen: usize,
    /// Steps of the optimiser.
    #[serde(default)]
    pub steps: usize,
    /// Sum of the gradient's norm over those, before clipping.
    #[serde(default)]
    pub grad_norm: f64,
    /// Time spent training.
    pub seconds: f64,
    /// Learning rate of the last step.
    pub lr: f64,
}

/// What one batch gave, for every rank.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct BatchReport {
    /// None where it wasn't finite, or there is no picture.
    pub loss: Option<f64>,
    /// What it is the sum of.
    pub terms: Vec<(String, f64)>,
    pub correct: usize,
    pub images: usize,
    pub unreadable: Vec<String>,
}

impl Sums {
    pub(super) fn add(&mut self, report: &BatchReport) {
        self.seen += report.images;
        if let Some(loss) = report.loss {
            self.images += report.images;
            self.loss += loss * report.images as f64;
            self.correct += report.correct;
        }
    }

    /// Mean loss, where there was a finite one.
    pub fn mean_loss(&self) -> Option<f64> {
        (self.images > 0).then(|| self.loss / self.images as f64)
    }

    /// Share that the coarse look got right.
    pub fn top1(&self) -> Option<f64> {
        (self.images > 0).then(|| self.correct as f64 / self.images as f64)
    }

    /// Mean norm of the gradient before clipping, where a step was made.
    pub fn mean_grad_norm(&self) -> Option<f64> {
        (self.steps > 0).then(|| self.grad_norm / self.steps as f64)
    }

    /// Pictures per second.
    pub fn images_per_s(&self) -> f64 {
        if self.seconds > 0.0 { self.seen as f64 / self.seconds } else { 0.0 }
    }
}

impl Progress {
    /// Takes the line of an epoch in; says whether it is the one that evaluation takes from now on. If `may_choose`, that is
    /// the best of its stage: by accuracy, then by loss. A new stage starts anew, since the network that is wanted is the one
    /// of the last stage. If not, since the epochs were measured on the test pictures, it is the last.
    pub fn finish_epoch(&mut self, record: &EpochRecord, may_choose: bool) -> bool {
        let rank = |r: &EpochRecord| (r.val_top1, -r.val_loss);
        let is_better = |best: &EpochRecord| best.stage != record.stage || rank(record) > rank(best);
        let better = !may_choose || self.best.as_ref().is_none_or(is_better);
        if better {
            self.best = Some(record.clone());
        }
        self.last = Some(record.clone());
        self.epoch = record.epoch;
        self.batch = 0;
        self.sums = Sums::default();
        better
    }

    /// Epochs since the best one of the current stage.
    pub fn epochs_since_best(&self) -> usize {
        match (&self.last, &self.best) {
            (Some(last), Some(best)) if last.stage == best.stage => last.epoch - best.epoch,
            _ => 0,
        }
    }

    /// The stage of the weights: that of the last batch trained on, given where stage 2 begins.
    pub fn stage(&self, coarse_epochs: Option<usize>) -> Stage {
        let epoch = if self.batch == 0 { self.epoch.saturating_sub(1) } else { self.epoch };
        stage_of(epoch, coarse_epochs)
    }
}

/// The stage of an epoch, counted from 0; `coarse_epochs` is none for methods without a fine stage.
pub fn stage_of(epoch: usize, coarse_epochs: Option<usize>) -> Stage {
    match coarse_epochs {
        Some(coarse) if epoch >= coarse => Stage::Fine,
        _ => Stage::Coarse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: usize, stage: Stage, val_top1: f64, val_loss: f64) -> EpochRecord {
        EpochRecord {
            epoch,
            stage,
            train_loss: Some(1.0),
            train_top1: Some(0.5),
            grad_norm: None,
            val_loss,
            val_top1,
            val_top1_coarse: None,
            val_top1_fine: None,
            val_top5: 1.0,
            val_area: None,
            val_attention_similarity: None,
            lr: 0.1,
            images_per_s: 1.0,
            seconds: None,
        }
    }

    #[test]
    fn best_is_by_accuracy_then_loss_within_the_stage() {
        let mut progress = Progress::default();
        assert!(progress.finish_epoch(&record(1, Stage::Coarse, 0.5, 1.0), true));
        assert!(progress.finish_epoch(&record(2, Stage::Coarse, 0.5, 0.9), true));
        assert!(!progress.finish_epoch(&record(3, Stage::Coarse, 0.4, 0.1), true));
        assert!(progress.finish_epoch(&record(4, Stage::Fine, 0.3, 2.0), true));
        assert_eq!((progress.best.unwrap().epoch, progress.epoch), (4, 4));
    }

    #[test]
    fn the_last_epoch_is_taken_where_none_may_be_chosen() {
        let mut progress = Progress::default();
        assert!(progress.finish_epoch(&record(1, Stage::Coarse, 0.5, 1.0), false));
        assert!(progress.finish_epoch(&record(2, Stage::Coarse, 0.4, 2.0), false));
        assert_eq!(progress.best.unwrap().epoch, 2);
    }

    #[test]
    fn the_stage_is_that_of_the_last_batch() {
        let at = |epoch, batch| Progress { epoch, batch, ..Progress::default() }.stage(Some(2));
        assert_eq!(at(0, 0), Stage::Coarse);
        assert_eq!(at(1, 5), Stage::Coarse);
        assert_eq!(at(2, 0), Stage::Coarse);
        assert_eq!(at(2, 1), Stage::Fine);
        assert_eq!(at(3, 0), Stage::Fine);
        assert_eq!(Progress { epoch: 9, ..Progress::default() }.stage(None), Stage::Coarse);
        assert_eq!(Progress::default().stage(Some(0)), Stage::Fine);
    }
}
