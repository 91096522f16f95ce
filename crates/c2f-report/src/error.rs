//! The error of this crate.

/// Why a picture or a page couldn't be made or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be written, or isn't ours to replace.
    #[error(transparent)]
    Files(#[from] c2f_files::Error),
    /// The recipe names no known backbone.
    #[error(transparent)]
    Backbone(#[from] c2f_backbone::Error),
    /// The picture can't be a PNG.
    #[error("a PNG can't be made: {0}")]
    Png(String),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
