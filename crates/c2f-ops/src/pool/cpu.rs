//! The kernels of max pooling.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::{MAX, Windows};
use crate::kernel::{channels_last, dtype, for_rows, output, read, slice, with_float};
use crate::simd::{Float, vectorize};
use crate::source::Source;
use crate::{Format, Result};

pub(super) fn max_pool2d(x: &Tensor, windows: Windows, format: Format) -> Result<Tensor> {
    channels_last(x, format, |x| Ok(x.apply_op1(MaxPool { windows, winners: OnceLock::new() })?))
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

impl Windows {
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
