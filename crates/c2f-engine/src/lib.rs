#![doc = include_str!("../README.md")]

mod ahead;
pub mod checkpoint;
mod describe;
pub mod ema;
mod embed;
mod embeddings;
mod error;
mod evaluate;
mod explain;
mod export;
mod held_out;
pub mod measures;
mod network;
pub mod optim;
pub mod recipe;
mod run_folder;
pub mod schedule;
mod taxonomy;
mod train;
pub mod transfer;
mod whiten;

pub use ahead::ahead;
pub use c2f_dist::World;
pub use checkpoint::load_network;
pub use describe::{Crop, GraphInputs};
pub use embed::{Embedder, Features};
pub use embeddings::Embeddings;
pub use error::{Error, Result};
pub use evaluate::{Evaluation, Inputs, PictureResult, Selection, TestViews, evaluate, evaluate_in, relabel, select};
pub use explain::{Explanation, Guess, Guesses, Map, Picture, denormalise, explain, guess};
pub use export::{export_backbone, export_onnx, onnx};
pub use held_out::{HeldOut, familiarity};
pub use network::{Network, Prediction, Stage, train_transform};
pub use recipe::{Looks, Method, Recipe};
pub use run_folder::RunFolder;
pub use taxonomy::{Group, Taxonomy};
pub use train::{
    Data, EpochRecord, Event, Moment, Progress, Rehearsal, StepReport, Stepper, Summary, Sums, TrainOptions, TrainedOn,
    read_metrics, rehearse, train, train_on,
};
