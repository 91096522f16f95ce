//! The convolution layer.

use std::fmt::{self, Debug, Formatter};

use candle_core::{Module, Tensor, Var};

use super::{Init, Params, Pass, Weights, check};
use crate::conv::KeptWeight;
use crate::graph::{Attribute, Graph, Value};
use crate::{Conv2dConfig, Error, Format, Padding, Result, conv2d};

/// What errors call it.
const LAYER: &str = "Conv2d";

/// How the padding of a convolution is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvPadding {
    /// As given.
    Explicit(Padding),
    /// TensorFlow's SAME: from the size of the input, with the odd zero below and to the right.
    Same,
}

/// A 2-d convolution, its weight being (O, I / groups, kh, kw) as in PyTorch.
#[derive(Clone)]
pub struct Conv2d {
    weight: Var,
    bias: Option<Var>,
    config: Conv2dConfig,
    padding: ConvPadding,
    kept: KeptWeight,
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
    /// If a size, the stride or the groups are zero, the groups don't divide both numbers of channels, or a parameter of that name
    /// exists with another shape.
    pub fn new(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: (usize, usize),
        options: Conv2dOptions,
    ) -> Result<Self> {
        let Conv2dOptions { stride, padding, groups, bias, init } = options;
        let channels = [("inputs", inputs), ("outputs", outputs), ("groups", groups)];
        let sizes = [("kernel's height", kernel.0), ("kernel's width", kernel.1), ("stride", stride)];
        check::positive(LAYER, &[channels, sizes].concat())?;
        if !inputs.is_multiple_of(groups) || !outputs.is_multiple_of(groups) {
            let message = format!("{groups} groups don't divide {inputs} input and {outputs} output channels");
            return Err(Error::Config { op: LAYER, message });
        }
        let weight = params.parameter("weight", (outputs, inputs / groups, kernel.0, kernel.1), init)?;
        let bias = bias.then(|| params.parameter("bias", outputs, Init::Constant(0.0))).transpose()?;
        let config = Conv2dConfig { stride: (stride, stride), groups, ..Conv2dConfig::default() };
        Ok(Self { weight, bias, config, padding, kept: KeptWeight::default() })
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

    /// Describes what [`run`](Self::run) computes.
    ///
    /// # Errors
    /// If candle fails.
    pub fn describe(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        self.describe_with(graph, x, &self.weight, self.bias.as_deref())
    }

    /// Describes the convolution with another weight of the same shape, and a bias.
    pub(super) fn describe_with(
        &self,
        graph: &mut Graph,
        x: Value,
        weight: &Tensor,
        bias: Option<&Tensor>,
    ) -> Result<Value> {
        let Conv2dConfig { stride, dilation, groups, .. } = self.config;
        let ints = |values: &[usize]| Attribute::Ints(values.iter().map(|&value| value as i64).collect());
        let attributes = [
            ("strides", ints(&[stride.0, stride.1])),
            ("dilations", ints(&[dilation.0, dilation.1])),
            ("group", Attribute::Int(groups as i64)),
            match self.padding {
                ConvPadding::Explicit(Padding { top, bottom, left, right }) => {
                    ("pads", ints(&[top, left, bottom, right]))
                }
                ConvPadding::Same => ("auto_pad", Attribute::Text("SAME_UPPER")),
            },
        ];
        let mut inputs = vec![x, graph.tensor(weight)?];
        if let Some(bias) = bias {
            inputs.push(graph.tensor(bias)?);
        }
        Ok(graph.op_with("Conv", &inputs, &attributes))
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

    /// Where the packed weight is kept, if it no longer changes.
    pub(super) fn kept(&self, pass: &Pass) -> Option<&KeptWeight> {
        (pass.weights == Weights::Kept).then_some(&self.kept)
    }

    /// The weight, as this pass sees it.
    pub(super) fn weight(&self, pass: &Pass) -> Tensor {
        pass.weight(&self.weight)
    }
}

impl Debug for Conv2d {
    /// Inputs, outputs, kernel and stride; padding, groups and the lack of a bias, where there are such.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (outputs, inputs, kh, kw) = self.weight.dims4().map_err(|_| fmt::Error)?;
        let Conv2dConfig { stride, groups, .. } = self.config;
        write!(f, "Conv2d({}, {outputs}, kernel {kh}x{kw}, stride {}", inputs * groups, stride.0)?;
        match self.padding {
            ConvPadding::Same => f.write_str(", padding same")?,
            ConvPadding::Explicit(padding) if padding == Padding::default() => {}
            ConvPadding::Explicit(padding) if padding == Padding::uniform(padding.top) => {
                write!(f, ", padding {}", padding.top)?;
            }
            ConvPadding::Explicit(Padding { top, bottom, left, right }) if (top, left) == (bottom, right) => {
                write!(f, ", padding {top}x{left}")?;
            }
            ConvPadding::Explicit(Padding { top, bottom, left, right }) => {
                write!(f, ", padding {top} above, {bottom} below, {left} left, {right} right")?;
            }
        }
        if groups != 1 {
            write!(f, ", groups {groups}")?;
        }
        f.write_str(if self.bias.is_some() { ")" } else { ", no bias)" })
    }
}

impl Module for Conv2d {
    /// [`run`](Self::run) with tracked weights.
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(self.run(x, &Pass::tracked())?)
    }
}
