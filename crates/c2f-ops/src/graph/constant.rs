//! The constants of a graph.

use candle_core::{DType, Tensor};

use super::{Graph, Value};
use crate::Result;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// Numbers of 32 bits.
    F32,
    /// Bytes.
    U8,
    /// Whole numbers of 64 bits: shapes, indices and axes.
    I64,
}

/// A tensor whose elements lie in reading order, little-endian.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Constant {
    /// The type of its elements.
    pub element: Element,
    /// Its shape.
    pub dims: Vec<usize>,
    /// Its elements.
    pub bytes: Vec<u8>,
}

impl Graph {
    /// A tensor of any shape as a constant, in f32.
    ///
    /// # Errors
    /// If candle fails.
    pub fn tensor(&mut self, tensor: &Tensor) -> Result<Value> {
        let values: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(self.floats(&values, tensor.dims()))
    }

    /// Numbers of any shape, in reading order.
    pub fn floats(&mut self, values: &[f32], dims: &[usize]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(Constant { element: Element::F32, dims: dims.to_vec(), bytes })
    }

    /// A number.
    pub fn scalar(&mut self, value: f64) -> Value {
        self.floats(&[value as f32], &[])
    }

    /// A row of whole numbers, such as a shape.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        self.whole(values, &[values.len()])
    }

    /// Whole numbers of any shape.
    pub(super) fn whole(&mut self, values: &[i64], dims: &[usize]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(Constant { element: Element::I64, dims: dims.to_vec(), bytes })
    }
}
