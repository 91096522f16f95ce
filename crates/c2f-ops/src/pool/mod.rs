//! Pooling.

mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod windows;

use candle_core::Tensor;

use crate::device::{by_device, on_card};
use crate::graph::{Attribute, Graph, Value};
use crate::kernel::expect_values;
use crate::separable::Separable;
use crate::{Format, Result};
use windows::Axis;
pub(crate) use windows::Windows;

pub(crate) const MAX: &str = "max_pool2d";
const AVG: &str = "avg_pool2d";

/// Windows of a pooling. The output has `(size + 2 * padding - kernel) / stride + 1` rows and columns, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConfig {
    /// Height and width of the window.
    pub kernel: (usize, usize),
    /// Vertical and horizontal step.
    pub stride: (usize, usize),
    /// Rows above and below, columns left and right; at most half the kernel, so that each window meets the map.
    pub padding: (usize, usize),
}

impl PoolConfig {
    /// Describes what [`max_pool2d`] computes of maps (B, C, H, W).
    pub fn describe_max(&self, graph: &mut Graph, x: Value) -> Value {
        graph.op_with("MaxPool", &[x], &self.attributes())
    }

    /// Describes what [`avg_pool2d`] computes of maps (B, C, H, W), where the padding counts as zeros.
    pub fn describe_mean(&self, graph: &mut Graph, x: Value) -> Value {
        let counts = ("count_include_pad", Attribute::Int(1));
        graph.op_with("AveragePool", &[x], &[&self.attributes()[..], &[counts]].concat())
    }

    fn attributes(&self) -> [(&'static str, Attribute); 3] {
        let (vertical, horizontal) = (self.padding.0 as i64, self.padding.1 as i64);
        [
            ("kernel_shape", Attribute::Ints(vec![self.kernel.0 as i64, self.kernel.1 as i64])),
            ("strides", Attribute::Ints(vec![self.stride.0 as i64, self.stride.1 as i64])),
            ("pads", Attribute::Ints(vec![vertical, horizontal, vertical, horizontal])),
        ]
    }
}

/// Largest value of each window; the padding never wins. The gradient goes to the first largest value of a window in
/// reading order, as in PyTorch (candle's own `max_pool2d` scales it by 1 / k^2).
///
/// # Errors
/// If `x` doesn't have four dimensions or is empty, the padding is more than half the kernel, or the map is smaller than a window.
pub fn max_pool2d(x: &Tensor, config: &PoolConfig, format: Format) -> Result<Tensor> {
    let (_, _, h, w) = format.dims(x)?;
    let windows = Windows::new(MAX, (h, w), config)?;
    expect_values(MAX, "input", x)?;
    on_card!(x => cuda::max_pool2d(x, windows, format));
    by_device(x, || cpu::max_pool2d(x, windows, format), || composed::max_pool2d(x, windows, format))
}

/// Mean of each window. The padding counts as zeros with `count_include_pad` (PyTorch's default), and not at all without.
///
/// # Errors
/// As [`max_pool2d`].
pub fn avg_pool2d(x: &Tensor, config: &PoolConfig, count_include_pad: bool, format: Format) -> Result<Tensor> {
    let (_, _, h, w) = format.dims(x)?;
    let means = means((h, w), config, count_include_pad)?;
    expect_values(AVG, "input", x)?;
    means.apply(x, format)
}

/// (B, C) means over all pixels of a map.
///
/// # Errors
/// If `x` doesn't have four dimensions, or is empty.
pub fn global_avg_pool(x: &Tensor, format: Format) -> Result<Tensor> {
    let (b, c, h, w) = format.dims(x)?;
    let config = PoolConfig { kernel: (h, w), stride: (1, 1), padding: (0, 0) };
    Ok(avg_pool2d(x, &config, true, format)?.reshape((b, c))?)
}

/// [`avg_pool2d`] of maps of `size` (height, width).
pub(crate) fn means(size: (usize, usize), config: &PoolConfig, count_include_pad: bool) -> Result<Separable> {
    let windows = Windows::new(AVG, size, config)?;
    let means = |axis: Axis| axis.means(count_include_pad);
    Ok(Separable { name: AVG, rows: means(windows.rows), columns: means(windows.columns) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};
    use crate::separable;
    use crate::test_device::device;
    use candle_core::Var;

    #[test]
    fn of_equal_values_both_forms_choose_the_first_and_nan_wins() {
        // Few different values: nearly every window has ties along both axes.
        let values: Vec<f64> = (0..2 * 3 * 6 * 6_u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 30)).collect();
        let x = Var::from_tensor(&Tensor::from_vec(values, (2, 3, 6, 6), &device()).unwrap()).unwrap();
        let windows = |config: &PoolConfig| Windows::new(MAX, (6, 6), config).unwrap();
        for (kernel, stride, padding) in [((3, 3), (2, 2), (1, 1)), ((2, 4), (1, 2), (1, 0)), ((4, 2), (2, 1), (0, 1))]
        {
            let config = PoolConfig { kernel, stride, padding };
            let composed = composed::max_pool2d(&x, windows(&config), Format::ChannelsFirst).unwrap();
            assert_same(&[&x], &max_pool2d(&x, &config, Format::ChannelsFirst).unwrap(), &composed);
        }
        let config = PoolConfig { kernel: (2, 2), stride: (2, 2), padding: (0, 0) };
        let mut values = vec![1.0_f64; 36];
        values[7] = f64::NAN;
        let x = Tensor::from_vec(values, (1, 1, 6, 6), &device()).unwrap();
        let y = composed::max_pool2d(&x, windows(&config), Format::ChannelsFirst).unwrap();
        let y: Vec<f64> = y.flatten_all().unwrap().to_vec1().unwrap();
        assert!(y[0].is_nan() && y[1..].iter().all(|value| *value == 1.0), "{y:?}");
    }

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let x = var((2, 6, 5, 4));
        for (kernel, stride, padding) in [((3, 3), (2, 2), (1, 1)), ((2, 4), (1, 3), (1, 0)), ((1, 1), (2, 1), (0, 0))]
        {
            let config = PoolConfig { kernel, stride, padding };
            for format in [Format::ChannelsFirst, Format::ChannelsLast] {
                let (_, _, h, w) = format.dims(&x).unwrap();
                let windows = Windows::new(MAX, (h, w), &config).unwrap();
                assert_same(
                    &[&x],
                    &max_pool2d(&x, &config, format).unwrap(),
                    &composed::max_pool2d(&x, windows, format).unwrap(),
                );
                for count_include_pad in [false, true] {
                    let means = means((h, w), &config, count_include_pad).unwrap();
                    let products = separable::composed::separable(&means, &x, format).unwrap();
                    assert_same(&[&x], &avg_pool2d(&x, &config, count_include_pad, format).unwrap(), &products);
                }
            }
        }
    }
}
