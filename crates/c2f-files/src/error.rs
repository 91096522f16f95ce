//! The error of this crate.

use std::path::{Path, PathBuf};

/// What can go wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It isn't what can be written to: another name has to be given.
    #[error("{}{message}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why, as the rest of a sentence.
        message: String,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What the operating system said of a path.
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn refused(path: &Path, message: &str) -> Self {
        Self::Refused { path: path.to_owned(), message: message.to_owned() }
    }
}
