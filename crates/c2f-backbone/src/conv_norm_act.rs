//! Convolution, BatchNorm, activation: what all backbones are made of.

use c2f_ops::nn::{BatchNorm2d, Conv2d, Conv2dOptions, ConvPadding, Init, Params, Pass};
use c2f_ops::{Padding, relu, relu6};
use candle_core::Tensor;

use crate::Result;

/// Share of the batch in BatchNorm's running statistics: PyTorch's default, which torchvision and timm keep.
const MOMENTUM: f64 = 0.1;

/// What follows BatchNorm.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Activation {
    Identity,
    Relu,
    Relu6,
}

/// The conventions that a framework keeps throughout a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Convention {
    /// torchvision's ResNets: (k - 1) / 2 zeros on each side, BatchNorm eps 1e-5, Kaiming normal by fan-out.
    Torchvision,
    /// timm's `tf_*` EfficientNets: SAME padding, BatchNorm eps 1e-3, and a fan-out that counts one group's outputs
    /// (`_init_weight_goog` in timm's `_efficientnet_builder.py`).
    TensorFlow,
}

/// Shape of the convolution and what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub inputs: usize,
    pub outputs: usize,
    /// Side of the square kernel.
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
    pub activation: Activation,
}

/// A convolution without bias, BatchNorm, and an activation.
#[derive(Debug)]
pub(crate) struct ConvNormAct {
    conv: Conv2d,
    norm: BatchNorm2d,
    activation: Activation,
}

impl ConvNormAct {
    /// `names` are those of the convolution and of BatchNorm under `params`.
    pub fn new(params: &Params, names: (&str, &str), layer: Layer, convention: Convention) -> Result<Self> {
        let Layer { inputs, outputs, kernel, stride, groups, activation } = layer;
        let (padding, eps, init) = match convention {
            Convention::Torchvision => {
                (ConvPadding::Explicit(Padding::uniform((kernel - 1) / 2)), 1e-5, Init::KaimingNormalFanOut)
            }
            Convention::TensorFlow => {
                let fan_out = kernel * kernel * outputs / groups;
                (ConvPadding::Same, 1e-3, Init::Normal { std: (2.0 / fan_out as f64).sqrt() })
            }
        };
        let options = Conv2dOptions { stride, padding, groups, bias: false, init };
        Ok(Self {
            conv: Conv2d::new(&params.at(names.0), inputs, outputs, (kernel, kernel), options)?,
            norm: BatchNorm2d::new(&params.at(names.1), outputs, eps, MOMENTUM)?,
            activation,
        })
    }

    /// Maps to maps, in the format of the [`Params`] that the block was made from.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = self.norm.forward(&self.conv.forward(x, pass)?, pass)?;
        Ok(match self.activation {
            Activation::Identity => y,
            Activation::Relu => relu(&y)?,
            Activation::Relu6 => relu6(&y)?,
        })
    }
}
