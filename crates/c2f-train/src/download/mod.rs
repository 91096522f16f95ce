//! Files from the network: fetched whole or not at all, and checked.

mod dataset;
mod datasets;
mod digest;
mod fetch;
mod http;
pub mod hub;
mod unpack;

pub use dataset::{Fetched, Published, Step, fetch_dataset};
pub use datasets::{KINDS, published, spec};
pub use digest::Digest;
pub use fetch::{Progress, Remote, fetch};
pub use hub::Hub;
pub use unpack::{Limits, unpack};
