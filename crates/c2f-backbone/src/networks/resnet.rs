//! ResNet (He et al. 2016), as torchvision's `resnet.py` has it: the stride of a bottleneck is in its 3x3 convolution.

use c2f_ops::nn::{ConvNormAct, Params, Pass};
use c2f_ops::{Activation, Maps};

use super::cnn::{self, MaxPool, Stage, cnn};
use super::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::features::FeaturePlan;
use crate::{Backbone, BackboneInfo, Endpoint, Result};

pub(crate) static RESNET18: BackboneInfo = BackboneInfo::torchvision("resnet18", &BASIC);
pub(crate) static RESNET34: BackboneInfo = BackboneInfo::torchvision("resnet34", &BASIC);
pub(crate) static RESNET50: BackboneInfo = BackboneInfo::torchvision("resnet50", &BOTTLENECK);
pub(crate) static RESNET101: BackboneInfo = BackboneInfo::torchvision("resnet101", &BOTTLENECK);
pub(crate) static RESNET152: BackboneInfo = BackboneInfo::torchvision("resnet152", &BOTTLENECK);

static BASIC: [Endpoint; 4] = endpoints(BlockKind::Basic);
static BOTTLENECK: [Endpoint; 4] = endpoints(BlockKind::Bottleneck);

const fn endpoints(kind: BlockKind) -> [Endpoint; 4] {
    let width = 64 * kind.expansion();
    [
        Endpoint::symmetric("layer1", width, 4),
        Endpoint::symmetric("layer2", 2 * width, 8),
        Endpoint::symmetric("layer3", 4 * width, 16),
        Endpoint::symmetric("layer4", 8 * width, 32),
    ]
}

pub(crate) fn resnet18(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    cnn(&RESNET18, plan, stages(params, BlockKind::Basic, [2, 2, 2, 2]))
}

pub(crate) fn resnet34(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    cnn(&RESNET34, plan, stages(params, BlockKind::Basic, [3, 4, 6, 3]))
}

pub(crate) fn resnet50(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    cnn(&RESNET50, plan, stages(params, BlockKind::Bottleneck, [3, 4, 6, 3]))
}

pub(crate) fn resnet101(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    cnn(&RESNET101, plan, stages(params, BlockKind::Bottleneck, [3, 4, 23, 3]))
}

pub(crate) fn resnet152(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    cnn(&RESNET152, plan, stages(params, BlockKind::Bottleneck, [3, 8, 36, 3]))
}

fn stages(params: &Params, kind: BlockKind, depths: [usize; 4]) -> impl Iterator<Item = Result<Stage>> {
    depths.into_iter().enumerate().map(move |(stage, depth)| {
        let mut layers = Stage::new();
        if stage == 0 {
            let stem = Layer { stride: 2, ..Layer::new(3, 64, (7, 7)) };
            layers.push(Box::new(conv_norm_act(params, ("conv1", "bn1"), stem, Convention::ResNet)?));
            layers.push(Box::new(MaxPool::new(3, 2, 1)));
        }
        let width = 64 << stage;
        for block in 0..depth {
            let (inputs, stride) = match (stage, block) {
                (0, 0) => (64, 1),
                (_, 0) => (width / 2 * kind.expansion(), 2),
                _ => (width * kind.expansion(), 1),
            };
            let params = params.at(format_args!("layer{}.{block}", stage + 1));
            layers.push(Box::new(Residual::new(&params, kind, inputs, width, stride)?));
        }
        Ok(layers)
    })
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
    const fn expansion(self) -> usize {
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
            let layer = Layer { stride, activation, ..Layer::new(inputs, outputs, (kernel, kernel)) };
            conv_norm_act(params, names, layer, Convention::ResNet)
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
}

impl cnn::Layer for Residual {
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.run(x, pass)?,
            None => x.clone(),
        };
        let branch = self.branch.iter().try_fold(x.clone(), |x, layer| layer.run(&x, pass))?;
        Ok(branch.add(&shortcut, Activation::Relu)?)
    }
}
