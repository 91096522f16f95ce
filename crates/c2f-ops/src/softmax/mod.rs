//! Softmax and its logarithm.

mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::Tensor;

use crate::device::{by_device, on_card};
use crate::kernel::expect_values;
use crate::{Error, Result};

const NAME: &str = "softmax";

/// e^x over its sum, along the last axis of a tensor of any shape.
///
/// # Errors
/// If `x` has no axis or is empty, the type isn't a float, or candle fails.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 0 {
        let expected = "one dimension or more".to_owned();
        return Err(Error::Shape { op: NAME, what: "input", got: Vec::new(), expected });
    }
    expect_values(NAME, "input", x)?;
    on_card!(x => cuda::softmax(x));
    by_device(x, || cpu::softmax(x), || composed::softmax(x))
}

/// Logarithm of the softmax along the last axis of a tensor of any shape, without overflow.
///
/// # Errors
/// If `x` has no axis or is empty, or candle fails.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    expect_values("log_softmax", "input", x)?;
    on_card!(x => cuda::log_softmax(x));
    composed::log_softmax(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let x = var((2, 3, 5));
        assert_same(&[&x], &softmax(&x).unwrap(), &composed::softmax(&x).unwrap());
    }
}
