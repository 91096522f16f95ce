//! The convolution layer.

use candle_core::{Module, Tensor, Var};

use super::{Init, Params, Pass};
use crate::{Conv2dConfig, Error, Format, Padding, Result, conv2d};

/// How the padding of a convolution is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvPadding {
    /// As given.
    Explicit(Padding),
    /// TensorFlow's SAME: from the size of the input, with the odd zero below and to the right.
    Same,
}

/// A 2-d convolution, its weight being (O, I / groups, kh, kw) as in PyTorch.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Var,
    bias: Option<Var>,
    config: Conv2dConfig,
    padding: ConvPadding,
}

/// What a [`Conv2d`] is made from, besides its channels and kernel.
#[derive(Clone, Copy, Debug)]
pub struct Conv2dOptions {
    /// Step, the same in both directions.
    pub stride: usize,
    /// Padding rule.
    pub padding: ConvPadding,
    /// Groups of channels.
    pub groups: usize,
    /// Whether a bias, starting at zero, is added.
    pub bias: bool,
    /// Initial values of the weight.
    pub init: Init,
}

impl Default for Conv2dOptions {
    fn default() -> Self {
        Self {
            stride: 1,
            padding: ConvPadding::Explicit(Padding::default()),
            groups: 1,
            bias: false,
            init: Init::TORCH,
        }
    }
}

impl Conv2d {
    /// Makes `weight` and, if asked for, `bias`.
    ///
    /// # Errors
    /// If the groups don't divide both numbers of channels, or a parameter of that name exists with another shape.
    pub fn new(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: (usize, usize),
        options: Conv2dOptions,
    ) -> Result<Self> {
        let Conv2dOptions { stride, padding, groups, bias, init } = options;
        if groups == 0 || !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            let message = format!("{groups} groups don't divide {inputs} input and {outputs} output channels");
            return Err(Error::Config { op: "conv2d", message });
        }
        let weight = params.parameter("weight", (outputs, inputs / groups, kernel.0, kernel.1), init)?;
        let bias = bias.then(|| params.parameter("bias", outputs, Init::Constant(0.0))).transpose()?;
        let config = Conv2dConfig { stride: (stride, stride), groups, ..Conv2dConfig::default() };
        Ok(Self { weight, bias, config, padding })
    }

    /// Maps (B, I, H, W) to maps (B, O, H', W').
    ///
    /// # Errors
    /// If the input doesn't have the layer's channels, or is smaller than the kernel.
    pub fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.run_as(x, Format::ChannelsFirst, pass)
    }

    /// As [`run`](Self::run), from and to maps of `format`.
    ///
    /// # Errors
    /// As there.
    pub fn run_as(&self, x: &Tensor, format: Format, pass: &Pass) -> Result<Tensor> {
        let (_, _, h, w) = format.dims(x)?;
        conv2d(x, &self.weight(pass), self.bias(pass).as_ref(), &self.config((h, w))?, format)
    }

    /// The settings for maps of `size` (height, width).
    pub(super) fn config(&self, size: (usize, usize)) -> Result<Conv2dConfig> {
        let padding = match self.padding {
            ConvPadding::Explicit(padding) => padding,
            ConvPadding::Same => {
                let (_, _, kh, kw) = self.weight.dims4()?;
                Padding::same(size, (kh, kw), self.config.stride, self.config.dilation)
            }
        };
        Ok(Conv2dConfig { padding, ..self.config })
    }

    /// The bias, as this pass sees it.
    pub(super) fn bias(&self, pass: &Pass) -> Option<Tensor> {
        self.bias.as_ref().map(|bias| pass.weight(bias))
    }

    /// The weight, as this pass sees it.
    pub(super) fn weight(&self, pass: &Pass) -> Tensor {
        pass.weight(&self.weight)
    }
}

impl Module for Conv2d {
    /// [`run`](Self::run) with tracked weights.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.run(x, &Pass::tracked())?)
    }
}
