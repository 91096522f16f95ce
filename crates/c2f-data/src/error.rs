//! The error of this crate.

use std::path::PathBuf;

/// What can go wrong between a data set on disk and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text that names a data set is wrong: it is the command line or the recipe that must change.
    #[error("data set `{spec}`: {message}")]
    Spec {
        /// The text.
        spec: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A file or folder can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A data set doesn't have the layout that its kind has.
    #[error("{}: {message}", path.display())]
    Layout {
        /// The file or folder that is not as expected.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// A line of a list is wrong.
    #[error("{}, line {line}: {message}", path.display())]
    Line {
        /// The list.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What was found and what was expected.
        message: String,
    },
    /// A picture can't be decoded.
    #[error("{}: {message}", path.display())]
    Picture {
        /// The picture's file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// The system gives no thread to decode pictures.
    #[error("no thread can be started to read pictures: {0}")]
    Threads(std::io::Error),
    /// More pictures than allowed can't be decoded.
    #[error(
        "{count} of the {total} pictures can't be read, at most {allowed} may be (max_unreadable); the first: {}",
        first.join("; ")
    )]
    Unreadable {
        /// How many couldn't be read when the loader gave up.
        count: usize,
        /// How many may be unreadable.
        allowed: usize,
        /// How many pictures there are.
        total: usize,
        /// What was wrong with the first ones.
        first: Vec<String>,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn read(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Read { path: path.to_owned(), source }
    }

    pub(crate) fn layout(path: &std::path::Path, message: impl Into<String>) -> Self {
        Self::Layout { path: path.to_owned(), message: message.into() }
    }

    pub(crate) fn line(path: &std::path::Path, line: u64, message: impl Into<String>) -> Self {
        Self::Line { path: path.to_owned(), line, message: message.into() }
    }
}
