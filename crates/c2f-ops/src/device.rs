//! The forms of an operation: `cpu.rs` has its kernels, `cuda.rs` those for NVIDIA's cards, `composed.rs` the same of candle's own
//! operations.

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

/// Leaves the function with `$run` where the kernels for NVIDIA's cards serve `$x`; without the feature `cuda`, goes on.
macro_rules! on_card {
    ($x:expr => $run:expr) => {
        #[cfg(feature = "cuda")]
        if $crate::cuda::serves($x) {
            return $run;
        }
    };
}
pub(crate) use on_card;
