#![doc = include_str!("../README.md")]

mod error;
mod launcher;
#[cfg(feature = "mpi")]
mod mpi;
mod tree;
mod world;

pub use error::{Error, Result};
pub use tree::{TreeSum, branch};
pub use world::World;
