//! `c2f_tiny`: a residual network for pictures of 64 to 96 pixels that two CPU cores train from scratch in minutes.
//!
//! Like the ResNets for CIFAR (He et al. 2016, section 4.2) it has a stem at full resolution and no pooling, because
//! a part that tells two classes apart can be a few pixels wide; it is cheap by having few channels there.

use c2f_ops::nn::{ConvNormAct, Params, Pass};
use c2f_ops::{Activation, Format, Maps};
use candle_core::Tensor;

use crate::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::resnet::{BlockKind, Residual};
use crate::{Backbone, BackboneInfo, Result};

/// Channels of the stem, and after each halving of the resolution.
const WIDTHS: [usize; 4] = [16, 32, 64, 128];

pub(crate) const C2F_TINY: BackboneInfo = BackboneInfo {
    name: "c2f_tiny",
    channels: WIDTHS[3],
    stride: 8,
    input_size: 64,
    mean: [0.5; 3],
    std: [0.5; 3],
    same_padding: false,
};

pub(crate) fn c2f_tiny(params: &Params) -> Result<Box<dyn Backbone>> {
    let activation = Activation::Relu;
    let stem = Layer { inputs: 3, outputs: WIDTHS[0], kernel: 3, stride: 1, groups: 1, activation };
    let stem = conv_norm_act(params, ("conv1", "bn1"), stem, Convention::Torchvision)?;
    let stage = |(index, widths): (usize, &[usize])| {
        let params = params.at(format_args!("layer{}.0", index + 1));
        Residual::new(&params, BlockKind::Basic, widths[0], widths[1], 2)
    };
    let blocks = WIDTHS.windows(2).enumerate().map(stage).collect::<Result<_>>()?;
    Ok(Box::new(Tiny { stem, blocks }))
}

struct Tiny {
    stem: ConvNormAct,
    blocks: Vec<Residual>,
}

impl Backbone for Tiny {
    fn info(&self) -> &BackboneInfo {
        &C2F_TINY
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let stem = self.stem.forward(&Maps::new(x, Format::ChannelsFirst)?, pass)?;
        let features = self.blocks.iter().try_fold(stem, |x, block| block.forward(&x, pass))?;
        Ok(features.to_tensor(Format::ChannelsFirst)?)
    }
}
