//! Layer normalisation by candle's operations.

use candle_core::{D, Tensor};

use crate::Result;

pub(super) fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let std = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?;
    Ok(centred.broadcast_div(&std)?.broadcast_mul(gamma)?.broadcast_add(beta)?)
}
