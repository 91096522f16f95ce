//! What descriptions say often.

use std::ops::Range;

use super::{Attribute, Graph, Value};

/// ONNX's numbers of element types.
const FLOAT: i64 = 1;

impl Graph {
    /// `factor * x + offset`.
    pub fn affine(&mut self, x: Value, factor: f64, offset: f64) -> Value {
        let mut y = x;
        if factor != 1.0 {
            let factor = self.scalar(factor);
            y = self.op("Mul", &[y, factor]);
        }
        if offset != 0.0 {
            let offset = self.scalar(offset);
            y = self.op("Add", &[y, offset]);
        }
        y
    }

    /// Some of the sizes of `x`, as a row of whole numbers.
    pub fn shape(&mut self, x: Value, axes: Range<i64>) -> Value {
        let axes = [("start", Attribute::Int(axes.start)), ("end", Attribute::Int(axes.end))];
        self.op_with("Shape", &[x], &axes)
    }

    /// `x` in another shape: 0 is the size that it has along this axis, -1 what is left.
    pub fn reshape(&mut self, x: Value, shape: &[i64]) -> Value {
        let shape = self.ints(shape);
        self.reshape_to(x, shape)
    }

    /// The same for a shape that is computed.
    pub fn reshape_to(&mut self, x: Value, shape: Value) -> Value {
        self.op("Reshape", &[x, shape])
    }

    /// `x` with its axes in another order.
    pub fn transpose(&mut self, x: Value, axes: &[i64]) -> Value {
        self.op_with("Transpose", &[x], &[("perm", Attribute::Ints(axes.to_vec()))])
    }

    /// Maps (B, C, H, W) to (B, H, W, C).
    pub fn channels_last(&mut self, x: Value) -> Value {
        self.transpose(x, &[0, 2, 3, 1])
    }

    /// Maps (B, H, W, C) to (B, C, H, W).
    pub fn channels_first(&mut self, x: Value) -> Value {
        self.transpose(x, &[0, 3, 1, 2])
    }

    /// Values one after another along an axis.
    pub fn concat(&mut self, values: &[Value], axis: i64) -> Value {
        self.op_with("Concat", values, &[("axis", Attribute::Int(axis))])
    }

    /// `x` with new axes of size 1, which have these numbers in the result.
    pub fn unsqueeze(&mut self, x: Value, axes: &[i64]) -> Value {
        let axes = self.ints(axes);
        self.op("Unsqueeze", &[x, axes])
    }

    /// One place along an axis, which goes.
    pub fn get(&mut self, x: Value, axis: i64, index: i64) -> Value {
        let index = self.whole(&[index], &[]);
        self.op_with("Gather", &[x, index], &[("axis", Attribute::Int(axis))])
    }

    /// One place along an axis, which stays with a size of 1.
    pub fn narrow(&mut self, x: Value, axis: i64, index: i64) -> Value {
        self.gather(x, axis, &[index])
    }

    /// Some places along an axis.
    pub fn gather(&mut self, x: Value, axis: i64, indices: &[i64]) -> Value {
        let indices = self.ints(indices);
        self.op_with("Gather", &[x, indices], &[("axis", Attribute::Int(axis))])
    }

    /// Whole numbers or truth values as f32.
    pub fn to_float(&mut self, x: Value) -> Value {
        self.op_with("Cast", &[x], &[("to", Attribute::Int(FLOAT))])
    }

    /// The mean along these axes, which stay with a size of 1.
    pub fn mean(&mut self, x: Value, axes: &[i64]) -> Value {
        self.op_with("ReduceMean", &[x], &[("axes", Attribute::Ints(axes.to_vec()))])
    }

    /// The largest value along these axes, which stay with a size of 1.
    pub fn max(&mut self, x: Value, axes: &[i64]) -> Value {
        self.op_with("ReduceMax", &[x], &[("axes", Attribute::Ints(axes.to_vec()))])
    }

    /// The sum along these axes, which stay with a size of 1.
    pub fn sum(&mut self, x: Value, axes: &[i64]) -> Value {
        let axes = self.ints(axes);
        self.op("ReduceSum", &[x, axes])
    }

    /// The product of a row of whole numbers, as a float.
    pub fn product(&mut self, x: Value) -> Value {
        let product = self.op("ReduceProd", &[x]);
        self.to_float(product)
    }

    /// e^x over its sum, along the last axis: what [`softmax`](crate::softmax) computes.
    pub fn softmax(&mut self, x: Value) -> Value {
        self.op_with("Softmax", &[x], &[("axis", Attribute::Int(-1))])
    }
}
