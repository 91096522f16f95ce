//! The attention of transformers.

use candle_core::{D, Tensor};

use crate::graph::{Graph, Value};
use crate::kernel::expect_values;
use crate::{Result, cost, softmax};

/// `softmax(q k^T / sqrt(d)) v`, for queries (.., N, d), keys (.., M, d) and values (.., M, e) with the same leading axes
/// (Vaswani et al. 2017, section 3.2.1; PyTorch's `scaled_dot_product_attention`).
///
/// # Errors
/// If the shapes don't fit each other, a tensor is empty, or candle fails.
pub fn scaled_dot_product_attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    for (what, tensor) in [("queries", q), ("keys", k), ("values", v)] {
        expect_values("attention", what, tensor)?;
    }
    let width = q.dim(D::Minus1)?;
    let scores =
        q.affine(1.0 / (width as f64).sqrt(), 0.0)?.contiguous()?.matmul(&k.transpose(D::Minus2, D::Minus1)?)?;
    let y = softmax(&scores)?.matmul(&v.contiguous()?)?;
    cost::report(scores.elem_count() * (width + v.dim(D::Minus1)?), scores.elem_count() + y.elem_count());
    Ok(y)
}

impl Graph {
    /// Describes what [`scaled_dot_product_attention`] computes of four axes, for queries of `width` d.
    pub fn scaled_dot_product_attention(&mut self, q: Value, k: Value, v: Value, width: usize) -> Value {
        let q = self.affine(q, 1.0 / (width as f64).sqrt(), 0.0);
        let keys = self.transpose(k, &[0, 1, 3, 2]);
        let scores = self.op("MatMul", &[q, keys]);
        let shares = self.softmax(scores);
        self.op("MatMul", &[shares, v])
    }
}
