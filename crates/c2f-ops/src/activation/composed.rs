//! ReLU by candle's operations.

use candle_core::Tensor;

use crate::Result;

pub(super) fn relu(x: &Tensor, ceiling: f64) -> Result<Tensor> {
    clamp(x, 0.0, ceiling)
}

/// min(max(x, low), high) by candle's operations, with no gradient where x isn't inside of (low, high). candle's own
/// `clamp` and `relu` let half of it or all of it through at the limits.
pub(crate) fn clamp(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    let constant = |value: f64| Tensor::new(value, x.device())?.to_dtype(x.dtype())?.broadcast_as(x.shape());
    let mut y = x.le(low)?.where_cond(&constant(low)?, x)?;
    if high.is_finite() {
        y = y.ge(high)?.where_cond(&constant(high)?, &y)?;
    }
    Ok(y)
}
