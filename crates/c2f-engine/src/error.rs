//! The error of this crate.

use std::path::{Path, PathBuf};

/// What can go wrong in training, evaluation and checkpoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the recipe has a value that it can't have.
    #[error("recipe: {field} is {value}, expected {expected}")]
    Field {
        /// Dotted name of the field.
        field: String,
        /// Its value.
        value: String,
        /// What it can be, in words.
        expected: String,
    },
    /// A recipe or `--set` names a field that doesn't exist.
    #[error("recipe: there is no field {field}{}", did_you_mean(.near))]
    UnknownField {
        /// The name.
        field: String,
        /// Dotted names that look like it, the nearest first.
        near: Vec<String>,
    },
    /// `--set` without a key or value.
    #[error("--set {0}: expected key=value")]
    Assignment(String),
    /// Neither a built-in recipe nor a file.
    #[error("recipe {name}: neither a file nor one of {}", .known.join(", "))]
    UnknownRecipe {
        /// What was asked for.
        name: String,
        /// Names of the built-in recipes.
        known: Vec<&'static str>,
    },
    /// A recipe isn't TOML.
    #[error("recipe {name}: {message}")]
    RecipeSyntax {
        /// The file or the built-in recipe.
        name: String,
        /// Where and what.
        message: String,
    },
    /// Something that is set doesn't go together with the data or the folder.
    #[error("{0}")]
    Usage(String),
    /// Another process trains into the folder.
    #[error("{} is being trained by {holder}", path.display())]
    Busy {
        /// The run's folder.
        path: PathBuf,
        /// Who trains, and for how long.
        holder: String,
    },
    /// A file can't be read or written, or isn't ours to replace.
    #[error(transparent)]
    Files(#[from] c2f_files::Error),
    /// A checkpoint can't be used.
    #[error("checkpoint {}: {message}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A line of `metrics.jsonl` can't be read.
    #[error("{}, line {line}: {message}", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        message: String,
    },
    /// The data don't fit the task.
    #[error("data set {name}: {message}")]
    Dataset {
        /// Name of the set.
        name: String,
        /// What was found and what was expected.
        message: String,
    },
    /// The loss or its gradient wasn't finite for too many steps in a row.
    #[error("the loss was not finite in {steps} steps in a row (epoch {epoch}); {}", kept(.checkpoint.as_deref()))]
    NotFinite {
        /// How many steps.
        steps: usize,
        /// Epoch, counted from 1.
        epoch: usize,
        /// The last good checkpoint, if one was written.
        checkpoint: Option<PathBuf>,
    },
    /// The data set or a picture failed.
    #[error(transparent)]
    Data(#[from] c2f_data::Error),
    /// The backbone or its weights failed.
    #[error(transparent)]
    Backbone(#[from] c2f_backbone::Error),
    /// The model failed.
    #[error(transparent)]
    Attention(#[from] c2f_attention::Error),
    /// A loss failed.
    #[error(transparent)]
    Losses(#[from] c2f_losses::Error),
    /// An operation or layer failed.
    #[error(transparent)]
    Ops(#[from] c2f_ops::Error),
    /// Another process of the training failed this one.
    #[error(transparent)]
    World(#[from] c2f_dist::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the command line or the recipe has to change (exit status 2) rather than that something failed (1).
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Field { .. }
                | Self::UnknownField { .. }
                | Self::Assignment(_)
                | Self::UnknownRecipe { .. }
                | Self::RecipeSyntax { .. }
                | Self::Usage(_)
                | Self::Files(c2f_files::Error::Refused { .. })
                | Self::Data(c2f_data::Error::Spec { .. } | c2f_data::Error::Files(c2f_files::Error::Refused { .. }))
                | Self::Backbone(
                    c2f_backbone::Error::UnknownBackbone { .. }
                        | c2f_backbone::Error::UnknownEndpoint { .. }
                        | c2f_backbone::Error::FrozenBeyond { .. }
                )
                | Self::World(c2f_dist::Error::NotBuilt { .. } | c2f_dist::Error::NotConnected { .. })
        )
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        c2f_files::Error::io(path, source).into()
    }

    pub(crate) fn checkpoint(path: &Path, message: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.to_owned(), message: message.into() }
    }

    pub(crate) fn field(field: &str, value: impl std::fmt::Display, expected: impl Into<String>) -> Self {
        Self::Field { field: field.to_owned(), value: value.to_string(), expected: expected.into() }
    }
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; near names: {}", near.join(", ")) }
}

fn kept(checkpoint: Option<&Path>) -> String {
    match checkpoint {
        Some(path) => format!("the last good checkpoint is {}", path.display()),
        None => "no checkpoint had been written yet".to_owned(),
    }
}

impl From<Error> for candle_core::Error {
    /// So that `?` works in a function that returns candle's errors.
    fn from(error: Error) -> Self {
        match error {
            Error::Candle(error) => error,
            error => Self::wrap(error),
        }
    }
}
