#![doc = include_str!("../README.md")]

mod attention;
mod bap;
mod config;
pub mod counterfactual;
mod covariance;
mod error;
mod fixed;
mod inverse;
mod model;
mod pairs;
mod progressive;
mod region;
mod sampling;
mod warp;
pub mod ws_dan;

pub use attention::AttentionMaps;
pub use bap::{bilinear_attention_pooling, normalise_parts};
pub use config::{
    CovarianceConfig, HeadConfig, InverseConfig, ModelConfig, PartsConfig, ProgressiveConfig, RegionMode, RegionSource,
};
pub use covariance::{CovariancePooling, covariance, square_root};
pub use error::{Error, Result};
pub use inverse::{InverseMapping, describe_lay_over, lay_over};
pub use model::{Images, Look, LookValues, Model, Output};
pub use pairs::{Gated, PairInteraction, nearest_pairs};
pub use progressive::{LEVELS, Levels, ProgressiveHead, jigsaw};
pub use region::{MIN_BOX, Region, RegionValues, box_areas, region_boxes};
pub use sampling::{Sampling, SamplingValues};
