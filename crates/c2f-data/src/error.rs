//! The error of this crate.

use std::borrow::Cow;
use std::path::PathBuf;

/// What can go wrong between a data set on disk and a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text that names a data set is wrong: it is the command line or the recipe that must change.
    #[error("data set `{}`: {}", short(spec), short(message))]
    Spec {
        /// The text.
        spec: String,
        /// What is wrong and what was expected.
        message: String,
    },
    /// A sample's label is none of the data set's classes.
    #[error("{picture} has the label {label}, expected less than {classes}, the number of classes")]
    Label {
        /// The sample.
        picture: String,
        /// Its label.
        label: usize,
        /// How many classes there are.
        classes: usize,
    },
    /// A file or folder can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file can't be written.
    #[error(transparent)]
    Files(#[from] c2f_files::Error),
    /// A data set doesn't have the layout that its kind has.
    #[error("{}: {}", path.display(), short(message))]
    Layout {
        /// The file or folder that is not as expected.
        path: PathBuf,
        /// What was found and what was expected.
        message: String,
    },
    /// A line of a list is wrong.
    #[error("{}, line {line}: {}", path.display(), short(message))]
    Line {
        /// The list.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What was found and what was expected.
        message: String,
    },
    /// A picture can't be decoded.
    #[error("{}: {}", path.display(), short(message))]
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
        short(&first.join("; "))
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
    /// A tensor is none that a data set can be made of, or can't be made as asked for.
    #[cfg(feature = "candle-datasets")]
    #[error("{tensor}: {message}")]
    Tensor {
        /// The data set and which of its tensors: `cifar: train_images`.
        tensor: String,
        /// What was found and what was expected.
        message: String,
    },
    /// candle failed.
    #[cfg(feature = "candle-datasets")]
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The most characters of a message: it may quote what stands in a file, which may be anything.
const MAX_MESSAGE: usize = 1000;

/// A message without its middle if it is too long: what it is about stands first, what was expected last.
fn short(message: &str) -> Cow<'_, str> {
    // Each character has at least a byte.
    if message.len() <= MAX_MESSAGE || message.chars().count() <= MAX_MESSAGE {
        return message.into();
    }
    let half = MAX_MESSAGE / 2;
    let start: String = message.chars().take(half).collect();
    let end: Vec<char> = message.chars().rev().take(half).collect();
    format!("{start} ... {}", end.into_iter().rev().collect::<String>()).into()
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

#[cfg(feature = "candle-datasets")]
impl From<Error> for candle_core::Error {
    /// So that `?` works in a function that returns candle's errors.
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            error => Self::wrap(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_quote_no_whole_file() {
        let value = "é".repeat(1 << 20);
        let message =
            Error::line(std::path::Path::new("list.csv"), 7, format!("`{value}`: expected a file")).to_string();
        assert!(message.starts_with("list.csv, line 7: `éé") && message.ends_with("é`: expected a file"), "{message}");
        assert!(message.chars().count() < 1100);
        let plain = Error::layout(std::path::Path::new("a"), "x".repeat(MAX_MESSAGE)).to_string();
        assert_eq!(plain.len(), MAX_MESSAGE + 3);
    }
}
