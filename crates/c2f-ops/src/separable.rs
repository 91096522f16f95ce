//! Linear maps of a picture that are a product of a map of its rows and a map of its columns: average pooling and
//! bilinear resizing.

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor};

use crate::kernel::{channels_first, channels_last, dtype, for_rows, output, slice, with_float};
use crate::simd::Float;
use crate::source::Source;
use crate::{Format, Result};

/// A sparse matrix (outputs, inputs): each output is a weighted sum of some inputs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taps {
    inputs: usize,
    /// (index, weight) per output, by rising index.
    outputs: Vec<Vec<(usize, f64)>>,
}

impl Taps {
    pub(crate) fn new(inputs: usize, outputs: Vec<Vec<(usize, f64)>>) -> Self {
        Self { inputs, outputs }
    }

    fn transposed(&self) -> Self {
        let mut outputs = vec![Vec::new(); self.inputs];
        for (output, taps) in self.outputs.iter().enumerate() {
            for &(input, weight) in taps {
                outputs[input].push((output, weight));
            }
        }
        Self { inputs: self.outputs.len(), outputs }
    }

    /// (outputs, inputs)
    fn matrix(&self, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut values = vec![0.0; self.outputs.len() * self.inputs];
        for (row, taps) in values.chunks_exact_mut(self.inputs).zip(&self.outputs) {
            for &(input, weight) in taps {
                row[input] += weight;
            }
        }
        Tensor::from_vec(values, (self.outputs.len(), self.inputs), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
    }
}

/// `y[i, j] = sum over (k, l) of rows[i, k] * columns[j, l] * x[k, l]`, for each picture and channel.
#[derive(Clone, Debug)]
pub(crate) struct Separable {
    pub(crate) name: &'static str,
    pub(crate) rows: Taps,
    pub(crate) columns: Taps,
}

impl Separable {
    pub(crate) fn apply(self, x: &Tensor, format: Format) -> Result<Tensor> {
        if x.device().is_cpu() { channels_last(x, format, |x| Ok(x.apply_op1(self)?)) } else { self.compose(x, format) }
    }

    /// The same by two matrix products.
    pub(crate) fn compose(&self, x: &Tensor, format: Format) -> Result<Tensor> {
        channels_first(x, format, |x| {
            let (b, c, h, w) = x.dims4()?;
            let rows = self.rows.matrix(x.dtype(), x.device())?;
            let columns = self.columns.matrix(x.dtype(), x.device())?;
            let (oh, ow) = (rows.dim(0)?, columns.dim(0)?);
            let y = x.reshape((b * c * h, w))?.matmul(&columns.t()?)?.reshape((b * c, h, ow))?;
            let y = y.transpose(1, 2)?.contiguous()?.reshape((b * c * ow, h))?.matmul(&rows.t()?)?;
            Ok(y.reshape((b, c, ow, oh))?.transpose(2, 3)?.contiguous()?)
        })
    }

    pub(crate) fn transposed(&self) -> Self {
        Self { name: self.name, rows: self.rows.transposed(), columns: self.columns.transposed() }
    }

    /// Rows and columns of y.
    pub(crate) fn outputs(&self) -> (usize, usize) {
        (self.rows.outputs.len(), self.columns.outputs.len())
    }

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
