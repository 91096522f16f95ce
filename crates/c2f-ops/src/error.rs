//! The error of this crate.

/// What can go wrong in an operation or a layer.
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
    /// A setting of the operation is out of range.
    #[error("{op}: {message}")]
    Config {
        /// The operation.
        op: &'static str,
        /// Which setting, its value and its range.
        message: String,
    },
    /// A parameter was asked for twice with different shapes.
    #[error("parameter {name} has shape {existing:?} and was asked for with shape {asked:?}")]
    Parameter {
        /// Full name of the parameter.
        name: String,
        /// The shape in the store.
        existing: Vec<usize>,
        /// The shape that was asked for.
        asked: Vec<usize>,
    },
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
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
