//! Pooling.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use crate::kernel::{Float, channels_first, channels_last, dtype, for_rows, output, read, slice, with_float};
use crate::separable::{Separable, Taps};
use crate::{Error, Format, Result};

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

/// Largest value of each window; the padding never wins. The gradient goes to the first largest value of a window in
/// reading order, as in PyTorch (candle's own `max_pool2d` scales it by 1 / k^2).
///
/// # Errors
/// If `x` doesn't have four dimensions, the padding is more than half the kernel, or the map is smaller than a window.
pub fn max_pool2d(x: &Tensor, config: &PoolConfig, format: Format) -> Result<Tensor> {
    let windows = Windows::new(MAX, x, config, format)?;
    if x.device().is_cpu() {
        channels_last(x, format, |x| Ok(x.apply_op1(windows)?))
    } else {
        windows.compose(x, format)
    }
}

/// Mean of each window. The padding counts as zeros with `count_include_pad` (PyTorch's default), and not at all without.
///
/// # Errors
/// As [`max_pool2d`].
pub fn avg_pool2d(x: &Tensor, config: &PoolConfig, count_include_pad: bool, format: Format) -> Result<Tensor> {
    let Windows { rows, columns } = Windows::new(AVG, x, config, format)?;
    let (rows, columns) = (rows.means(count_include_pad), columns.means(count_include_pad));
    Separable { name: AVG, rows, columns }.apply(x, format)
}

/// (B, C) means over all pixels of a map.
///
/// # Errors
/// If `x` doesn't have four dimensions, or its maps are empty.
pub fn global_avg_pool(x: &Tensor, format: Format) -> Result<Tensor> {
    let (b, c, h, w) = format.dims(x)?;
    let config = PoolConfig { kernel: (h, w), stride: (1, 1), padding: (0, 0) };
    Ok(avg_pool2d(x, &config, true, format)?.reshape((b, c))?)
}

const MAX: &str = "max_pool2d";
const AVG: &str = "avg_pool2d";

/// The windows along one axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    size: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    outputs: usize,
}

impl Axis {
    fn new(op: &'static str, size: usize, kernel: usize, stride: usize, padding: usize) -> Result<Self> {
        let fail = |message| Err(Error::Config { op, message });
        if kernel == 0 || stride == 0 {
            return fail(format!("kernel {kernel} and stride {stride} must be 1 or more"));
        }
        if padding > kernel / 2 {
            return fail(format!("padding {padding} is more than half the kernel {kernel}"));
        }
        if size == 0 || size + 2 * padding < kernel {
            return fail(format!("a window of {kernel} doesn't fit in {size} with padding {padding}"));
        }
        Ok(Self { size, kernel, stride, padding, outputs: (size + 2 * padding - kernel) / stride + 1 })
    }

    /// The inputs that a window covers.
    #[inline(always)]
    fn window(self, output: usize) -> std::ops::Range<usize> {
        let start = output * self.stride;
        start.saturating_sub(self.padding)..(start + self.kernel - self.padding).min(self.size)
    }

    fn means(self, count_include_pad: bool) -> Taps {
        let outputs = (0..self.outputs).map(|output| {
            let window = self.window(output);
            let count = if count_include_pad { self.kernel } else { window.len() };
            window.map(|input| (input, 1.0 / count as f64)).collect()
        });
        Taps::new(self.size, outputs.collect())
    }
}

/// The windows of max pooling, and its kernels.
#[derive(Clone, Copy, Debug)]
struct Windows {
    rows: Axis,
    columns: Axis,
}

impl Windows {
    fn new(op: &'static str, x: &Tensor, config: &PoolConfig, format: Format) -> Result<Self> {
        let (_, _, h, w) = format.dims(x)?;
        Ok(Self {
            rows: Axis::new(op, h, config.kernel.0, config.stride.0, config.padding.0)?,
            columns: Axis::new(op, w, config.kernel.1, config.stride.1, config.padding.1)?,
        })
    }

    /// The same by candle's operations: the largest of shifted copies, along the rows and then along the columns. A tap
    /// that falls on the padding reads the nearest pixel of the map instead, which lies in the same window.
    fn compose(&self, x: &Tensor, format: Format) -> Result<Tensor> {
        let along = |x: &Tensor, axis: Axis, dim: usize| -> Result<Tensor> {
            let mut largest: Option<Tensor> = None;
            for tap in 0..axis.kernel {
                let index =
                    |output: usize| (output * axis.stride + tap).saturating_sub(axis.padding).min(axis.size - 1) as u32;
                let indices: Vec<u32> = (0..axis.outputs).map(index).collect();
                let shifted = x.index_select(&Tensor::new(indices, x.device())?, dim)?;
                largest = Some(match largest {
                    Some(largest) => largest.maximum(&shifted)?,
                    None => shifted,
                });
            }
            largest.ok_or_else(|| Error::Config { op: MAX, message: "kernel 0".to_owned() })
        };
        channels_first(x, format, |x| along(&along(x, self.rows, 2)?, self.columns, 3))
    }

