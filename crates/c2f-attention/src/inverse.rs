//! The inverse mapping: from attended feature maps back to the picture.

use c2f_backbone::Endpoint;
use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{Conv2d, Conv2dOptions, ConvNormAct, ConvNormActOptions, ConvPadding, Init, Params, Pass};
use c2f_ops::{Activation, Format, Maps, Padding, resize_bilinear};
use candle_core::{Tensor, Var};

use crate::{Error, InverseConfig, RegionSource, Result, Sampling, SamplingValues};

/// Learns where in the picture the attended feature maps E_k = A_k . F came from.
///
/// That there is a learned, differentiable inverse mapping is Coarse2Fine's (Eshratifar et al. 2019, abstract). The
/// paper's architecture couldn't be read; this one is this project's: a projection shared by all parts, and a decoder
/// of {bilinear x2, 3x3 convolution, BatchNorm, ReLU} up to a quarter of the picture's resolution, whose logits are added
/// to a shortcut: how far the attention of a place lies above the mean of its picture. The shortcut makes the mapping
/// begin where SCDA (Wei et al. 2017) ends, which keeps what lies above the mean; from there it learns.
#[derive(Clone, Debug)]
pub struct InverseMapping {
    /// None where the attention alone decides.
    decoder: Option<Decoder>,
    attention_gain: Var,
    /// Also that of the decoder's last layer.
    bias: Var,
    detach_attended: bool,
    /// How far, in pixels down and to the right, what the cells say lies from where stretching puts it.
    shift: f64,
    format: Format,
}

/// From attended feature maps to logits.
#[derive(Clone, Debug)]
struct Decoder {
    project: Conv2d,
    stages: Vec<ConvNormAct>,
    logit: Conv2d,
}

impl InverseMapping {
    /// Makes `project.weight` (d, C, 1, 1), `decoder.N.{conv,bn}.*`, `logit.{weight,bias}` and `attention_gain` (1), for
    /// `maps` M attention maps and the feature maps of `endpoint`, of C channels: log2(stride / 4) stages. From the attention alone only
    /// `attention_gain` and `logit.bias`.
    ///
    /// # Errors
    /// If a parameter of that name exists with another shape.
    pub fn new(params: &Params, maps: usize, endpoint: &Endpoint, config: &InverseConfig) -> Result<Self> {
        // Made before the decoder's last layer, which would start it at zero.
        let bias = params.at("logit").parameter("bias", 1, Init::Constant(config.open_bias))?;
        let decoder = match config.source {
            RegionSource::Learned => Some(Decoder::new(params, maps, endpoint, config)?),
            _ => None,
        };
        let attention_gain = params.parameter("attention_gain", 1, Init::Constant(config.attention_gain))?;
        let shift = if config.registered { endpoint.shift() } else { 0.0 };
        let (detach_attended, format) = (config.detach_attended, params.format());
        Ok(Self { decoder, attention_gain, bias, detach_attended, shift, format })
    }

    /// `features` (B, C, h, w) and `attention` (B, M, h, w) to the region map R (B, 1, H, W) in 0..1, for a picture of
    /// `size` (H, W).
    ///
    /// # Errors
    /// If the shapes don't fit each other or the mapping.
    pub fn run(&self, features: &Tensor, attention: &Tensor, size: (usize, usize), pass: &Pass) -> Result<Tensor> {
        let (features, attention) = if self.detach_attended {
            (features.detach(), attention.detach())
        } else {
            (features.clone(), attention.clone())
        };
        let shortcut = above_mean(&attention)?;
        let gain = pass.weight(&self.attention_gain);
        let logit = match &self.decoder {
            Some(decoder) => {
                let logit = decoder.run(&features, &attention, self.format, pass)?;
                let (_, _, h, w) = logit.dims4()?;
                (logit + resize_bilinear(&shortcut, (h, w), false, Format::ChannelsFirst)?.broadcast_mul(&gain)?)?
            }
            None => shortcut.broadcast_mul(&gain)?.broadcast_add(&pass.weight(&self.bias))?,
        };
        sigmoid(&shifted(&resize_bilinear(&logit, size, false, Format::ChannelsFirst)?, self.shift)?)
    }

