#![doc = include_str!("../README.md")]

mod encode;
mod proto;

pub use encode::{HEAD, OPERATOR_SET, encode};
