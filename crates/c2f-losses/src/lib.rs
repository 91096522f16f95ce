#![doc = include_str!("../README.md")]

mod center;
mod cross_entropy;
mod diversity;
mod error;
mod normalise;
mod region;

pub use center::CenterLoss;
pub use cross_entropy::{cross_entropy, soft_cross_entropy};
pub use diversity::attention_diversity;
pub use error::{Error, Result};
pub use region::{area_penalty, total_variation};
