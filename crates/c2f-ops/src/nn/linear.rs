//! The fully connected layer.

use candle_core::{Tensor, Var};

use super::{Init, Params, Pass};
use crate::{Error, Result, cost};

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

    /// (.., in) -> (.., out).
    ///
    /// # Errors
    /// If the last dimension of `x` isn't `in`.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (outputs, inputs) = self.weight.dims2()?;
        let mut dims = x.dims().to_vec();
        let Some(last) = dims.last_mut().filter(|last| **last == inputs) else {
            let expected = format!("(.., {inputs})");
            return Err(Error::Shape { op: "linear", what: "input", got: dims, expected });
        };
        *last = outputs;
        let rows = x.reshape(((), inputs))?;
        cost::report(rows.elem_count() * outputs);
        let y = rows.matmul(&pass.weight(&self.weight).t()?)?.reshape(dims)?;
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(&pass.weight(bias))?),
            None => Ok(y),
        }
    }
}
