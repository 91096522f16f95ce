//! Trained networks as other programs take them.

mod backbone;
mod onnx;

pub use backbone::export_backbone;
pub use onnx::{export_onnx, onnx};
