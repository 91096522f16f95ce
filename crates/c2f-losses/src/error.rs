//! The error of this crate.

use candle_core::Tensor;

/// What can go wrong in a loss.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument has a shape that the loss can't take.
    #[error("{loss}: {what} has shape {got:?}, expected {expected}")]
    Shape {
        /// The loss.
        loss: &'static str,
        /// Which argument.
        what: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// What the loss takes, in words.
        expected: String,
    },
    /// A setting of the loss is out of range.
    #[error("{loss}: {setting} is {value}, expected {expected}")]
    Setting {
        /// The loss.
        loss: &'static str,
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: f64,
        /// Its range, in words.
        expected: &'static str,
    },
    /// The store of parameters failed.
    #[error(transparent)]
    Ops(#[from] c2f_ops::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    pub(crate) fn shape(loss: &'static str, what: &'static str, got: &Tensor, expected: impl Into<String>) -> Self {
        Self::Shape { loss, what, got: got.dims().to_vec(), expected: expected.into() }
    }
}

/// Refuses a tensor without values, such as a batch without pictures: its mean would be NaN.
pub(crate) fn expect_values(loss: &'static str, what: &'static str, tensor: &Tensor) -> Result<()> {
    if tensor.elem_count() > 0 { Ok(()) } else { Err(Error::shape(loss, what, tensor, "no dimension of 0")) }
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
