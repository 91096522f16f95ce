#![doc = include_str!("../README.md")]

mod backbone;
mod error;
mod features;
mod networks;
mod registry;
mod weights;

pub use backbone::{Backbone, BackboneInfo, Endpoint, PaddingStyle};
pub use error::{Error, Result};
pub use features::FeatureConfig;
pub use networks::cnn::{Layer, Stage, cnn};
pub use registry::{build, endpoint, info, names};
pub use weights::{
    Inspection, LoadReport, Mismatch, NamedShape, find_not_finite, inspect_weights, load_weights, read_weights,
};
