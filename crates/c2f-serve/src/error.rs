//! The error of this crate.

use std::net::SocketAddr;

/// Why a server can't start. What requests get wrong is answered to whoever sent them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address can't be had.
    #[error("{address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("no thread can be started to serve: {0}")]
    Threads(std::io::Error),
    /// There is nothing to serve.
    #[error("a server needs at least one network")]
    NoModels,
    /// Two networks have one name.
    #[error("two networks are called {0}: they are named by their folders")]
    SameName(String),
    /// The path has no last part to name a network by.
    #[error("{0}: there is no folder to name the network by")]
    NoName(String),
    /// Something of the configuration is zero that can't be, or the token is empty.
    #[error("{field} is {value}, expected {expected}")]
    Config {
        /// The field of [`Config`](crate::Config).
        field: &'static str,
        /// Its value.
        value: String,
        /// What it can be, in words.
        expected: &'static str,
    },
    /// A network can't be read.
    #[error(transparent)]
    Engine(#[from] c2f_engine::Error),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether what the server is told has to change (exit status 2) rather than that something failed (1).
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoModels | Self::SameName(_) | Self::NoName(_) | Self::Config { .. } => true,
            Self::Engine(error) => error.is_usage(),
            Self::Bind { .. } | Self::Threads(_) => false,
        }
    }
}
