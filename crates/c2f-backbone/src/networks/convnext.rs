//! ConvNeXt (Liu et al. 2022), as timm's `convnext.py` has it; without stochastic depth, whose rate is 0 by default there.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{Conv2d, Conv2dOptions, ConvPadding, Init, LayerNorm, Linear, Params, Pass};
use c2f_ops::{Format, Maps, Padding, gelu};
use candle_core::{Tensor, Var};

use super::Network;
use super::cnn::{self, Stage};
use crate::{BackboneInfo, Endpoint, PaddingStyle, Result};

pub(crate) static CONVNEXT_TINY: Network = TINY.network("convnext_tiny", &TINY.endpoints());
pub(crate) static CONVNEXT_SMALL: Network = SMALL.network("convnext_small", &SMALL.endpoints());
pub(crate) static CONVNEXT_BASE: Network = BASE.network("convnext_base", &BASE.endpoints());

const TINY: Config = Config { widths: [96, 192, 384, 768], depths: [3, 3, 9, 3] };
const SMALL: Config = Config { widths: [96, 192, 384, 768], depths: [3, 3, 27, 3] };
const BASE: Config = Config { widths: [128, 256, 512, 1024], depths: [3, 3, 27, 3] };

const EPS: f64 = 1e-6;
/// timm cuts it off at 100 standard deviations.
const WEIGHTS: Init = Init::Normal { mean: 0.0, std: 0.02 };

struct Config {
    /// Channels of each stage.
    widths: [usize; 4],
    /// Blocks of each stage.
    depths: [usize; 4],
}

impl Config {
    const fn network(&'static self, name: &'static str, endpoints: &'static [Endpoint]) -> Network {
        let info = BackboneInfo { padding: PaddingStyle::Partial, ..BackboneInfo::torchvision(name, endpoints) };
        Network { info, config: self }
    }

    const fn endpoints(&self) -> [Endpoint; 4] {
        [
            Endpoint::patches("stages.0", self.widths[0], 4),
            Endpoint::patches("stages.1", self.widths[1], 8),
            Endpoint::patches("stages.2", self.widths[2], 16),
            Endpoint::patches("stages.3", self.widths[3], 32),
        ]
    }
}

impl super::Stages for Config {
    fn stage(&self, params: &Params, stage: usize) -> Result<Stage> {
        let width = self.widths[stage];
        let at = params.at(format_args!("stages.{stage}"));
        let mut layers = Stage::new();
        layers.push(Box::new(if stage == 0 {
            let (conv, norm) = (params.at("stem.0"), params.at("stem.1"));
            Shrink { norm_first: false, conv: patches(&conv, 3, width, 4)?, norm: LayerNorm::new(&norm, width, EPS)? }
        } else {
            let (norm, conv, inputs) = (at.at("downsample.0"), at.at("downsample.1"), self.widths[stage - 1]);
            Shrink {
                norm_first: true,
                norm: LayerNorm::new(&norm, inputs, EPS)?,
                conv: patches(&conv, inputs, width, 2)?,
            }
        }));
        let blocks = (0..self.depths[stage]).map(|block| Block::new(&at.at(format_args!("blocks.{block}")), width));
        layers.push(Box::new(Blocks(blocks.collect::<Result<_>>()?)));
        Ok(layers)
    }
}

/// A convolution that sees each pixel once.
fn patches(params: &Params, inputs: usize, outputs: usize, size: usize) -> Result<Conv2d> {
    let options = Conv2dOptions { stride: size, bias: true, init: WEIGHTS, ..Conv2dOptions::default() };
    Ok(Conv2d::new(params, inputs, outputs, (size, size), options)?)
}

/// A step to a lower resolution.
struct Shrink {
    norm_first: bool,
    norm: LayerNorm,
    conv: Conv2d,
}

impl cnn::Layer for Shrink {
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        let conv = |x: &Tensor| self.conv.run_as(x, Format::ChannelsLast, pass);
        let x = x.to_tensor(Format::ChannelsLast)?;
        let y = if self.norm_first { conv(&self.norm.run(&x, pass)?)? } else { self.norm.run(&conv(&x)?, pass)? };
        Ok(Maps::new(&y, Format::ChannelsLast)?)
    }

    fn describe(&self, graph: &mut Graph, x: Value, _: &Pass) -> Result<Value> {
        let norm = |graph: &mut Graph, x| -> Result<Value> {
            let last = graph.channels_last(x);
            let y = self.norm.describe(graph, last)?;
            Ok(graph.channels_first(y))
        };
        if self.norm_first {
            let y = norm(graph, x)?;
            Ok(self.conv.describe(graph, y)?)
        } else {
            let y = self.conv.describe(graph, x)?;
            norm(graph, y)
        }
    }
}

/// The blocks of a stage, on tensors (B, H, W, C).
struct Blocks(Vec<Block>);

impl cnn::Layer for Blocks {
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        let x = x.to_tensor(Format::ChannelsLast)?;
        let y = self.0.iter().try_fold(x, |x, block| block.run(&x, pass))?;
        Ok(Maps::new(&y, Format::ChannelsLast)?)
    }

    fn describe(&self, graph: &mut Graph, x: Value, _: &Pass) -> Result<Value> {
        self.0.iter().try_fold(x, |x, block| block.describe(graph, x))
    }
}

/// x + gamma * mlp(norm(depthwise 7x7(x))).
struct Block {
    depthwise: Conv2d,
    norm: LayerNorm,
    expand: Linear,
    project: Linear,
    gamma: Var,
}

impl Block {
    fn new(params: &Params, width: usize) -> Result<Self> {
        let padding = ConvPadding::Explicit(Padding::uniform(3));
        let options = Conv2dOptions { groups: width, padding, bias: true, init: WEIGHTS, ..Conv2dOptions::default() };
        Ok(Self {
            depthwise: Conv2d::new(&params.at("conv_dw"), width, width, (7, 7), options)?,
            norm: LayerNorm::new(&params.at("norm"), width, EPS)?,
            expand: Linear::new(&params.at("mlp.fc1"), width, 4 * width, true, WEIGHTS)?,
            project: Linear::new(&params.at("mlp.fc2"), 4 * width, width, true, WEIGHTS)?,
            gamma: params.parameter("gamma", width, Init::Constant(1e-6))?,
        })
    }

    fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = self.norm.run(&self.depthwise.run_as(x, Format::ChannelsLast, pass)?, pass)?;
        let y = gelu(&self.expand.run(&y, pass)?)?;
        Ok((x + self.project.run_scaled(&y, &pass.weight(&self.gamma), pass)?)?)
    }

    /// Of maps (B, C, H, W).
    fn describe(&self, graph: &mut Graph, x: Value) -> Result<Value> {
        let y = self.depthwise.describe(graph, x)?;
        let y = graph.channels_last(y);
        let y = self.norm.describe(graph, y)?;
        let y = self.expand.describe(graph, y)?;
        let y = graph.gelu(y);
        let y = self.project.describe(graph, y)?;
        let gamma = graph.tensor(&self.gamma)?;
        let y = graph.op("Mul", &[y, gamma]);
        let y = graph.channels_first(y);
        Ok(graph.op("Add", &[x, y]))
    }
}