    /// (B, H, W, C) -> (B, OH, OW, C). One task makes one row of the output.
    #[allow(clippy::eq_op, reason = "a test for NaN that vectorises")]
    fn forward<T: Float>(&self, x: &[T], channels: usize) -> Vec<T> {
        let (h, w, oh, ow) = (self.rows.size, self.columns.size, self.rows.outputs, self.columns.outputs);
        let batch = x.len() / (h * w * channels).max(1);
        let mut y = vec![T::zero(); batch * oh * ow * channels];
        for_rows(
            &mut y,
            ow * channels,
            1,
            #[inline(always)]
            |row, y| {
                let x = &x[row / oh * h * w * channels..][..h * w * channels];
                for (ox, y) in y.chunks_exact_mut(channels).enumerate() {
                    let mut first = true;
                    for iy in self.rows.window(row % oh) {
                        for ix in self.columns.window(ox) {
                            let x = &x[(iy * w + ix) * channels..][..channels];
                            if first {
                                y.copy_from_slice(x);
                                first = false;
                            } else {
                                for (y, &x) in y.iter_mut().zip(x) {
                                    // The second comparison is true for NaN only, which wins as in PyTorch.
                                    *y = if x > *y || x != x { x } else { *y };
                                }
                            }
                        }
                    }
                }
            },
        );
        y
    }

    /// Windows overlap, so one task makes the gradient of one picture.
    fn backward<T: Float>(&self, x: &[T], y: &[T], grad: &[T], channels: usize) -> Vec<T> {
        let (h, w, oh, ow) = (self.rows.size, self.columns.size, self.rows.outputs, self.columns.outputs);
        let mut dx = vec![T::zero(); x.len()];
        for_rows(
            &mut dx,
            h * w * channels,
            1,
            #[inline(always)]
            |picture, dx| {
                let x = &x[picture * h * w * channels..][..h * w * channels];
                // The gradient that hasn't found its largest value yet.
                let mut left = vec![T::zero(); channels];
                for output in 0..oh * ow {
                    let start = (picture * oh * ow + output) * channels;
                    let y = &y[start..][..channels];
                    left.copy_from_slice(&grad[start..][..channels]);
                    for iy in self.rows.window(output / ow) {
                        for ix in self.columns.window(output % ow) {
                            let start = (iy * w + ix) * channels;
                            let values = dx[start..][..channels].iter_mut().zip(&x[start..][..channels]);
                            for (((dx, &x), &y), left) in values.zip(y).zip(&mut left) {
                                let found = x == y;
                                *dx += if found { *left } else { T::zero() };
                                *left = if found { T::zero() } else { *left };
                            }
                        }
                    }
                }
            },
        );
        dx
    }
}

impl CustomOp1 for Windows {
    fn name(&self) -> &'static str {
        MAX
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (b, _, _, c) = layout.shape().dims4()?;
        with_float!(MAX, dtype(storage), T => {
            let y = self.forward::<T>(slice(MAX, storage, layout)?, c);
            Ok(output(y, (b, self.rows.outputs, self.columns.outputs, c)))
        })
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let channels = x.dim(3)?;
        with_float!(MAX, x.dtype(), T => {
            let dx = read(MAX, [x, y, grad], |[x, y, grad]| self.backward::<T>(x, y, grad, channels))?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let x = var((2, 6, 5, 4));
        for (kernel, stride, padding) in [((3, 3), (2, 2), (1, 1)), ((2, 4), (1, 3), (1, 0)), ((1, 1), (2, 1), (0, 0))]
        {
            let config = PoolConfig { kernel, stride, padding };
            for format in [Format::ChannelsFirst, Format::ChannelsLast] {
                let windows = Windows::new(MAX, &x, &config, format).unwrap();
                assert_same(&[&x], &max_pool2d(&x, &config, format).unwrap(), &windows.compose(&x, format).unwrap());
                for count_include_pad in [false, true] {
                    let Windows { rows, columns } = windows;
                    let (rows, columns) = (rows.means(count_include_pad), columns.means(count_include_pad));
                    let composed = Separable { name: AVG, rows, columns }.compose(&x, format).unwrap();
                    assert_same(&[&x], &avg_pool2d(&x, &config, count_include_pad, format).unwrap(), &composed);
                }
            }
        }
    }
}
