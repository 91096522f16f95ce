//! Division by the Euclidean length.

use candle_core::{D, Tensor};

use crate::Result;

/// x / sqrt(|x|^2 + `eps`^2) along the last axis: a zero vector stays zero and has a finite gradient.
pub(crate) fn l2_normalise(x: &Tensor, eps: f64) -> Result<Tensor> {
    let length = x.sqr()?.sum_keepdim(D::Minus1)?.affine(1.0, eps * eps)?.sqrt()?;
    Ok(x.broadcast_div(&length)?)
}
