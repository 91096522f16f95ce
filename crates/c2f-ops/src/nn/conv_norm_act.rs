//! Convolution, BatchNorm and activation in one layer.

use std::fmt::{self, Debug, Formatter};

use candle_core::{DType, ModuleT, Tensor};

use super::{BatchNorm2d, Conv2d, Conv2dOptions, Params, Pass};
use crate::graph::{Graph, Value};
use crate::maps::conv_norm_act;
use crate::{Activation, Format, Maps, Result};

/// A convolution, BatchNorm, and an activation: what most networks are made of. On the CPU it is one operation, which
/// keeps nothing but the convolution's output.
///
/// A bias of the convolution, which VGG has, only moves BatchNorm's mean: where that is the batch's, the bias has no effect
/// but on the running mean, and no gradient.
#[derive(Clone)]
pub struct ConvNormAct {
    conv: Conv2d,
    norm: BatchNorm2d,
    activation: Activation,
}

/// What a [`ConvNormAct`] is made from, besides the convolution's shape.
#[derive(Clone, Copy, Debug)]
pub struct ConvNormActOptions<'a> {
    /// Names of the convolution and of BatchNorm under the layer's parameters.
    pub names: (&'a str, &'a str),
    /// The convolution's settings.
    pub conv: Conv2dOptions,
    /// BatchNorm's eps.
    pub eps: f64,
    /// Share of the batch in BatchNorm's running statistics (PyTorch's convention).
    pub momentum: f64,
    /// What comes last.
    pub activation: Activation,
}

impl ConvNormAct {
    /// Makes the variables of [`Conv2d`] and [`BatchNorm2d`] under `options.names`.
    ///
    /// # Errors
    /// Those of [`Conv2d::new`] and [`BatchNorm2d::new`].
    pub fn new(
        params: &Params,
        inputs: usize,
        outputs: usize,
        kernel: (usize, usize),
        options: ConvNormActOptions<'_>,
    ) -> Result<Self> {
        let ConvNormActOptions { names, conv, eps, momentum, activation } = options;
        Ok(Self {
            conv: Conv2d::new(&params.at(names.0), inputs, outputs, kernel, conv)?,
            norm: BatchNorm2d::new(&params.at(names.1), outputs, eps, momentum)?,
            activation,
        })
    }

    /// Maps to maps. In [`NormMode::Train`](super::NormMode::Train) the running statistics move.
    ///
    /// # Errors
    /// If the input doesn't have the layer's channels or is smaller than the kernel, or if BatchNorm trains on one value per
    /// channel.
    pub fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        let (_, _, h, w) = x.dims()?;
        let (weight, config) = (self.conv.weight(pass), self.conv.config((h, w))?);
        let (bias, mut norm) = (self.conv.bias(pass), self.norm.norm(pass)?);
        if let (Some(bias), Some((_, var))) = (&bias, &norm.given) {
            let scale = (&norm.gamma / (var + norm.eps)?.sqrt()?)?;
            norm.beta = (norm.beta + (bias * scale)?)?;
        }
        let (y, stats) = conv_norm_act(x, &weight, self.conv.kept(pass), &config, &norm, self.activation)?;
        if let Some(mut stats) = stats {
            if let Some(bias) = bias {
                stats.mean = (stats.mean + bias.detach())?;
            }
            self.norm.update_running_stats(&stats, pass)?;
        }
        Ok(y)
    }

    /// Describes what [`run`](Self::run) computes by the running statistics of the pass, which become part of the convolution.
    ///
    /// # Errors
    /// If the layer hasn't that set of statistics.
    pub fn describe(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<Value> {
        let (factor, mut summand) = self.norm.as_affine(pass)?;
        let double = |tensor: Tensor| tensor.detach().to_dtype(DType::F64);
        let weight = double(self.conv.weight(pass))?.broadcast_mul(&factor.reshape(((), 1, 1, 1))?)?;
        if let Some(bias) = self.conv.bias(pass) {
            summand = (summand + (double(bias)? * factor)?)?;
        }
        let y = self.conv.describe_with(graph, x, &weight, Some(&summand))?;
        Ok(self.activation.describe(graph, y))
    }
}

impl Debug for ConvNormAct {
    /// The three layers.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ConvNormAct({:?}, {:?}, {:?})", self.conv, self.norm, self.activation)
    }
}

impl ModuleT for ConvNormAct {
    /// [`run`](Self::run) on a tensor (B, C, H, W) with tracked weights, by the batch's statistics in training and by the running
    /// ones otherwise. Layer by layer it converts to [`Maps`] and back, which whole networks here don't.
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let maps = Maps::new(x, Format::ChannelsFirst)?;
        Ok(self.run(&maps, &Pass::of(train))?.to_tensor(Format::ChannelsFirst)?)
    }
}
