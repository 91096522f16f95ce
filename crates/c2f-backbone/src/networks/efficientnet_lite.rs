//! EfficientNet-Lite: EfficientNet (Tan and Le 2019) without squeeze-and-excitation and with ReLU6 for swish. Names and
//! numbers are those of timm's `tf_efficientnet_lite0` to `tf_efficientnet_lite4`.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{ConvNormAct, Params, Pass};
use c2f_ops::{Activation, Maps};

use super::Network;
use super::cnn::{self, Stage};
use super::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::{BackboneInfo, Endpoint, PaddingStyle, Result};

pub(crate) static TF_EFFICIENTNET_LITE0: Network = LITE0.network("tf_efficientnet_lite0", &LITE0.endpoints());
pub(crate) static TF_EFFICIENTNET_LITE1: Network = LITE1.network("tf_efficientnet_lite1", &LITE1.endpoints());
pub(crate) static TF_EFFICIENTNET_LITE2: Network = LITE2.network("tf_efficientnet_lite2", &LITE2.endpoints());
pub(crate) static TF_EFFICIENTNET_LITE3: Network = LITE3.network("tf_efficientnet_lite3", &LITE3.endpoints());
pub(crate) static TF_EFFICIENTNET_LITE4: Network = LITE4.network("tf_efficientnet_lite4", &LITE4.endpoints());

const LITE0: Config = Config { width: 1.0, depth: 1.0, input_size: 224 };
const LITE1: Config = Config { width: 1.0, depth: 1.1, input_size: 240 };
const LITE2: Config = Config { width: 1.1, depth: 1.2, input_size: 260 };
const LITE3: Config = Config { width: 1.2, depth: 1.4, input_size: 300 };
const LITE4: Config = Config { width: 1.4, depth: 1.8, input_size: 380 };

const STEM: usize = 32;
const HEAD: usize = 1280;

/// How a network grows out of the first.
struct Config {
    /// Channels over the first one's.
    width: f64,
    /// Blocks over the first one's.
    depth: f64,
    input_size: usize,
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

impl Config {
    const fn network(&'static self, name: &'static str, endpoints: &'static [Endpoint]) -> Network {
        let info = BackboneInfo {
            name,
            endpoints,
            input_size: self.input_size,
            mean: [0.5; 3],
            std: [0.5; 3],
            padding: PaddingStyle::Same,
            size_multiple: 1,
        };
        Network { info, config: self }
    }

    const fn endpoints(&self) -> [Endpoint; 6] {
        [
            Endpoint::same("blocks.0", self.outputs(0), 2),
            Endpoint::same("blocks.1", self.outputs(1), 4),
            Endpoint::same("blocks.2", self.outputs(2), 8),
            Endpoint::same("blocks.4", self.outputs(4), 16),
            Endpoint::same("blocks.6", self.outputs(6), 32),
            Endpoint::same("conv_head", HEAD, 32),
        ]
    }

    /// Blocks of a row. Lite networks keep the first and the last as they are.
    fn repeats(&self, row: usize) -> usize {
        let repeats = ROWS[row].repeats;
        if row == 0 || row + 1 == ROWS.len() { repeats } else { (repeats as f64 * self.depth).ceil() as usize }
    }

    /// Channels behind a row: scaled to the nearest multiple of 8, but not to less than 90 % (timm's `make_divisible`).
    const fn outputs(&self, row: usize) -> usize {
        let scaled = ROWS[row].outputs as f64 * self.width;
        let nearest = (scaled + 4.0) as usize / 8 * 8;
        let rounded = if nearest < 8 { 8 } else { nearest };
        if (rounded as f64) < 0.9 * scaled { rounded + 8 } else { rounded }
    }
}

impl super::Stages for Config {
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

/// Row, position and whether it expands, of every block of the network that has `count` of them; nothing if none has.
pub(crate) fn locate_blocks(count: usize) -> Vec<(usize, usize, bool)> {
    let blocks = |config: &Config| -> Vec<_> {
        let of_row = |row| (0..config.repeats(row)).map(move |block| (row, block, ROWS[row].expansion != 1));
        (0..ROWS.len()).flat_map(of_row).collect()
    };
    let configs = [LITE0, LITE1, LITE2, LITE3, LITE4];
    configs.iter().map(blocks).find(|blocks| blocks.len() == count).unwrap_or_default()
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

    fn describe(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<Value> {
        let y = self.layers.iter().try_fold(x, |x, layer| layer.describe(graph, x, pass))?;
        Ok(if self.residual { graph.op("Add", &[y, x]) } else { y })
    }
}
