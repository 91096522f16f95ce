//! The layer normalisation layer.

use candle_core::{Module, Tensor, Var};

use super::{Init, Params, Pass};
use crate::{Result, layer_norm};

/// [`layer_norm`] with a scale and a shift that are learned.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Var,
    bias: Var,
    eps: f64,
}

impl LayerNorm {
    /// Makes `weight` and `bias`, (channels).
    ///
    /// # Errors
    /// If a parameter of that name exists with another shape.
    pub fn new(params: &Params, channels: usize, eps: f64) -> Result<Self> {
        let weight = params.parameter("weight", channels, Init::Constant(1.0))?;
        let bias = params.parameter("bias", channels, Init::Constant(0.0))?;
        Ok(Self { weight, bias, eps })
    }

    /// (.., channels) to the same.
    ///
    /// # Errors
    /// If the last dimension of `x` isn't `channels`.
    pub fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        layer_norm(x, &pass.weight(&self.weight), &pass.weight(&self.bias), self.eps)
    }
}

impl Module for LayerNorm {
    /// [`run`](Self::run) with tracked weights.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.run(x, &Pass::tracked())?)
    }
}
