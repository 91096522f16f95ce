//! One file for each layout in which data sets are published.

pub(crate) mod aircraft;
pub(crate) mod cars;
pub(crate) mod cub2010;
pub(crate) mod cub2011;
pub(crate) mod dogs;
pub(crate) mod files;
pub(crate) mod flowers102;
pub(crate) mod folder;
pub(crate) mod food101;
pub(crate) mod inat;
pub(crate) mod list;
pub(crate) mod nabirds;
pub(crate) mod parquet;
pub(crate) mod pets;
pub(crate) mod synthetic;
pub(crate) mod webdataset;

mod below;
mod braces;
mod caltech;
mod classes;
mod csv;
mod nan;
mod pictures;
pub(crate) mod split;
mod unicode;

pub use below::pictures_below;
pub(crate) use pictures::Listed;

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Dataset, Kind, Sample};

/// A data set without hierarchy and parts. It is named by its kind and the last part of its path.
fn dataset(kind: Kind, path: &Path, classes: Vec<String>, splits: BTreeMap<String, Vec<Sample>>) -> Dataset {
    let name = match path.file_name() {
        Some(last) => format!("{}:{}", kind.name(), last.to_string_lossy()),
        None => kind.name().to_owned(),
    };
    Dataset::plain(name, classes, splits)
}
