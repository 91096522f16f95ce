//! Linear maps of a picture that are a product of a map of its rows and a map of its columns: average pooling and
//! resizing.

pub(crate) mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::Tensor;

use crate::device::{by_device, on_card};
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
}

/// `y[i, j] = sum over (k, l) of rows[i, k] * columns[j, l] * x[k, l]`, for each picture and channel.
#[derive(Clone, Debug)]
pub(crate) struct Separable {
    pub(crate) name: &'static str,
    pub(crate) rows: Taps,
    pub(crate) columns: Taps,
}

impl Separable {
    /// Maps of `format` to maps of the same.
    pub(crate) fn apply(&self, x: &Tensor, format: Format) -> Result<Tensor> {
        on_card!(x => cuda::separable(self, x, format));
        by_device(x, || cpu::separable(self, x, format), || composed::separable(self, x, format))
    }

    pub(crate) fn transposed(&self) -> Self {
        Self { name: self.name, rows: self.rows.transposed(), columns: self.columns.transposed() }
    }

    /// Rows and columns of y.
    pub(crate) fn outputs(&self) -> (usize, usize) {
        (self.rows.outputs.len(), self.columns.outputs.len())
    }
}
