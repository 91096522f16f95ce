//! Layer normalisation.

mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{D, Tensor};

use crate::Result;
use crate::device::{by_device, on_card};
use crate::kernel::{expect_shape, expect_values};

const NAME: &str = "layer_norm";

/// Normalises each row, along the last axis, of `x` (.., C) to mean 0 and variance 1, then scales and shifts it by `gamma`
/// and `beta`, both (C) (Ba et al. 2016; PyTorch's `layer_norm`, its variance being the biased one).
///
/// # Errors
/// If the shapes don't fit each other, `x` is empty, or candle fails.
pub fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    expect_values(NAME, "input", x)?;
    let channels = x.dim(D::Minus1)?;
    expect_shape(NAME, "gamma", gamma, &[channels])?;
    expect_shape(NAME, "beta", beta, &[channels])?;
    on_card!(x => cuda::layer_norm(x, gamma, beta, eps));
    by_device(x, || cpu::layer_norm(x, gamma, beta, eps), || composed::layer_norm(x, gamma, beta, eps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        for shape in [vec![2, 3, 5], vec![4, 37]] {
            let channels = shape[shape.len() - 1];
            let (x, gamma, beta) = (var(shape), var(channels), var(channels));
            let kernel = layer_norm(&x, &gamma, &beta, 1e-3).unwrap();
            assert_same(&[&x, &gamma, &beta], &kernel, &composed::layer_norm(&x, &gamma, &beta, 1e-3).unwrap());
        }
    }
}
