#![doc = include_str!("../README.md")]

mod backbone;
mod conv_norm_act;
mod efficientnet_lite;
mod error;
mod registry;
mod resnet;
mod tiny;
mod weights;

pub use backbone::{Backbone, BackboneInfo};
pub use error::{Error, Result};
pub use registry::{build, info, names};
pub use weights::{LoadReport, Mismatch, NamedShape, load_weights, read_weights};
