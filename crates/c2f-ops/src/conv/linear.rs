//! Fully connected layers.

use candle_core::Tensor;

use super::{Conv2dConfig, conv2d};
use crate::kernel::expect_values;
use crate::{Error, Format, Result, cost};

/// `y = x W^T + b` of `x` (.., in), the weight being (out, in) as in PyTorch, and the bias (out).
///
/// # Errors
/// If the last dimension of `x` isn't `in`, a tensor is empty, or candle fails.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let mut dims = x.dims().to_vec();
    let Some(last) = dims.last_mut().filter(|last| **last == inputs) else {
        return Err(Error::Shape { op: "linear", what: "input", got: dims, expected: format!("(.., {inputs})") });
    };
    *last = outputs;
    expect_values("linear", "input", x)?;
    expect_values("linear", "weight", weight)?;
    if let (true, &[_, .., tokens, _]) = (x.device().is_cpu(), x.dims()) {
        // Tokens are the pixels of maps with one row: each product is a 1x1 convolution.
        let maps = x.reshape(((), 1, tokens, inputs))?;
        let y = conv2d(
            &maps,
            &weight.reshape((outputs, inputs, 1, 1))?,
            bias,
            &Conv2dConfig::default(),
            Format::ChannelsLast,
        )?;
        return Ok(y.reshape(dims)?);
    }
    let rows = x.reshape(((), inputs))?;
    let y = rows.matmul(&weight.t()?)?.reshape(dims)?;
    cost::report(y.elem_count() * inputs, y.elem_count());
    match bias {
        Some(bias) => Ok(y.broadcast_add(bias)?),
        None => Ok(y),
    }
}
