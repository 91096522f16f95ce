//! 2-d convolution: dense, grouped and depthwise, with its gradients.

mod composed;
mod config;
mod correlation;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod dense;
mod depthwise;
mod geometry;
mod kept;
mod kernels;
mod linear;
mod multiply;
mod panels;
mod strip;

use candle_core::Tensor;

use crate::device::{by_device, on_card};
use crate::{Format, Result, cost};
pub use config::{Conv2dConfig, Padding};
pub(crate) use geometry::Geometry;
pub(crate) use kept::{KeptWeight, Slots};
pub(crate) use kernels::{output, wanted_gradients};
pub use linear::linear;

const NAME: &str = "conv2d";

/// 2-d cross-correlation as in PyTorch's `conv2d`, with gradients for all three tensors.
///
/// `x` is a batch of maps of `format` with I channels, `weight` is (O, I / groups, kh, kw) in either format, `bias` is
/// (O). The result has `format` and O channels, each side being
/// `(input + padding - dilation * (kernel - 1) - 1) / stride + 1`. On the CPU the types are f32 and f64, and neither
/// values nor gradients depend on the number of threads.
///
/// # Errors
/// If the shapes don't agree, the groups don't divide the channels, the kernel is larger than the padded input, a
/// stride, dilation or group is zero, or candle fails.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    config: &Conv2dConfig,
    format: Format,
) -> Result<Tensor> {
    let geometry = Geometry::new(format.dims(x)?, weight, bias, config)?;
    cost::report(geometry.multiply_adds(), geometry.outputs());
    if geometry.is_depthwise() {
        on_card!(x => cuda::depthwise(x, weight, bias, &geometry, format));
    }
    by_device(
        x,
        || cpu::conv2d(x, weight, bias, geometry, format),
        || composed::conv2d(x, weight, bias, &geometry, format),
    )
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::test_device::device;

    fn values(x: &Tensor) -> Vec<f64> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Not the kernels' own numbers: integers, so that sums are exact in any order.
    fn integers(dims: (usize, usize, usize, usize), step: usize) -> Var {
        let count = dims.0 * dims.1 * dims.2 * dims.3;
        let numbers: Vec<f64> = (0..count).map(|i| ((i * step + 5) % 17) as f64 - 8.0).collect();
        Var::from_vec(numbers, dims, &device()).unwrap()
    }

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let odd = Padding { top: 0, bottom: 1, left: 2, right: 1 };
        let cases = [
            ((2, 3, 5, 7), (4, 3, 3, 3), (1, 1), (1, 1), Padding::uniform(1), 1),
            ((1, 3, 5, 6), (4, 3, 1, 1), (1, 1), (1, 1), Padding::default(), 1),
            // Windows that leave the last row or column out: where candle's own gradient fails.
            ((1, 3, 8, 7), (2, 3, 3, 3), (2, 2), (1, 1), Padding::uniform(1), 1),
            ((1, 3, 7, 8), (2, 3, 3, 3), (2, 2), (1, 1), Padding::uniform(1), 1),
            ((1, 2, 9, 10), (3, 2, 1, 7), (1, 1), (1, 1), Padding::symmetric(0, 3), 1),
            ((1, 2, 9, 8), (3, 2, 3, 2), (2, 2), (2, 2), odd, 1),
            ((1, 2, 9, 8), (3, 2, 3, 2), (3, 2), (1, 2), odd, 1),
            ((2, 4, 5, 6), (6, 2, 3, 3), (2, 2), (1, 1), odd, 2),
            ((1, 4, 6, 5), (6, 2, 3, 3), (1, 2), (1, 1), odd, 2),
            ((2, 3, 7, 6), (3, 1, 5, 5), (2, 2), (1, 1), Padding::uniform(2), 3),
            ((1, 3, 9, 8), (3, 1, 3, 3), (2, 3), (2, 1), odd, 3),
            ((1, 2, 1, 1), (2, 2, 3, 3), (1, 1), (1, 1), Padding::uniform(1), 1),
            // Large enough to be cut along the weight, along the maps, and into runs of products.
            ((2, 96, 9, 8), (80, 96, 3, 3), (1, 1), (1, 1), Padding::uniform(1), 1),
            ((2, 272, 7, 7), (256, 272, 1, 1), (1, 1), (1, 1), Padding::default(), 1),
            ((2, 17, 40, 70), (20, 17, 3, 3), (1, 1), (1, 1), Padding::uniform(1), 1),
        ];
        for (x, weight, stride, dilation, padding, groups) in cases {
            let config = Conv2dConfig { stride, dilation, padding, groups };
            let (x, weight) = (integers(x, 3), integers(weight, 7));
            let geometry = Geometry::new(x.dims4().unwrap(), &weight, None, &config).unwrap();
            let kernels = conv2d(&x, &weight, None, &config, Format::ChannelsFirst).unwrap();
            let other = composed::conv2d(&x, &weight, None, &geometry, Format::ChannelsFirst).unwrap();
            assert_eq!(other.dims(), kernels.dims());
            assert_eq!(values(&other), values(&kernels), "{config:?}");
            let factors = integers(kernels.dims4().unwrap(), 11);
            let gradients = |y: &Tensor| (y * &*factors).unwrap().backward().unwrap();
            let (expected, got) = (gradients(&kernels), gradients(&other));
            for var in [&x, &weight] {
                assert_eq!(values(got.get(var).unwrap()), values(expected.get(var).unwrap()), "{config:?}");
            }
        }
    }
}
