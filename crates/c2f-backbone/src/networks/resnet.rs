//! ResNet (He et al. 2016), as torchvision's `resnet.py` has it: the stride of a bottleneck is in its 3x3 convolution.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{ConvNormAct, Params, Pass};
use c2f_ops::{Activation, Maps};

use super::Network;
use super::cnn::{self, MaxPool, Stage};
use super::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::{BackboneInfo, Endpoint, Result};

pub(crate) static RESNET18: Network = R18.network("resnet18", &R18.endpoints());
pub(crate) static RESNET34: Network = R34.network("resnet34", &R34.endpoints());
pub(crate) static RESNET50: Network = R50.network("resnet50", &R50.endpoints());
pub(crate) static RESNET101: Network = R101.network("resnet101", &R101.endpoints());
pub(crate) static RESNET152: Network = R152.network("resnet152", &R152.endpoints());

const R18: Config = Config { kind: BlockKind::Basic, depths: [2, 2, 2, 2] };
const R34: Config = Config { kind: BlockKind::Basic, depths: [3, 4, 6, 3] };
const R50: Config = Config { kind: BlockKind::Bottleneck, depths: [3, 4, 6, 3] };
const R101: Config = Config { kind: BlockKind::Bottleneck, depths: [3, 4, 23, 3] };
const R152: Config = Config { kind: BlockKind::Bottleneck, depths: [3, 8, 36, 3] };

struct Config {
    kind: BlockKind,
    /// Blocks of each stage.
    depths: [usize; 4],
}

impl Config {
    const fn network(&'static self, name: &'static str, endpoints: &'static [Endpoint]) -> Network {
        Network { info: BackboneInfo::torchvision(name, endpoints), config: self }
    }

    const fn endpoints(&self) -> [Endpoint; 4] {
        let width = 64 * self.kind.expansion();
        [
            Endpoint::symmetric("layer1", width, 4),
            Endpoint::symmetric("layer2", 2 * width, 8),
            Endpoint::symmetric("layer3", 4 * width, 16),
            Endpoint::symmetric("layer4", 8 * width, 32),
        ]
    }
}

impl super::Stages for Config {
    fn stage(&self, params: &Params, stage: usize) -> Result<Stage> {
        let mut layers = Stage::new();
        if stage == 0 {
            let stem = Layer { stride: 2, ..Layer::new(3, 64, (7, 7)) };
            layers.push(Box::new(conv_norm_act(params, ("conv1", "bn1"), stem, Convention::ResNet)?));
            layers.push(Box::new(MaxPool::new(3, 2, 1)));
        }
        let width = 64 << stage;
        for block in 0..self.depths[stage] {
            let (inputs, stride) = match (stage, block) {
                (0, 0) => (64, 1),
                (_, 0) => (width / 2 * self.kind.expansion(), 2),
                _ => (width * self.kind.expansion(), 1),
            };
            let params = params.at(format_args!("layer{}.{block}", stage + 1));
            layers.push(Box::new(Residual::new(&params, self.kind, inputs, width, stride)?));
        }
        Ok(layers)
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

    fn describe(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<Value> {
        let shortcut = match &self.downsample {
            Some(downsample) => downsample.describe(graph, x, pass)?,
            None => x,
        };
        let branch = self.branch.iter().try_fold(x, |x, layer| layer.describe(graph, x, pass))?;
        let sum = graph.op("Add", &[branch, shortcut]);
        Ok(Activation::Relu.describe(graph, sum))
    }
}
