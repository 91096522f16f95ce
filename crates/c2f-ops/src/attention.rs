//! The attention of transformers.

use candle_core::{D, Tensor};

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
