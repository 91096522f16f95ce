//! The two forms of an operation: `cpu.rs` has its kernels, `composed.rs` the same of candle's own operations.

use candle_core::Tensor;

use crate::Result;

/// Runs `cpu` where `x` is on the CPU, and `composed` where it is on another device.
pub(crate) fn by_device<R>(
    x: &Tensor,
    cpu: impl FnOnce() -> Result<R>,
    composed: impl FnOnce() -> Result<R>,
) -> Result<R> {
    if x.device().is_cpu() { cpu() } else { composed() }
}
