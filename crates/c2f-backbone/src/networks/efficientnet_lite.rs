//! EfficientNet-Lite: EfficientNet (Tan and Le 2019) without squeeze-and-excitation and with ReLU6 for swish. Names and
//! numbers are those of timm's `tf_efficientnet_lite0` to `tf_efficientnet_lite4`.

use c2f_ops::nn::{ConvNormAct, Params, Pass};
use c2f_ops::{Activation, Maps};

use super::cnn::{self, Stage, cnn};
use super::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::features::FeaturePlan;
use crate::{Backbone, BackboneInfo, Endpoint, PaddingStyle, Result};

/// A network of the family: how it grows out of the first.
struct Variant {
    info: &'static BackboneInfo,
    width: f64,
    depth: f64,
}

const LITE0: Variant = Variant { info: &TF_EFFICIENTNET_LITE0, width: 1.0, depth: 1.0 };
const LITE1: Variant = Variant { info: &TF_EFFICIENTNET_LITE1, width: 1.0, depth: 1.1 };
const LITE2: Variant = Variant { info: &TF_EFFICIENTNET_LITE2, width: 1.1, depth: 1.2 };
const LITE3: Variant = Variant { info: &TF_EFFICIENTNET_LITE3, width: 1.2, depth: 1.4 };
const LITE4: Variant = Variant { info: &TF_EFFICIENTNET_LITE4, width: 1.4, depth: 1.8 };

pub(crate) static TF_EFFICIENTNET_LITE0: BackboneInfo =
    info("tf_efficientnet_lite0", 224, &endpoints([16, 24, 40, 112, 320]));
pub(crate) static TF_EFFICIENTNET_LITE1: BackboneInfo =
    info("tf_efficientnet_lite1", 240, &endpoints([16, 24, 40, 112, 320]));
pub(crate) static TF_EFFICIENTNET_LITE2: BackboneInfo =
    info("tf_efficientnet_lite2", 260, &endpoints([16, 24, 48, 120, 352]));
pub(crate) static TF_EFFICIENTNET_LITE3: BackboneInfo =
    info("tf_efficientnet_lite3", 300, &endpoints([24, 32, 48, 136, 384]));
pub(crate) static TF_EFFICIENTNET_LITE4: BackboneInfo =
    info("tf_efficientnet_lite4", 380, &endpoints([24, 32, 56, 160, 448]));

const STEM: usize = 32;
const HEAD: usize = 1280;

const fn endpoints(channels: [usize; 5]) -> [Endpoint; 6] {
    [
        Endpoint::same("blocks.0", channels[0], 2),
        Endpoint::same("blocks.1", channels[1], 4),
        Endpoint::same("blocks.2", channels[2], 8),
        Endpoint::same("blocks.4", channels[3], 16),
        Endpoint::same("blocks.6", channels[4], 32),
        Endpoint::same("conv_head", HEAD, 32),
    ]
}

const fn info(name: &'static str, input_size: usize, endpoints: &'static [Endpoint]) -> BackboneInfo {
    BackboneInfo {
        name,
        endpoints,
        input_size,
        mean: [0.5; 3],
        std: [0.5; 3],
        padding: PaddingStyle::Same,
        size_multiple: 1,
    }
}

/// A row of table 1 of the EfficientNet paper.
struct Row {
    repeats: usize,
    kernel: usize,
    /// Of its first block.
    stride: usize,
    /// Width inside a block over its input's.
    expansion: usize,
    outputs: usize,
}

const ROWS: [Row; 7] = [
    Row { repeats: 1, kernel: 3, stride: 1, expansion: 1, outputs: 16 },
    Row { repeats: 2, kernel: 3, stride: 2, expansion: 6, outputs: 24 },
    Row { repeats: 2, kernel: 5, stride: 2, expansion: 6, outputs: 40 },
    Row { repeats: 3, kernel: 3, stride: 2, expansion: 6, outputs: 80 },
    Row { repeats: 3, kernel: 5, stride: 1, expansion: 6, outputs: 112 },
    Row { repeats: 4, kernel: 5, stride: 2, expansion: 6, outputs: 192 },
    Row { repeats: 1, kernel: 3, stride: 1, expansion: 6, outputs: 320 },
];

impl Variant {
    /// Blocks of a row. Lite networks keep the first and the last as they are.
    fn repeats(&self, row: usize) -> usize {
        let repeats = ROWS[row].repeats;
        if row == 0 || row + 1 == ROWS.len() { repeats } else { (repeats as f64 * self.depth).ceil() as usize }
    }