    /// Describes what [`run`](Self::run) computes, by the running statistics of the pass; `size` are two whole numbers, height
    /// and width.
    ///
    /// # Errors
    /// If a layer hasn't that set of statistics.
    pub fn describe(
        &self,
        graph: &mut Graph,
        features: Value,
        attention: Value,
        size: Value,
        pass: &Pass,
    ) -> Result<Value> {
        let shortcut = describe_above_mean(graph, attention);
        let gain = graph.tensor(&self.attention_gain)?;
        let logit = if let Some(decoder) = &self.decoder {
            let logit = decoder.describe(graph, features, attention, pass)?;
            let size = graph.shape(logit, 2..4);
            let shortcut = graph.resize_bilinear(shortcut, size, false);
            let shortcut = graph.op("Mul", &[shortcut, gain]);
            graph.op("Add", &[logit, shortcut])
        } else {
            let (shortcut, bias) = (graph.op("Mul", &[shortcut, gain]), graph.tensor(&self.bias)?);
            graph.op("Add", &[shortcut, bias])
        };
        let logit = graph.resize_bilinear(logit, size, false);
        let logit = describe_shifted(graph, logit, size, self.shift);
        Ok(graph.op("Sigmoid", &[logit]))
    }
}

impl Decoder {
    fn new(params: &Params, maps: usize, endpoint: &Endpoint, config: &InverseConfig) -> Result<Self> {
        let convolution = Conv2dOptions::default();
        let project = Conv2d::new(&params.at("project"), endpoint.channels, config.channels, (1, 1), convolution)?;
        let mut width = maps * config.channels;
        let mut stages = Vec::new();
        let mut cell = endpoint.stride;
        while cell > 4 {
            let options = ConvNormActOptions {
                names: ("conv", "bn"),
                conv: Conv2dOptions { padding: ConvPadding::Explicit(Padding::uniform(1)), ..Conv2dOptions::default() },
                eps: 1e-5,
                momentum: 0.1,
                activation: Activation::Relu,
            };
            let params = params.at("decoder").at(stages.len());
            stages.push(ConvNormAct::new(&params, width, config.decoder_channels, (3, 3), options)?);
            width = config.decoder_channels;
            cell = cell.div_ceil(2);
        }
        let options = Conv2dOptions { bias: true, ..Conv2dOptions::default() };
        let logit = Conv2d::new(&params.at("logit"), width, 1, (1, 1), options)?;
        Ok(Self { project, stages, logit })
    }

    /// The logits (B, 1, h', w') of places of four pixels.
    fn run(&self, features: &Tensor, attention: &Tensor, format: Format, pass: &Pass) -> Result<Tensor> {
        let mut x = self.attended(features, attention, format, pass)?;
        for stage in &self.stages {
            let (_, _, h, w) = format.dims(&x)?;
            let larger = resize_bilinear(&x, (2 * h, 2 * w), false, format)?;
            x = stage.run(&Maps::new(&larger, format)?, pass)?.to_tensor(format)?;
        }
        Ok(format.to_nchw(&self.logit.run_as(&x, format, pass)?)?)
    }

    fn describe(&self, graph: &mut Graph, features: Value, attention: Value, pass: &Pass) -> Result<Value> {
        let projected = self.project.describe(graph, features)?;
        let size = graph.shape(features, 2..4);
        let (attention, projected) = (graph.unsqueeze(attention, &[2]), graph.unsqueeze(projected, &[1]));
        let stacked = graph.op("Mul", &[attention, projected]);
        let channels = graph.ints(&[0, -1]);
        let shape = graph.concat(&[channels, size], 0);
        let mut x = graph.reshape_to(stacked, shape);
        for stage in &self.stages {
            let (size, two) = (graph.shape(x, 2..4), graph.ints(&[2]));
            let size = graph.op("Mul", &[size, two]);
            let larger = graph.resize_bilinear(x, size, false);
            x = stage.describe(graph, larger, pass)?;
        }
        Ok(self.logit.describe(graph, x)?)
    }

