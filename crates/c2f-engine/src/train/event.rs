//! What a run tells whoever watches it.

use std::path::Path;

use super::EpochRecord;
use crate::network::Stage;
use crate::{HeldOut, Prediction};

/// A moment in a run. The library prints nothing: a command line makes progress bars of these.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The data are open, the model is built, training is about to begin.
    Start {
        /// Trained values in the model.
        parameters: usize,
        /// Training pictures.
        train: usize,
        /// Validation pictures.
        validation: usize,
        /// Name of the validation split.
        validation_split: &'a str,
        /// Number of classes.
        classes: usize,
        /// Epochs of the whole run.
        epochs: usize,
        /// Batches per epoch.
        batches: usize,
        /// Where a resumed run goes on: epoch, counted from 1, and batches of it that are done.
        resumed: Option<(usize, usize)>,
    },
    /// Pictures to validate on were read, before the first epoch.
    Check {
        /// Pictures done.
        done: usize,
        /// Pictures in all.
        of: usize,
    },
    /// A batch was trained on.
    Batch {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Which looks are trained.
        stage: Stage,
        /// Batches of the epoch done.
        done: usize,
        /// Batches per epoch.
        of: usize,
        /// Mean loss of the epoch so far.
        loss: f64,
        /// What the loss of this batch is the sum of, each term with its weight; empty where none of its pictures could be read.
        terms: &'a [(String, f64)],
        /// The gradient's norm before clipping, of the step that the batch is part of; none where no step was made.
        grad_norm: Option<f64>,
        /// Learning rate of the head.
        lr: f64,
        /// Pictures per second, of the epoch so far.
        images_per_s: f64,
    },
    /// The network looked at a batch to validate on, at one of this process's: what it says about the pictures.
    Prediction(&'a Prediction),
    /// A batch was validated on.
    Validation {
        /// Epoch, counted from 1.
        epoch: usize,
        /// Pictures done.
        done: usize,
        /// Pictures in all.
        of: usize,
    },
    /// An epoch is done and its line is in `metrics.jsonl`.
    Epoch {
        /// The line.
        record: &'a EpochRecord,
        /// Whether it is the one that evaluation takes: the best of its stage so far, or the last where none may be chosen.
        best: bool,
    },
    /// The training is done, and the best network was measured on the split `val`.
    HeldOut(&'a HeldOut),
    /// A checkpoint was written.
    Saved(&'a Path),
    /// Something that a person should know, in one line; the run goes on.
    Warning(&'a str),
}
