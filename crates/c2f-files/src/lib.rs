#![doc = include_str!("../README.md")]

pub mod atomic;
mod error;
mod home;
mod output;
mod read;

pub use error::{Error, Result};
pub use home::expand_home;
pub use output::{Mark, Output, is_free};
pub use read::{bytes, text};
