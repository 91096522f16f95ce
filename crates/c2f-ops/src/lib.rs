#![doc = include_str!("../README.md")]
#![allow(clippy::inline_always, reason = "kernels must be compiled with their caller's vector instructions")]

mod activation;
mod attention;
mod batch_norm;
pub mod conv;
mod cost;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod epilogue;
mod error;
mod exp;
mod format;
mod gelu;
pub mod graph;
mod grid_sample;
mod kernel;
mod layer_norm;
mod maps;
mod memory;
pub mod nn;
mod pool;
mod resize;
mod separable;
mod simd;
mod softmax;
mod source;
#[cfg(test)]
#[path = "../tests/common/device.rs"]
mod test_device;
mod threads;

pub use activation::{Activation, relu, relu6};
pub use attention::scaled_dot_product_attention;
pub use batch_norm::{BatchStats, batch_norm_eval, batch_norm_train};
pub use conv::{Conv2dConfig, Padding, conv2d, linear};
pub use error::{Error, Result};
pub use format::Format;
pub use gelu::gelu;
pub use grid_sample::{GridPadding, affine_grid, grid_sample};
pub use layer_norm::layer_norm;
pub use maps::Maps;
pub use memory::keep_freed_memory;
pub use pool::{PoolConfig, avg_pool2d, global_avg_pool, max_pool2d};
pub use resize::{resize_bicubic, resize_bilinear};
pub use simd::{check_instruction_set, instruction_set};
pub use softmax::{log_softmax, softmax};
pub use threads::keep_candle_on_the_callers_thread;
