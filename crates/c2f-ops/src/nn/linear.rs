//! The fully connected layer.

use candle_core::{Tensor, Var};

use super::{Init, Params, Pass};
use crate::Result;

/// y = x W^T + b, the weight being (out, in) as in PyTorch.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Var,
    bias: Option<Var>,
}

impl Linear {
    /// Makes `weight` and, if asked for, a `bias` that starts at zero.
    ///
    /// # Errors
    /// If a parameter of that name exists with another shape.
    pub fn new(params: &Params, inputs: usize, outputs: usize, bias: bool, init: Init) -> Result<Self> {
        let weight = params.parameter("weight", (outputs, inputs), init)?;
        let bias = bias.then(|| params.parameter("bias", outputs, Init::Constant(0.0))).transpose()?;
        Ok(Self { weight, bias })
    }

    /// (B, in) -> (B, out).
    ///
    /// # Errors
    /// If the last dimension of `x` isn't `in`.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = x.matmul(&pass.weight(&self.weight).t()?)?;
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(&pass.weight(bias))?),
            None => Ok(y),
        }
    }
}
