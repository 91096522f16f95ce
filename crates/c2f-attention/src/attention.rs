//! Attention maps.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{Conv2dOptions, ConvNormAct, ConvNormActOptions, Init, Params, Pass};
use c2f_ops::{Activation, Format, Maps};
use candle_core::{ModuleT, Tensor};

use crate::{PartsConfig, Result};

/// A = ReLU(BN(W_a * F)): M maps of where the parts are, from a 1x1 convolution without bias (WS-DAN, Hu et al. 2019;
/// BatchNorm's eps of 1e-3 is its public implementation's).
#[derive(Clone, Debug)]
pub struct AttentionMaps {
    layer: ConvNormAct,
}

impl AttentionMaps {
    /// Makes `conv.weight` (M, C, 1, 1) and `bn.*` for feature maps of `channels` C.
    ///
    /// # Errors
    /// If a parameter of that name exists with another shape.
    pub fn new(params: &Params, channels: usize, config: &PartsConfig) -> Result<Self> {
        let init = match config {
            PartsConfig { orthogonal: true, gain, .. } => Init::Orthogonal { gain: *gain },
            PartsConfig { gain: 1.0, .. } => Init::TORCH,
            PartsConfig { gain, .. } => {
                // PyTorch's default of this convolution, times the gain.
                let bound = gain / (channels as f64).sqrt();
                Init::Uniform { low: -bound, high: bound }
            }
        };
        let options = ConvNormActOptions {
            names: ("conv", "bn"),
            conv: Conv2dOptions { init, ..Conv2dOptions::default() },
            eps: 1e-3,
            momentum: 0.1,
            activation: Activation::Relu,
        };
        Ok(Self { layer: ConvNormAct::new(params, channels, config.maps, (1, 1), options)? })
    }

    /// Feature maps (B, C, h, w) to attention maps (B, M, h, w), not negative.
    ///
    /// # Errors
    /// If `features` doesn't have the layer's channels.
    pub fn run(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        let features = Maps::new(features, Format::ChannelsFirst)?;
        Ok(self.layer.run(&features, pass)?.to_tensor(Format::ChannelsFirst)?)
    }

    /// Describes what [`run`](Self::run) computes, by the running statistics of the pass.
    ///
    /// # Errors
    /// If the layer hasn't that set of statistics.
    pub fn describe(&self, graph: &mut Graph, features: Value, pass: &Pass) -> Result<Value> {
        Ok(self.layer.describe(graph, features, pass)?)
    }
}

impl ModuleT for AttentionMaps {
    /// [`run`](Self::run) with tracked weights, by the batch's statistics in training and by the running ones otherwise.
    fn forward_t(&self, features: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        Ok(self.run(features, &Pass::of(train))?)
    }
}
