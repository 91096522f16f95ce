//! The error of this crate.

use std::path::{Path, PathBuf};

/// Why a file couldn't be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file couldn't be fetched.
    #[error("{} can't be fetched: {}", target.display(), .failures.join("; "))]
    Download {
        /// Where it was to be written.
        target: PathBuf,
        /// What happened at each address.
        failures: Vec<String>,
    },
    /// Pretrained weights can't be had by their name.
    #[error("weights {name}: {message}")]
    Weights {
        /// The name.
        name: String,
        /// What was looked for, where, and how to go on.
        message: String,
    },
    /// An archive can't or mustn't be unpacked.
    #[error("{}: {message}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A data set isn't what was expected.
    #[error("data set {name}: {message}")]
    Dataset {
        /// Name of the set.
        name: String,
        /// What was found and what was expected.
        message: String,
    },
    /// Nothing is published under that name.
    #[error("no data set {name} to fetch; there are {}", .known.join(", "))]
    UnknownDataset {
        /// What was asked for.
        name: String,
        /// The names that there are.
        known: Vec<&'static str>,
    },
    /// A file can't be read or written.
    #[error(transparent)]
    Files(#[from] c2f_files::Error),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        c2f_files::Error::io(path, source).into()
    }
}
