//! Softmax and its logarithm by candle's operations.

use candle_core::{D, Tensor};

use crate::Result;

pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    let powers = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?)
}

/// Serves the CPU as well: logits are few.
pub(super) fn log_softmax(x: &Tensor) -> Result<Tensor> {
    // The largest value is only a shift that cancels out, so it needs no gradient.
    let largest = x.detach().max_keepdim(D::Minus1)?;
    let shifted = x.broadcast_sub(&largest)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(shifted.broadcast_sub(&log_sum)?)
}
