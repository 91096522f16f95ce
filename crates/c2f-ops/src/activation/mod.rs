//! ReLUs, and which of them follows a layer.

mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::Tensor;

use crate::Result;
use crate::device::{by_device, on_card};
use crate::graph::{Graph, Value};
use crate::kernel::expect_values;
use crate::simd::Float;
pub(crate) use composed::clamp;
#[cfg(feature = "cuda")]
pub(crate) use cuda::add as add_on_card;

const NAME: &str = "relu";

/// max(x, 0), of a tensor of any shape. NaN stays NaN; the gradient at 0 is 0, as in PyTorch.
///
/// # Errors
/// If `x` is empty, its type isn't a float, or candle fails.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    up_to(x, f64::INFINITY)
}

/// min(max(x, 0), 6), of a tensor of any shape (MobileNet's activation, Howard et al. 2017; it is PyTorch's `ReLU6`).
/// The gradient at 0 and at 6 is 0.
///
/// # Errors
/// If `x` is empty, its type isn't a float, or candle fails.
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    up_to(x, 6.0)
}

/// ReLU up to `ceiling`.
fn up_to(x: &Tensor, ceiling: f64) -> Result<Tensor> {
    expect_values(NAME, "input", x)?;
    on_card!(x => cuda::relu(x, ceiling));
    by_device(x, || cpu::relu(x, ceiling), || composed::relu(x, ceiling))
}

/// What follows a convolution or a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
}

impl Activation {
    /// The activation of a tensor of any shape.
    ///
    /// # Errors
    /// If candle fails.
    pub fn of(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Relu => relu(x),
            Self::Relu6 => relu6(x),
        }
    }

    /// Describes what [`of`](Self::of) computes.
    pub fn describe(self, graph: &mut Graph, x: Value) -> Value {
        match self {
            Self::Identity => x,
            Self::Relu => graph.op("Relu", &[x]),
            Self::Relu6 => {
                let (low, high) = (graph.scalar(0.0), graph.scalar(6.0));
                graph.op("Clip", &[x, low, high])
            }
        }
    }

    /// The limits outside of which it is constant.
    pub(crate) fn limits<T: Float>(self) -> (T, T) {
        let (low, high) = match self {
            Self::Identity => (f64::NEG_INFINITY, f64::INFINITY),
            Self::Relu => (0.0, f64::INFINITY),
            Self::Relu6 => (0.0, 6.0),
        };
        (T::from_f64(low), T::from_f64(high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let x = var((3, 5));
        // Whole numbers, the limits among them, with the gradient of x.
        let rounding = ((x.as_detached_tensor() * 8.0).unwrap().round().unwrap() - x.as_detached_tensor()).unwrap();
        let y = (x.as_tensor() + rounding).unwrap();
        assert_same(&[&x], &relu(&y).unwrap(), &composed::relu(&y, f64::INFINITY).unwrap());
        assert_same(&[&x], &relu6(&y).unwrap(), &composed::relu(&y, 6.0).unwrap());
    }
}
