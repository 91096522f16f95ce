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

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A path whose `~` is the home folder, as a shell would have it: it leaves it alone behind an equals sign and in variables.
pub fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::home_dir()) {
        (Ok(inside), Some(home)) => home.join(inside),
        _ => path.to_owned(),
    }
}

fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))
}
