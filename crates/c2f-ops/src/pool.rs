//! Pooling.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

use crate::kernel::{channels_first, channels_last, dtype, expect_values, for_rows, output, read, slice, with_float};
use crate::separable::{Separable, Taps};
use crate::simd::{Float, vectorize};
use crate::source::Source;
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
/// If `x` doesn't have four dimensions or is empty, the padding is more than half the kernel, or the map is smaller than a window.
pub fn max_pool2d(x: &Tensor, config: &PoolConfig, format: Format) -> Result<Tensor> {
    let (_, _, h, w) = format.dims(x)?;
    let windows = Windows::new(MAX, (h, w), config)?;
    expect_values(MAX, "input", x)?;
    if x.device().is_cpu() {
        channels_last(x, format, |x| Ok(x.apply_op1(MaxPool { windows, winners: OnceLock::new() })?))
    } else {
        windows.compose(x, format)
    }
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

/// [`avg_pool2d`] of maps of `size` (height, width).
pub(crate) fn means(size: (usize, usize), config: &PoolConfig, count_include_pad: bool) -> Result<Separable> {
    let Windows { rows, columns } = Windows::new(AVG, size, config)?;
    Ok(Separable { name: AVG, rows: rows.means(count_include_pad), columns: columns.means(count_include_pad) })
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

pub(crate) const MAX: &str = "max_pool2d";
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
        if kernel > 255 && op == MAX {
            return fail(format!("a window of {kernel}: 255 is the longest"));
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

    /// The windows that cover an input.
    #[inline(always)]
    fn covering(self, input: usize) -> std::ops::Range<usize> {
        let first = (input + self.padding + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        first..((input + self.padding) / self.stride + 1).min(self.outputs)
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
pub(crate) struct Windows {
    rows: Axis,
    columns: Axis,
}

impl Windows {
    /// Of maps of `size` (height, width).
    pub fn new(op: &'static str, size: (usize, usize), config: &PoolConfig) -> Result<Self> {
        let (h, w) = size;
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

    /// Rows and columns of the output.
    pub fn outputs(&self) -> (usize, usize) {
        (self.rows.outputs, self.columns.outputs)
    }

    /// (B, H, W, C) -> (B, OH, OW, C), and which place of its window each value is from, in reading order. One task makes
    /// one row of the output.
    #[allow(clippy::eq_op, clippy::needless_bitwise_bool, reason = "a test for NaN that vectorises")]
    pub fn forward<T: Float>(&self, x: &Source<T>, channels: usize) -> (Vec<T>, Vec<u16>) {
        let (h, w, oh, ow) = (self.rows.size, self.columns.size, self.rows.outputs, self.columns.outputs);
        let batch = x.len() / (h * w * channels).max(1);
        let mut y = vec![T::zero(); batch * oh * ow * channels];
        let mut winners = vec![0; y.len()];
        let width = (ow * channels).max(1);
        let tasks = y.par_chunks_mut(width).zip(winners.par_chunks_mut(width)).enumerate();
        tasks.for_each_init(Vec::new, |scratch, (row, (y, winners))| {
            let seen = self.rows.window(row % oh);
            let x = x.pixels((row / oh * h + seen.start) * w, seen.len() * w, channels, scratch);
            vectorize(
                #[inline(always)]
                || {
                    let pixels = y.chunks_exact_mut(channels).zip(winners.chunks_exact_mut(channels));
                    for (ox, (y, winners)) in pixels.enumerate() {
                        let mut first = true;
                        for iy in seen.clone() {
                            for ix in self.columns.window(ox) {
                                let x = &x[((iy - seen.start) * w + ix) * channels..][..channels];
                                let place = self.place((row % oh, ox), (iy, ix));
                                if first {
                                    y.copy_from_slice(x);
                                    winners.fill(place);
                                    first = false;
                                    continue;
                                }
                                for ((y, winner), &x) in y.iter_mut().zip(&mut *winners).zip(x) {
                                    // The second comparison is true for NaN only, which wins as in PyTorch.
                                    let wins = (x > *y) | (x != x);
                                    *y = if wins { x } else { *y };
                                    *winner = if wins { place } else { *winner };
                                }
                            }
                        }
                    }
                },
            );
        });
        (y, winners)
    }

    /// Number, in reading order, of an input in the window of an output.
    #[inline(always)]
    fn place(&self, output: (usize, usize), input: (usize, usize)) -> u16 {
        let row = input.0 + self.rows.padding - output.0 * self.rows.stride;
        let column = input.1 + self.columns.padding - output.1 * self.columns.stride;
        (row * self.columns.kernel + column) as u16
    }

    /// Each input takes the gradients of the windows that it won. One task makes one row of the input; `finish` is called
    /// with the index of its first value and its values while they are in the cache, and its answers come in order.
    pub fn backward<T: Float, R: Send>(
        &self,
        winners: &[u16],
        grad: &[T],
        channels: usize,
        finish: impl Fn(usize, &[T]) -> R + Sync,
    ) -> (Vec<T>, Vec<R>) {
        let (h, w, oh, ow) = (self.rows.size, self.columns.size, self.rows.outputs, self.columns.outputs);
        let batch = grad.len() / (oh * ow * channels).max(1);
        let mut dx = vec![T::zero(); batch * h * w * channels];
        let finished = for_rows(
            &mut dx,
            w * channels,
            1,
            #[inline(always)]
            |row, dx| {
                let (picture, iy) = (row / h, row % h);
                for oy in self.rows.covering(iy) {
                    for (ix, dx) in dx.chunks_exact_mut(channels).enumerate() {
                        for ox in self.columns.covering(ix) {
                            let place = self.place((oy, ox), (iy, ix));
                            let start = ((picture * oh + oy) * ow + ox) * channels;
                            let values = winners[start..][..channels].iter().zip(&grad[start..][..channels]);
                            for (dx, (&winner, &grad)) in dx.iter_mut().zip(values) {
                                *dx += if winner == place { grad } else { T::zero() };
                            }
                        }
                    }
                }
                finish(row * w * channels, dx)
            },
        );
        (dx, finished)
    }
}

/// Max pooling of tensors (B, H, W, C).
struct MaxPool {
    windows: Windows,
    /// Left by the forward pass for the backward pass.
    winners: OnceLock<Vec<u16>>,
}

impl CustomOp1 for MaxPool {
    fn name(&self) -> &'static str {
        MAX
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (b, _, _, c) = layout.shape().dims4()?;
        with_float!(MAX, dtype(storage), T => {
            let (y, winners) = self.windows.forward(&Source::Plain(slice::<T>(MAX, storage, layout)?), c);
            self.winners.get_or_init(|| winners);
            Ok(output(y, (b, self.windows.rows.outputs, self.windows.columns.outputs, c)))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let Some(winners) = self.winners.get() else { candle_core::bail!("{MAX}: backward before forward") };
        let channels = x.dim(3)?;
        with_float!(MAX, x.dtype(), T => {
            let dx = read(MAX, [grad], |[grad]| self.windows.backward::<T, _>(winners, grad, channels, |_, _| ()).0)?;
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
                let (_, _, h, w) = format.dims(&x).unwrap();
                let windows = Windows::new(MAX, (h, w), &config).unwrap();
                assert_same(&[&x], &max_pool2d(&x, &config, format).unwrap(), &windows.compose(&x, format).unwrap());
                for count_include_pad in [false, true] {
                    let composed = means((h, w), &config, count_include_pad).unwrap().compose(&x, format).unwrap();
                    assert_same(&[&x], &avg_pool2d(&x, &config, count_include_pad, format).unwrap(), &composed);
                }
            }
        }
    }
}
