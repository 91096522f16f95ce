#![doc = include_str!("../README.md")]

mod ahead;
mod atomic;
pub mod checkpoint;
pub mod download;
pub mod ema;
mod embed;
mod embeddings;
pub mod engine;
mod error;
pub mod measures;
pub mod network;
pub mod optim;
pub mod output;
pub mod overlay;
mod read;
pub mod recipe;
pub mod report;
mod run_folder;
pub mod schedule;
pub mod transfer;

pub use ahead::ahead;
pub use checkpoint::load_network;
pub use download::Hub;
pub use embed::{Embedder, Features};
pub use embeddings::Embeddings;
pub use engine::{EpochRecord, Evaluation, Event, Row, Summary, TrainOptions, evaluate, read_metrics, train};
pub use error::{Error, Result};
pub use network::{Network, Prediction, Stage};
pub use recipe::{Method, Recipe};
pub use run_folder::RunFolder;
