#![doc = include_str!("../README.md")]

mod annotation;
mod cache;
#[cfg(feature = "candle-datasets")]
pub mod candle;
mod dataset;
mod decode;
mod digest;
mod error;
mod formats;
mod guard;
mod inspect;
mod kind;
mod loader;
mod mat;
mod memory;
mod parquet;
mod random;
mod resplit;
mod shard;
mod skipped;
mod spec;
mod stamp;
pub mod synthetic;
pub mod transform;
mod verify;

pub use annotation::Annotation;
pub use cache::DiskCache;
pub use dataset::{BoundingBox, Dataset, Point, Sample, Source, open, open_whole, open_with_missing};
pub use decode::{Limits, decode, decode_bytes_within, decode_file, decode_file_within, decode_within};
pub use error::{Error, Result};
pub use formats::pictures_below;
pub use guard::hide_caught_panics;
pub use inspect::{Inspection, SplitInspection};
pub use kind::Kind;
pub use loader::{Batch, Epoch, Loader, LoaderConfig};
pub use memory::Maker;
pub use parquet::ParquetFile;
pub use shard::{Shard, write_shards};
pub use skipped::Skipped;
pub use spec::{Fold, Level, Spec, TrainOn};
pub use transform::{ColorJitter, EvalTransform, Fit, Place, Policy, TrainTransform, Transform, Views};
pub use verify::{Finding, Found, Problem, Verification, verify};
