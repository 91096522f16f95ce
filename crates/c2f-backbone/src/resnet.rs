//! ResNet (He et al. 2016), as torchvision's `resnet.py` has it: the stride of a bottleneck is in its 3x3 convolution.

use c2f_ops::nn::{ConvNormAct, Params, Pass};
use c2f_ops::{Activation, Format, Maps, PoolConfig};
use candle_core::Tensor;

use crate::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::{Backbone, BackboneInfo, Result};

/// ResNet-18: basic blocks, 512 channels.
pub(crate) const RESNET18: BackboneInfo = resnet_info("resnet18", 512);
/// ResNet-50: bottlenecks, 2048 channels.
pub(crate) const RESNET50: BackboneInfo = resnet_info("resnet50", 2048);

const fn resnet_info(name: &'static str, channels: usize) -> BackboneInfo {
    BackboneInfo {
        name,
        channels,
        stride: 32,
        input_size: 224,
        mean: BackboneInfo::IMAGENET_MEAN,
        std: BackboneInfo::IMAGENET_STD,
        same_padding: false,
    }
}

pub(crate) fn resnet18(params: &Params) -> Result<Box<dyn Backbone>> {
    Ok(Box::new(ResNet::new(params, RESNET18, BlockKind::Basic, [2, 2, 2, 2])?))
}

pub(crate) fn resnet50(params: &Params) -> Result<Box<dyn Backbone>> {
    Ok(Box::new(ResNet::new(params, RESNET50, BlockKind::Bottleneck, [3, 4, 6, 3])?))
}

struct ResNet {
    info: BackboneInfo,
    stem: ConvNormAct,
    blocks: Vec<Residual>,
}

impl ResNet {
    fn new(params: &Params, info: BackboneInfo, kind: BlockKind, depths: [usize; 4]) -> Result<Self> {
        let stem = Layer { inputs: 3, outputs: 64, kernel: 7, stride: 2, groups: 1, activation: Activation::Relu };
        let stem = conv_norm_act(params, ("conv1", "bn1"), stem, Convention::Torchvision)?;
        let mut blocks = Vec::new();
        let mut inputs = 64;
        for (stage, depth) in depths.into_iter().enumerate() {
            let width = 64 << stage;
            for block in 0..depth {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let params = params.at(format_args!("layer{}.{block}", stage + 1));
                blocks.push(Residual::new(&params, kind, inputs, width, stride)?);
                inputs = width * kind.expansion();
            }
        }
        Ok(Self { info, stem, blocks })
    }
}

impl Backbone for ResNet {
    fn info(&self) -> &BackboneInfo {
        &self.info
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let stem = self.stem.forward(&Maps::new(x, Format::ChannelsFirst)?, pass)?;
        let pool = PoolConfig { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
        let pooled = stem.max_pool(&pool)?;
        let features = self.blocks.iter().try_fold(pooled, |x, block| block.forward(&x, pass))?;
        Ok(features.to_tensor(Format::ChannelsFirst)?)
    }
}

/// The two kinds of residual block (He et al. 2016, figure 5).
#[derive(Clone, Copy, Debug)]
pub(crate) enum BlockKind {
    /// 3x3, 3x3.
    Basic,
    /// 1x1, 3x3, 1x1 to four times the width.
    Bottleneck,
}

impl BlockKind {
    fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

/// relu(branch(x) + shortcut(x)).
pub(crate) struct Residual {
    branch: Vec<ConvNormAct>,
    /// A 1x1 convolution where the shape changes, else the identity.
    downsample: Option<ConvNormAct>,
}

impl Residual {
    /// `inputs` channels to `width` (times four for a bottleneck) at 1 / `stride` of the resolution.
    pub fn new(params: &Params, kind: BlockKind, inputs: usize, width: usize, stride: usize) -> Result<Self> {
        use Activation::{Identity, Relu};
        let outputs = width * kind.expansion();
        let convolution = |names, inputs, outputs, kernel, stride, activation| {
            let layer = Layer { inputs, outputs, kernel, stride, groups: 1, activation };
            conv_norm_act(params, names, layer, Convention::Torchvision)
        };
        let (first, second, third) = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"));
        let branch = match kind {
            BlockKind::Basic => vec![
                convolution(first, inputs, width, 3, stride, Relu)?,
                convolution(second, width, outputs, 3, 1, Identity)?,
            ],
            BlockKind::Bottleneck => vec![
                convolution(first, inputs, width, 1, 1, Relu)?,
                convolution(second, width, width, 3, stride, Relu)?,
                convolution(third, width, outputs, 1, 1, Identity)?,
            ],
        };
        let downsample = (stride != 1 || inputs != outputs)
            .then(|| convolution(("downsample.0", "downsample.1"), inputs, outputs, 1, stride, Identity))
            .transpose()?;
        Ok(Self { branch, downsample })
    }

    pub fn forward(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.forward(x, pass)?,
            None => x.clone(),
        };
        let branch = self.branch.iter().try_fold(x.clone(), |x, layer| layer.forward(&x, pass))?;
        Ok(branch.add(&shortcut, Activation::Relu)?)
    }
}
