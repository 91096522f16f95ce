//! The error of this crate.

use std::path::PathBuf;

use crate::LoadReport;

/// What can go wrong in a backbone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No backbone has that name.
    #[error("no backbone is called {name:?}{}; known: {}", did_you_mean(.near), .known.join(", "))]
    UnknownBackbone {
        /// The name that was asked for.
        name: String,
        /// Registered names that look like it, the nearest first.
        near: Vec<&'static str>,
        /// All registered names.
        known: Vec<&'static str>,
    },
    /// The network has no endpoint of that name.
    #[error("{backbone} has no endpoint {name:?}; it has {}", .known.join(", "))]
    UnknownEndpoint {
        /// The backbone.
        backbone: &'static str,
        /// The name that was asked for.
        name: String,
        /// All of the backbone's endpoints.
        known: Vec<&'static str>,
    },
    /// More is to be frozen than is made.
    #[error("can't freeze up to {freeze}, which lies behind the endpoint {endpoint}")]
    FrozenBeyond {
        /// The last endpoint of what is to be frozen.
        freeze: &'static str,
        /// The endpoint where the feature maps are taken.
        endpoint: &'static str,
    },
    /// A network was to be made of too few stages.
    #[error("{backbone} has {endpoints} endpoints, and stages for {stages} of them")]
    Stages {
        /// The backbone.
        backbone: &'static str,
        /// How many endpoints it has.
        endpoints: usize,
        /// How many stages there were.
        stages: usize,
    },
    /// The feature maps of several endpoints were asked of a network that doesn't give them.
    #[error("{backbone} doesn't give the maps of its last {count} endpoints at once")]
    NoLastEndpoints {
        /// The backbone.
        backbone: &'static str,
        /// How many endpoints.
        count: usize,
    },
    /// Pictures that can't be cut into patches.
    #[error("{backbone} cuts pictures into patches of {patch} x {patch} pixels, which {} x {} isn't a multiple of", .size.0, .size.1)]
    Patches {
        /// The backbone.
        backbone: &'static str,
        /// Side of a patch.
        patch: usize,
        /// Height and width of the pictures.
        size: (usize, usize),
    },
    /// A layer or a backbone of somebody's says nothing of how it is described.
    #[error("{what} has no description, which other formats are made from")]
    NotDescribed {
        /// The layer's type, or the backbone's name.
        what: &'static str,
    },
    /// A weight file can't be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A weight file is cut off, damaged, of another format, made to take too much memory, or holds what are no weights.
    #[error("{}: {message}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// Weights were to be loaded where the backbone isn't.
    #[error("the variables under {prefix:?} aren't those of {backbone}: build it there first")]
    NotBuilt {
        /// The backbone.
        backbone: String,
        /// Prefix of the view of the store.
        prefix: String,
    },
    /// The names in a weight file are of no known scheme.
    #[error("{}: its names ({}, ...) are neither timm's, torchvision's nor EfficientNet-PyTorch's, also without module., model., \
             backbone. and the like before them", .path.display(), .names.join(", "))]
    UnknownNaming {
        /// The file.
        path: PathBuf,
        /// The first few of them.
        names: Vec<String>,
    },
    /// The weights are another backbone's.
    #[error("{}: these weights don't fit {backbone}; they fit {}", .path.display(), .fits.join(" and "))]
    OtherBackbone {
        /// The file.
        path: PathBuf,
        /// The backbone that they were to be loaded into.
        backbone: String,
        /// The registered backbones that they fit.
        fits: Vec<&'static str>,
    },
    /// The weights are no registered backbone's.
    #[error("{}: these weights don't fit {backbone}, nor any other backbone: {report}", .path.display())]
    DoNotFit {
        /// The file.
        path: PathBuf,
        /// The backbone that they were to be loaded into.
        backbone: String,
        /// Every difference.
        report: Box<LoadReport>,
    },
    /// An operation or layer failed.
    #[error(transparent)]
    Ops(#[from] c2f_ops::Error),
    /// candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

fn did_you_mean(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(" or ")) }
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