    /// Channels behind a row: scaled to the nearest multiple of 8, but not to less than 90 % (timm's `make_divisible`).
    fn outputs(&self, row: usize) -> usize {
        let scaled = ROWS[row].outputs as f64 * self.width;
        let rounded = ((scaled + 4.0) as usize / 8 * 8).max(8);
        if (rounded as f64) < 0.9 * scaled { rounded + 8 } else { rounded }
    }

    fn build(&self, params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
        cnn(self.info, plan, (0..6).map(|stage| self.stage(params, stage)))
    }

    fn stage(&self, params: &Params, stage: usize) -> Result<Stage> {
        let mut layers = Stage::new();
        if stage == 0 {
            let stem = Layer { stride: 2, ..layer(3, STEM, 3) };
            layers.push(Box::new(conv_norm_act(params, ("conv_stem", "bn1"), stem, Convention::TensorFlow)?));
        }
        let rows = [0..1, 1..2, 2..3, 3..5, 5..7].into_iter().nth(stage);
        for row in rows.into_iter().flatten() {
            for block in 0..self.repeats(row) {
                let inputs = match (row, block) {
                    (0, 0) => STEM,
                    (_, 0) => self.outputs(row - 1),
                    _ => self.outputs(row),
                };
                let params = params.at(format_args!("blocks.{row}.{block}"));
                let stride = if block == 0 { ROWS[row].stride } else { 1 };
                layers.push(Box::new(MbConv::new(&params, inputs, self.outputs(row), stride, &ROWS[row])?));
            }
        }
        if stage == 5 {
            let head = layer(self.outputs(6), HEAD, 1);
            layers.push(Box::new(conv_norm_act(params, ("conv_head", "bn2"), head, Convention::TensorFlow)?));
        }
        Ok(layers)
    }
}

pub(crate) fn tf_efficientnet_lite0(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    LITE0.build(params, plan)
}

pub(crate) fn tf_efficientnet_lite1(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    LITE1.build(params, plan)
}

pub(crate) fn tf_efficientnet_lite2(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    LITE2.build(params, plan)
}

pub(crate) fn tf_efficientnet_lite3(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    LITE3.build(params, plan)
}

pub(crate) fn tf_efficientnet_lite4(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    LITE4.build(params, plan)
}

/// Row, position and whether it expands, of every block of the network that has `count` of them; nothing if none has.
pub(crate) fn locate_blocks(count: usize) -> Vec<(usize, usize, bool)> {
    let blocks = |variant: &Variant| -> Vec<_> {
        let of_row = |row| (0..variant.repeats(row)).map(move |block| (row, block, ROWS[row].expansion != 1));
        (0..ROWS.len()).flat_map(of_row).collect()
    };
    let variants = [LITE0, LITE1, LITE2, LITE3, LITE4];
    variants.iter().map(blocks).find(|blocks| blocks.len() == count).unwrap_or_default()
}

fn layer(inputs: usize, outputs: usize, kernel: usize) -> Layer {
    Layer { activation: Activation::Relu6, ..Layer::new(inputs, outputs, (kernel, kernel)) }
}

/// Inverted residual (Sandler et al. 2018): expand by a 1x1 convolution (absent at expansion 1), depthwise convolution,
/// project by a 1x1 convolution without activation; plus the input where the shape is the same.
struct MbConv {
    layers: Vec<ConvNormAct>,
    residual: bool,
}

impl MbConv {
    fn new(params: &Params, inputs: usize, outputs: usize, stride: usize, row: &Row) -> Result<Self> {
        let width = inputs * row.expansion;
        let expand = layer(inputs, width, 1);
        let depthwise = Layer { groups: width, stride, ..layer(width, width, row.kernel) };
        let project = Layer { activation: Activation::Identity, ..layer(width, outputs, 1) };
        // timm's DepthwiseSeparableConv (expansion 1) and InvertedResidual name the same layers differently.
        let layers = if row.expansion == 1 {
            vec![(("conv_dw", "bn1"), depthwise), (("conv_pw", "bn2"), project)]
        } else {
            vec![(("conv_pw", "bn1"), expand), (("conv_dw", "bn2"), depthwise), (("conv_pwl", "bn3"), project)]
        };
        let make = |(names, layer)| conv_norm_act(params, names, layer, Convention::TensorFlow);
        Ok(Self {
            layers: layers.into_iter().map(make).collect::<Result<_>>()?,
            residual: stride == 1 && inputs == outputs,
        })
    }
}

impl cnn::Layer for MbConv {
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        let y = self.layers.iter().try_fold(x.clone(), |x, layer| layer.run(&x, pass))?;
        Ok(if self.residual { y.add(x, Activation::Identity)? } else { y })
    }
}
