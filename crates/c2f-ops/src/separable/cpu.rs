//! The kernel of a separable map, whose transpose is its own gradient.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use super::Separable;
use crate::kernel::{channels_last, dtype, for_rows, output, slice, with_float};
use crate::simd::Float;
use crate::source::Source;
use crate::{Format, Result};

pub(super) fn separable(map: &Separable, x: &Tensor, format: Format) -> Result<Tensor> {
    channels_last(x, format, |x| Ok(x.apply_op1(map.clone())?))
}

impl Separable {
    /// (B, H, W, C) -> (B, outputs of `rows`, outputs of `columns`, C). One task makes one row of the output.
    pub(crate) fn run<T: Float>(&self, x: &Source<T>, channels: usize) -> Vec<T> {
        let (h, w) = (self.rows.inputs, self.columns.inputs);
        let (oh, ow) = self.outputs();
        let typed = |taps: &[(usize, f64)]| taps.iter().map(|&(i, weight)| (i, T::from_f64(weight))).collect();
        let rows: Vec<Vec<(usize, T)>> = self.rows.outputs.iter().map(|taps| typed(taps)).collect();
        let columns: Vec<Vec<(usize, T)>> = self.columns.outputs.iter().map(|taps| typed(taps)).collect();

        let batch = x.len() / (h * w * channels).max(1);
        let mut y = vec![T::zero(); batch * oh * ow * channels];
        for_rows(
            &mut y,
            ow * channels,
            1,
            #[inline(always)]
            |row, y| {
                let first = row / oh * h * w;
                let (mut line, mut scratch) = (vec![T::zero(); w * channels], Vec::new());
                for &(k, weight) in &rows[row % oh] {
                    add_scaled(&mut line, x.pixels(first + k * w, w, channels, &mut scratch), weight);
                }
                for (y, taps) in y.chunks_exact_mut(channels).zip(&columns) {
                    for &(l, weight) in taps {
                        add_scaled(y, &line[l * channels..], weight);
                    }
                }
            },
        );
        y
    }
}

#[inline(always)]
fn add_scaled<T: Float>(y: &mut [T], x: &[T], factor: T) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

impl CustomOp1 for Separable {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (b, _, _, c) = layout.shape().dims4()?;
        with_float!(self.name, dtype(storage), T => {
            let y = self.run::<T>(&Source::Plain(slice(self.name, storage, layout)?), c);
            Ok(output(y, (b, self.outputs().0, self.outputs().1, c)))
        })
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(&self.transposed())?))
    }
}
