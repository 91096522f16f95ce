//! Attention maps.

use c2f_ops::nn::{BatchNorm2d, Conv2d, Conv2dOptions, Init, Params, Pass};
use c2f_ops::{Format, relu};
use candle_core::Tensor;

use crate::{PartsConfig, Result};

/// A = ReLU(BN(W_a * F)): M maps of where the parts are, from a 1x1 convolution without bias (WS-DAN, Hu et al. 2019;
/// BatchNorm's eps of 1e-3 is its public implementation's).
#[derive(Clone, Debug)]
pub struct AttentionMaps {
    conv: Conv2d,
    bn: BatchNorm2d,
    format: Format,
}

impl AttentionMaps {
    /// Makes `conv.weight` (M, C, 1, 1) and `bn.*` for feature maps of `channels` C.
    ///
    /// # Errors
    /// If a parameter of that name exists with another shape.
    pub fn new(params: &Params, channels: usize, config: &PartsConfig) -> Result<Self> {
        let init = if config.orthogonal { Init::Orthogonal { gain: config.gain } } else { Init::TORCH };
        let options = Conv2dOptions { init, ..Conv2dOptions::default() };
        Ok(Self {
            conv: Conv2d::new(&params.at("conv"), channels, config.maps, (1, 1), options)?,
            bn: BatchNorm2d::new(&params.at("bn"), config.maps, 1e-3, 0.1)?,
            format: params.format(),
        })
    }

    /// Feature maps (B, C, h, w) to attention maps (B, M, h, w), not negative.
    ///
    /// # Errors
    /// If `features` doesn't have the layer's channels.
    pub fn forward(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        let scores = self.conv.forward(&self.format.from_nchw(features)?, pass)?;
        Ok(self.format.to_nchw(&relu(&self.bn.forward(&scores, pass)?)?)?)
    }
}
