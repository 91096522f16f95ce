//! The Gaussian error linear unit.

mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::Tensor;

use crate::Result;
use crate::device::{by_device, on_card};
use crate::graph::{Graph, Value};
use crate::kernel::expect_values;

const NAME: &str = "gelu";

/// x * Phi(x), Phi being the normal distribution's cumulative function, of a tensor of any shape (Hendrycks and Gimpel
/// 2016; PyTorch's `gelu` without approximation). In f32 Phi is right to 1e-7.
///
/// # Errors
/// If `x` is empty, its type isn't a float, or candle fails.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    expect_values(NAME, "input", x)?;
    on_card!(x => cuda::gelu(x));
    by_device(x, || cpu::gelu(x), || composed::gelu(x))
}

impl Graph {
    /// Describes what [`gelu`] computes: ONNX has an operator for it from set 20 on.
    pub fn gelu(&mut self, x: Value) -> Value {
        let scaled = self.affine(x, std::f64::consts::FRAC_1_SQRT_2, 0.0);
        let erf = self.op("Erf", &[scaled]);
        let share = self.affine(erf, 0.5, 0.5);
        self.op("Mul", &[x, share])
    }
}
