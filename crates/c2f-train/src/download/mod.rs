//! Files from the network: fetched whole or not at all, and checked.

mod dataset;
mod datasets;
mod digest;
mod fetch;
mod http;
pub mod hub;
mod unpack;

pub use dataset::{Fetched, Published, Step, fetch_dataset};
pub use datasets::{KINDS, published, spec};
pub use digest::Digest;
pub use fetch::{Progress, Remote, fetch};
pub use hub::Hub;
pub use unpack::{Limits, unpack};

use std::path::Path;

use crate::{Error, Result};

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))
}
