#![doc = include_str!("../README.md")]

mod attention_correlation;
mod attention_similarity;
mod center;
mod cross_entropy;
mod error;
mod mutual_channel;
mod normalise;
mod region;
mod score_ranking;

pub use attention_correlation::attention_correlation;
pub use attention_similarity::attention_similarity;
pub use center::CenterLoss;
pub use cross_entropy::{balanced_class_weights, cross_entropy, soft_cross_entropy, weighted_cross_entropy};
pub use error::{Error, Result};
pub use mutual_channel::ChannelGroups;
pub use region::{area_penalty, total_variation};
pub use score_ranking::score_ranking;
