#![doc = include_str!("../README.md")]

mod app;
mod config;
mod error;
mod failure;
mod hub;
mod metrics;
mod model;
mod page;
mod pictures;
mod protocol;
mod queue;
mod request;
mod server;
mod worker;

pub use config::Config;
pub use error::{Error, Result};
pub use model::Model;
pub use server::Server;
