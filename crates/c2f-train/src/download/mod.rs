//! Files from the network: fetched whole or not at all, and checked.

mod digest;
mod fetch;
mod http;
pub mod hub;

pub use digest::Digest;
pub use fetch::{Progress, Remote, fetch};
pub use hub::Hub;
