//! One file for each layout in which data sets are published.

pub(crate) mod cub2010;
pub(crate) mod folder;
pub(crate) mod list;
pub(crate) mod synthetic;

mod files;
mod split;

use std::path::Path;

/// The data set's name: its kind, and the last part of its path.
fn name(kind: crate::Kind, path: &Path) -> String {
    match path.file_name() {
        Some(last) => format!("{}:{}", kind.name(), last.to_string_lossy()),
        None => kind.name().to_owned(),
    }
}
