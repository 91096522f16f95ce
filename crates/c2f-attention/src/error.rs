//! The error of this crate.

use candle_core::Tensor;

/// What can go wrong in the model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument has a shape that the operation can't take.
    #[error("{op}: {what} has shape {got:?}, expected {expected}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// Which argument.
        what: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// What the operation takes, in words.
        expected: String,
    },
    /// A setting is out of range, or two don't go together.
    #[error("{setting}: {message}")]
    Config {
        /// The setting.
        setting: &'static str,
        /// Its value and what is expected.
        message: String,
    },
    /// The backbone failed.
    #[error(transparent)]
    Backbone(#[from] c2f_backbone::Error),
    /// An operation or layer failed.
    #[error(transparent)]
    Ops(#[from] c2f_ops::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn shape(op: &'static str, what: &'static str, got: &Tensor, expected: impl Into<String>) -> Self {
        Self::Shape { op, what, got: got.dims().to_vec(), expected: expected.into() }
    }
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for candle_core::Error {
    /// So that `?` works in a function that returns candle's errors.
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            error => Self::wrap(error),
        }
    }
}
