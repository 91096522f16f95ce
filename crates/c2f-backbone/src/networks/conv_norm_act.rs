//! The conventions by which the networks' convolutions with BatchNorm are made.

use c2f_ops::nn::{Conv2dOptions, ConvNormAct, ConvNormActOptions, ConvPadding, Init, Params};
use c2f_ops::{Activation, Padding};

use crate::Result;

/// Share of the batch in BatchNorm's running statistics: PyTorch's default, which torchvision and timm keep.
const MOMENTUM: f64 = 0.1;

/// The conventions that a framework keeps throughout a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Convention {
    /// torchvision's ResNets: BatchNorm eps 1e-5, Kaiming normal by fan-out.
    ResNet,
    /// torchvision's VGGs: the same, with a bias.
    Vgg,
    /// torchvision's Inception: BatchNorm eps 1e-3, N(0, 0.1^2).
    Inception,
    /// timm's `tf_*` EfficientNets: BatchNorm eps 1e-3, SAME padding, and a fan-out that counts one group's outputs
    /// (`_init_weight_goog` in timm's `_efficientnet_builder.py`).
    TensorFlow,
}

/// Shape of the convolution and what follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub inputs: usize,
    pub outputs: usize,
    /// Height and width of the kernel.
    pub kernel: (usize, usize),
    pub stride: usize,
    pub groups: usize,
    /// Zeros on each side: (k - 1) / 2 of them, or none. [`Convention::TensorFlow`] has its own rule.
    pub padded: bool,
    pub activation: Activation,
}

impl Layer {
    /// A padded convolution of stride 1, and ReLU.
    pub fn new(inputs: usize, outputs: usize, kernel: (usize, usize)) -> Self {
        Self { inputs, outputs, kernel, stride: 1, groups: 1, padded: true, activation: Activation::Relu }
    }
}

/// The layer under `params`; `names` are those of the convolution and of BatchNorm.
pub(crate) fn conv_norm_act(
    params: &Params,
    names: (&str, &str),
    layer: Layer,
    convention: Convention,
) -> Result<ConvNormAct> {
    let Layer { inputs, outputs, kernel, stride, groups, padded, activation } = layer;
    let padding = if padded { Padding::symmetric((kernel.0 - 1) / 2, (kernel.1 - 1) / 2) } else { Padding::default() };
    let explicit = ConvPadding::Explicit(padding);
    let (padding, eps, init) = match convention {
        Convention::ResNet | Convention::Vgg => (explicit, 1e-5, Init::KaimingNormalFanOut),
        Convention::Inception => (explicit, 1e-3, Init::Normal { mean: 0.0, std: 0.1 }),
        Convention::TensorFlow => {
            let fan_out = kernel.0 * kernel.1 * outputs / groups;
            (ConvPadding::Same, 1e-3, Init::Normal { mean: 0.0, std: (2.0 / fan_out as f64).sqrt() })
        }
    };
    let conv = Conv2dOptions { stride, padding, groups, bias: convention == Convention::Vgg, init };
    let options = ConvNormActOptions { names, conv, eps, momentum: MOMENTUM, activation };
    Ok(ConvNormAct::new(params, inputs, outputs, kernel, options)?)
}
