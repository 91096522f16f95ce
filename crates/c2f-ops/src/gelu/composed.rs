//! GELU by candle's own operation.

use candle_core::Tensor;

use crate::Result;

pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    Ok(x.gelu_erf()?)
}