    /// The projected attended feature maps, M * d channels, part by part. A_k is one number per place, so the
    /// projection of A_k . F is A_k times that of F: it is computed once, and (B, M, C, h, w) never exists.
    fn attended(&self, features: &Tensor, attention: &Tensor, format: Format, pass: &Pass) -> Result<Tensor> {
        let projected = self.project.run_as(&format.from_nchw(features)?, format, pass)?;
        let attention = format.from_nchw(attention)?;
        let (b, d, h, w) = format.dims(&projected)?;
        let (ab, m, ah, aw) = format.dims(&attention)?;
        if (b, h, w) != (ab, ah, aw) {
            return Err(Error::shape("inverse", "attention", &attention, format!("the features' {b} x {h} x {w}")));
        }
        let axis = format.channel_axis();
        let stacked = attention.unsqueeze(axis + 1)?.broadcast_mul(&projected.unsqueeze(axis)?)?;
        Ok(match format {
            Format::ChannelsFirst => stacked.reshape((b, m * d, h, w))?,
            Format::ChannelsLast => stacked.reshape((b, h, w, m * d))?,
        })
    }
}

/// Maps (B, C, h, w) of an endpoint, such as attention maps, over a picture of `size` (H, W): (B, C, H, W), bilinearly, each cell's
/// value where the cell looks.
///
/// # Errors
/// If `maps` doesn't have four dimensions.
pub fn lay_over(maps: &Tensor, endpoint: &Endpoint, size: (usize, usize)) -> Result<Tensor> {
    shifted(&resize_bilinear(maps, size, false, Format::ChannelsFirst)?, endpoint.shift())
}

/// Describes [`lay_over`].
pub fn describe_lay_over(graph: &mut Graph, maps: Value, endpoint: &Endpoint, size: Value) -> Value {
    let maps = graph.resize_bilinear(maps, size, false);
    describe_shifted(graph, maps, size, endpoint.shift())
}

/// Maps (B, C, H, W) moved by so many pixels down and to the right, their edges being repeated behind them.
fn shifted(maps: &Tensor, pixels: f64) -> Result<Tensor> {
    if pixels == 0.0 {
        return Ok(maps.clone());
    }
    let (batch, _, height, width) = maps.dims4()?;
    // What is seen at a place was that many pixels before it.
    let [x, y] = [width, height].map(|size| -pixels / size as f64);
    let boxes = Tensor::new(&[[x, y, x + 1.0, y + 1.0]], maps.device())?.to_dtype(maps.dtype())?;
    Sampling::Boxes(boxes.broadcast_as((batch, 4))?).sample(maps, (height, width))
}

/// Describes [`shifted`], of maps of `size`, height and width.
fn describe_shifted(graph: &mut Graph, maps: Value, size: Value, pixels: f64) -> Value {
    if pixels == 0.0 {
        return maps;
    }
    let size_float = graph.to_float(size);
    let pixels = graph.scalar(-pixels);
    let start = graph.op("Div", &[pixels, size_float]);
    let [y, x] = [0, 1].map(|place| graph.narrow(start, 0, place));
    let [bottom, right] = [y, x].map(|start| graph.affine(start, 1.0, 1.0));
    let corners = graph.concat(&[x, y, right, bottom], 0);
    let (batch, four) = (graph.shape(maps, 0..1), graph.ints(&[4]));
    let shape = graph.concat(&[batch, four], 0);
    let boxes = graph.op("Expand", &[corners, shape]);
    SamplingValues::Boxes(boxes).describe(graph, maps, size)
}

/// How the mean over the maps of attention (B, M, h, w) at each place compares with its mean over the picture, less 1:
/// (B, 1, h, w), -1 where there is no attention, 0 everywhere in an even picture.
fn above_mean(attention: &Tensor) -> Result<Tensor> {
    let map = attention.mean_keepdim(1)?;
    // The small constant decides only where there is no attention at all.
    let mean = map.mean_keepdim((2, 3))?.affine(1.0, 1e-6)?;
    Ok(map.broadcast_div(&mean)?.affine(1.0, -1.0)?)
}

/// Describes [`above_mean`].
fn describe_above_mean(graph: &mut Graph, attention: Value) -> Value {
    let map = graph.mean(attention, &[1]);
    let mean = graph.mean(map, &[2, 3]);
    let mean = graph.affine(mean, 1.0, 1e-6);
    let share = graph.op("Div", &[map, mean]);
    graph.affine(share, 1.0, -1.0)
}

/// 1 / (1 + exp(-x)), as (1 + tanh(x / 2)) / 2: finite, with its gradient, for any x.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok(x.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)?)
}
