//! EfficientNet-Lite0: EfficientNet-B0 (Tan and Le 2019) without squeeze-and-excitation and with ReLU6 for swish.
//! Names and numbers are those of timm's `tf_efficientnet_lite0`.

use c2f_ops::nn::{ConvNormAct, Params, Pass};
use c2f_ops::{Activation, Format, Maps};
use candle_core::Tensor;

use crate::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::{Backbone, BackboneInfo, Result};

pub(crate) const TF_EFFICIENTNET_LITE0: BackboneInfo = BackboneInfo {
    name: "tf_efficientnet_lite0",
    channels: HEAD,
    stride: 32,
    input_size: 224,
    mean: [0.5; 3],
    std: [0.5; 3],
    same_padding: true,
};

const STEM: usize = 32;
const HEAD: usize = 1280;

/// A row of table 1 of the EfficientNet paper.
struct Stage {
    repeats: usize,
    kernel: usize,
    /// Of its first block.
    stride: usize,
    /// Width inside a block over its input's.
    expansion: usize,
    outputs: usize,
}

const STAGES: [Stage; 7] = [
    Stage { repeats: 1, kernel: 3, stride: 1, expansion: 1, outputs: 16 },
    Stage { repeats: 2, kernel: 3, stride: 2, expansion: 6, outputs: 24 },
    Stage { repeats: 2, kernel: 5, stride: 2, expansion: 6, outputs: 40 },
    Stage { repeats: 3, kernel: 3, stride: 2, expansion: 6, outputs: 80 },
    Stage { repeats: 3, kernel: 5, stride: 1, expansion: 6, outputs: 112 },
    Stage { repeats: 4, kernel: 5, stride: 2, expansion: 6, outputs: 192 },
    Stage { repeats: 1, kernel: 3, stride: 1, expansion: 6, outputs: 320 },
];

pub(crate) fn tf_efficientnet_lite0(params: &Params) -> Result<Box<dyn Backbone>> {
    let stem = layer(3, STEM, 3, 2, Activation::Relu6);
    let stem = conv_norm_act(params, ("conv_stem", "bn1"), stem, Convention::TensorFlow)?;
    let mut blocks = Vec::new();
    let mut inputs = STEM;
    for (s, stage) in STAGES.iter().enumerate() {
        for b in 0..stage.repeats {
            let stride = if b == 0 { stage.stride } else { 1 };
            blocks.push(MbConv::new(&params.at(format_args!("blocks.{s}.{b}")), inputs, stage, stride)?);
            inputs = stage.outputs;
        }
    }
    let head = layer(inputs, HEAD, 1, 1, Activation::Relu6);
    let head = conv_norm_act(params, ("conv_head", "bn2"), head, Convention::TensorFlow)?;
    Ok(Box::new(EfficientNetLite { stem, blocks, head }))
}

/// Stage and position of the block that is `index`-th in the network, and whether it expands.
pub(crate) fn locate_block(mut index: usize) -> Option<(usize, usize, bool)> {
    for (s, stage) in STAGES.iter().enumerate() {
        if index < stage.repeats {
            return Some((s, index, stage.expansion != 1));
        }
        index -= stage.repeats;
    }
    None
}

fn layer(inputs: usize, outputs: usize, kernel: usize, stride: usize, activation: Activation) -> Layer {
    Layer { inputs, outputs, kernel, stride, groups: 1, activation }
}

struct EfficientNetLite {
    stem: ConvNormAct,
    blocks: Vec<MbConv>,
    head: ConvNormAct,
}

impl Backbone for EfficientNetLite {
    fn info(&self) -> &BackboneInfo {
        &TF_EFFICIENTNET_LITE0
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let stem = self.stem.forward(&Maps::new(x, Format::ChannelsFirst)?, pass)?;
        let x = self.blocks.iter().try_fold(stem, |x, block| block.forward(&x, pass))?;
        Ok(self.head.forward(&x, pass)?.to_tensor(Format::ChannelsFirst)?)
    }
}

/// Inverted residual (Sandler et al. 2018): expand by a 1x1 convolution (absent at expansion 1), depthwise convolution,
/// project by a 1x1 convolution without activation; plus the input where the shape is the same.
struct MbConv {
    layers: Vec<ConvNormAct>,
    residual: bool,
}

impl MbConv {
    fn new(params: &Params, inputs: usize, stage: &Stage, stride: usize) -> Result<Self> {
        let width = inputs * stage.expansion;
        let expand = layer(inputs, width, 1, 1, Activation::Relu6);
        let depthwise = Layer { groups: width, ..layer(width, width, stage.kernel, stride, Activation::Relu6) };
        let project = layer(width, stage.outputs, 1, 1, Activation::Identity);
        // timm's DepthwiseSeparableConv (expansion 1) and InvertedResidual name the same layers differently.
        let layers = if stage.expansion == 1 {
            vec![(("conv_dw", "bn1"), depthwise), (("conv_pw", "bn2"), project)]
        } else {
            vec![(("conv_pw", "bn1"), expand), (("conv_dw", "bn2"), depthwise), (("conv_pwl", "bn3"), project)]
        };
        let make = |(names, layer)| conv_norm_act(params, names, layer, Convention::TensorFlow);
        Ok(Self {
            layers: layers.into_iter().map(make).collect::<Result<_>>()?,
            residual: stride == 1 && inputs == stage.outputs,
        })
    }

    fn forward(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        let y = self.layers.iter().try_fold(x.clone(), |x, layer| layer.forward(&x, pass))?;
        Ok(if self.residual { y.add(x, Activation::Identity)? } else { y })
    }
}
