//! The conventions by which the backbones' convolutions with BatchNorm are made.

use c2f_ops::nn::{Conv2dOptions, ConvNormAct, ConvNormActOptions, ConvPadding, Init, Params};
use c2f_ops::{Activation, Padding};

use crate::Result;

/// Share of the batch in BatchNorm's running statistics: PyTorch's default, which torchvision and timm keep.
const MOMENTUM: f64 = 0.1;

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

/// The layer under `params`; `names` are those of the convolution and of BatchNorm.
pub(crate) fn conv_norm_act(
    params: &Params,
    names: (&'static str, &'static str),
    layer: Layer,
    convention: Convention,
) -> Result<ConvNormAct> {
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
    let conv = Conv2dOptions { stride, padding, groups, bias: false, init };
    let options = ConvNormActOptions { names, conv, eps, momentum: MOMENTUM, activation };
    Ok(ConvNormAct::new(params, inputs, outputs, (kernel, kernel), options)?)
}
