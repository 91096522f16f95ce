//! The fully connected layer.

use std::fmt::{self, Debug, Formatter};

use candle_core::{Module, Tensor, Var};

use super::{Init, Params, Pass, check};
use crate::graph::{Graph, Value};
use crate::{Result, linear};

/// y = x W^T + b, the weight being (out, in) as in PyTorch.
#[derive(Clone)]
pub struct Linear {
    weight: Var,
    bias: Option<Var>,
}

impl Linear {
    /// Makes `weight` and, if asked for, a `bias` that starts at zero.
    ///
    /// # Errors
    /// If a size is zero, or a parameter of that name exists with another shape.
    pub fn new(params: &Params, inputs: usize, outputs: usize, bias: bool, init: Init) -> Result<Self> {
        check::positive("Linear", &[("inputs", inputs), ("outputs", outputs)])?;
        let weight = params.parameter("weight", (outputs, inputs), init)?;
        let bias = bias.then(|| params.parameter("bias", outputs, Init::Constant(0.0))).transpose()?;
        Ok(Self { weight, bias })
    }

    /// (.., in) -> (.., out).
    ///
    /// # Errors
    /// If the last dimension of `x` isn't `in`.
    pub fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        linear(x, &pass.weight(&self.weight), self.bias.as_ref().map(|bias| pass.weight(bias)).as_ref())
    }

    /// Describes what [`run`](Self::run) computes.
    ///
    /// # Errors
    /// If candle fails.
    pub fn describe(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let weight = graph.tensor(&self.weight.t()?)?;
        let product = graph.op("MatMul", &[x, weight]);
        let Some(bias) = &self.bias else { return Ok(product) };
        let bias = graph.tensor(bias)?;
        Ok(graph.op("Add", &[product, bias]))
    }

    /// [`run`](Self::run) with every output multiplied by its value in `scale` (out), which costs the weights a
    /// product instead of every output.
    ///
    /// # Errors
    /// As there, or if `scale` has another shape.
    pub fn run_scaled(&self, x: &Tensor, scale: &Tensor, pass: &Pass) -> Result<Tensor> {
        let weight = pass.weight(&self.weight).broadcast_mul(&scale.reshape(((), 1))?)?;
        let bias = self.bias.as_ref().map(|bias| pass.weight(bias) * scale).transpose()?;
        linear(x, &weight, bias.as_ref())
    }
}

impl Debug for Linear {
    /// Inputs, outputs, and whether there is no bias.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (outputs, inputs) = self.weight.dims2().map_err(|_| fmt::Error)?;
        write!(f, "Linear({inputs}, {outputs}{})", if self.bias.is_some() { "" } else { ", no bias" })
    }
}

impl Module for Linear {
    /// [`run`](Self::run) with tracked weights.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.run(x, &Pass::tracked())?)
    }
}
