//! The layer normalisation layer.

use std::fmt::{self, Debug, Formatter};

use candle_core::{Module, Tensor, Var};

use super::{Init, Params, Pass, check};
use crate::graph::{Attribute, Graph, Value};
use crate::{Result, layer_norm};

/// [`layer_norm`] with a scale and a shift that are learned.
#[derive(Clone)]
pub struct LayerNorm {
    weight: Var,
    bias: Var,
    eps: f64,
}

impl LayerNorm {
    /// Makes `weight` and `bias`, (channels).
    ///
    /// # Errors
    /// If there are no channels, `eps` isn't a number from 0, or a parameter of that name exists with another shape.
    pub fn new(params: &Params, channels: usize, eps: f64) -> Result<Self> {
        check::positive("LayerNorm", &[("channels", channels)])?;
        check::eps("LayerNorm", eps)?;
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

    /// Describes what [`run`](Self::run) computes.
    ///
    /// # Errors
    /// If candle fails.
    pub fn describe(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let inputs = [x, graph.tensor(&self.weight)?, graph.tensor(&self.bias)?];
        let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(self.eps as f32))];
        Ok(graph.op_with("LayerNormalization", &inputs, &attributes))
    }
}

impl Debug for LayerNorm {
    /// Channels and eps.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "LayerNorm({}, eps {:e})", self.weight.elem_count(), self.eps)
    }
}

impl Module for LayerNorm {
    /// [`run`](Self::run) with tracked weights.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.run(x, &Pass::tracked())?)
    }
}
