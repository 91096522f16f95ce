//! Tar files with many pictures in each, by WebDataset's convention: the members of one sample have the same name up to the first
//! dot (`n01/7.jpg` and `n01/7.cls`).

mod contents;
mod kept;
mod write;

use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::formats::files::open_file;
use crate::stamp::Stamp;
use crate::{Error, Limits, Result};

pub(crate) use contents::Contents;
pub(crate) use kept::contents_of_all;
pub use write::write_shards;

/// The class list beside the shards, and what is above each class: a line for each, in the order of the labels.
pub(crate) const CLASSES: &str = "classes.txt";
pub(crate) const HIERARCHY: &str = "hierarchy.tsv";

const EXPECTED: &str = "a tar file of pictures and labels (`a.jpg`, `a.cls`)";

/// A tar file of which the pictures are read when they are asked for.
#[derive(Debug, PartialEq)]
pub struct Shard {
    path: PathBuf,
    /// As it was when its headers were read.
    stamp: Stamp,
}

impl Shard {
    /// The file at `path`, as it is now.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let metadata = open_file(path, EXPECTED)?.metadata().map_err(|e| Error::read(path, e))?;
        let stamp = Stamp::new(&metadata).ok_or_else(|| Error::layout(path, "has no time of its last change"))?;
        Ok(Self { path: path.to_owned(), stamp })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `length` encoded bytes from `offset` on.
    pub(crate) fn picture(&self, name: &str, offset: u64, length: u64, limits: Limits) -> Result<Vec<u8>> {
        let error = |message: String| Error::Picture { path: self.member(name), message };
        if length == 0 {
            return Err(error("is empty".to_owned()));
        }
        if length > limits.max_bytes() {
            return Err(error(limits.too_many_bytes()));
        }
        let read = |e| Error::read(&self.path, e);
        let mut file = open_file(&self.path, EXPECTED)?;
        if Stamp::new(&file.metadata().map_err(read)?) != Some(self.stamp) {
            return Err(error("can't be read: the shard has changed since the data set was opened".to_owned()));
        }
        file.seek(SeekFrom::Start(offset)).map_err(read)?;
        let mut bytes = vec![0; length as usize];
        file.read_exact(&mut bytes).map_err(read)?;
        Ok(bytes)
    }

    /// What to call the member of a sample called `train/000.tar/n01/7.jpg`.
    pub(crate) fn member(&self, sample: &str) -> PathBuf {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.join(sample.split_once(&format!("{file}/")).map_or(sample, |(_, member)| member))
    }
}
