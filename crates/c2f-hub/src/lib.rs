#![doc = include_str!("../README.md")]

mod dataset;
mod digest;
mod error;
mod fetch;
mod http;
mod hub;
mod unpack;

pub use dataset::{Fetched, KINDS, Published, Step, fetch_dataset, published, spec};
pub use digest::Digest;
pub use error::{Error, Result};
pub use fetch::{OnBytes, Remote, fetch};
pub use hub::{Hub, Name, OnFile};
pub use unpack::{Limits, unpack};

use std::path::Path;

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))
}
