//! Classifiers at several endpoints, trained from the finest parts to the whole.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{
    BatchNorm2d, Conv2dOptions, ConvNormAct, ConvNormActOptions, ConvPadding, Init, Linear, NormMode, Params, Pass,
};
use c2f_ops::{Activation, Format, Maps, Padding};
use candle_core::Tensor;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::{Error, ProgressiveConfig, Result};

/// Endpoints with a classifier of their own, a network's last; the paper's choice.
pub const LEVELS: usize = 3;

/// PMG's head (Du et al. 2020, arXiv 2003.03836, section 3): at each of a network's last three endpoints two convolutions, the largest
/// value of each channel, and a classifier; and from all three together what one more classifier takes.
#[derive(Clone, Debug)]
pub struct ProgressiveHead {
    levels: Vec<Level>,
    together: Hidden,
}

/// What the head makes of B pictures.
#[derive(Clone, Debug)]
pub struct Levels {
    /// (B, K) of each level, in the order of the data's way.
    pub logits: Vec<Tensor>,
    /// (B, d): the classifier's input, of all levels together.
    pub together: Tensor,
}

#[derive(Clone, Debug)]
struct Level {
    convolutions: [ConvNormAct; 2],
    hidden: Hidden,
    classifier: Linear,
}

/// BatchNorm, linear, BatchNorm, ELU.
#[derive(Clone, Debug)]
struct Hidden {
    norms: [BatchNorm2d; 2],
    linear: Linear,
}

impl ProgressiveHead {
    /// Makes `progressive.*` and `classifier.levels.*` for feature maps of these channels and K `classes`.
    ///
    /// # Errors
    /// If a parameter of that name exists with another shape.
    pub fn new(params: &Params, channels: [usize; LEVELS], classes: usize, config: &ProgressiveConfig) -> Result<Self> {
        let (narrow, wide) = (config.channels, 2 * config.channels);
        let own = params.at("progressive");
        let level = |(level, inputs): (usize, usize)| -> Result<Level> {
            let params = (own.at("levels").at(level), params.at("classifier").at("levels").at(level));
            Ok(Level {
                convolutions: [
                    convolution(&params.0.at("reduce"), inputs, narrow, 1)?,
                    convolution(&params.0.at("widen"), narrow, wide, 3)?,
                ],
                hidden: Hidden::new(&params.0.at("hidden"), wide, narrow)?,
                classifier: Linear::new(&params.1, narrow, classes, true, Init::TORCH)?,
            })
        };
        Ok(Self {
            levels: channels.into_iter().enumerate().map(level).collect::<Result<_>>()?,
            together: Hidden::new(&own.at("together"), LEVELS * wide, narrow)?,
        })
    }

    /// Feature maps (B, C_i, h_i, w_i), one for each level, to logits and the classifier's input.
    ///
    /// # Errors
    /// If there aren't as many, or they have other channels.
    pub fn run(&self, features: &[Tensor], pass: &Pass) -> Result<Levels> {
        let levels = self.levels.iter().zip(features);
        let vectors = levels.map(|(level, features)| level.vector(features, pass)).collect::<Result<Vec<_>>>()?;
        let levels = self.levels.iter().zip(&vectors);
        let logits = levels.map(|(level, vector)| -> Result<Tensor> {
            Ok(level.classifier.run(&level.hidden.run(vector, pass)?, pass)?)
        });
        let logits = logits.collect::<Result<Vec<_>>>()?;
        Ok(Levels { logits, together: self.together.run(&Tensor::cat(&vectors, 1)?, pass)? })
    }

    /// Describes what [`run`](Self::run) computes, by the running statistics of the pass.
    ///
    /// # Errors
    /// If a layer hasn't that set of statistics.
    pub(crate) fn describe(&self, graph: &mut Graph, features: &[Value], pass: &Pass) -> Result<(Vec<Value>, Value)> {
        let (mut logits, mut vectors) = (Vec::new(), Vec::new());
        for (level, features) in self.levels.iter().zip(features) {
            let mut x = *features;
            for convolution in &level.convolutions {
                x = convolution.describe(graph, x, pass)?;
            }
            let vector = graph.max(x, &[2, 3]);
            let hidden = level.hidden.describe(graph, vector, pass)?;
            logits.push(level.classifier.describe(graph, hidden)?);
            vectors.push(vector);
        }
        let all = graph.concat(&vectors, 1);
        Ok((logits, self.together.describe(graph, all, pass)?))
    }
}

fn convolution(params: &Params, inputs: usize, outputs: usize, kernel: usize) -> Result<ConvNormAct> {
    let padding = ConvPadding::Explicit(Padding::uniform(kernel / 2));
    let options = ConvNormActOptions {
        names: ("conv", "bn"),
        conv: Conv2dOptions { padding, init: Init::TORCH, ..Conv2dOptions::default() },
        eps: 1e-5,
        momentum: 0.01,
        activation: Activation::Relu,
    };
    Ok(ConvNormAct::new(params, inputs, outputs, (kernel, kernel), options)?)
}

impl Level {
    /// (B, C_i, h_i, w_i) to (B, 2 d): the largest value of each channel. Among equals the first has it, and the gradient.
    fn vector(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut maps = Maps::new(features, Format::ChannelsFirst)?;
        for convolution in &self.convolutions {
            maps = convolution.run(&maps, pass)?;
        }
        let rows = maps.to_tensor(Format::ChannelsFirst)?.flatten_from(2)?.contiguous()?;
        Ok(rows.gather(&rows.detach().argmax_keepdim(2)?, 2)?.squeeze(2)?)
    }
}

impl Hidden {
    fn new(params: &Params, inputs: usize, outputs: usize) -> Result<Self> {
        let norm = |name, channels| BatchNorm2d::new(&params.at(name), channels, 1e-5, 0.1);
        Ok(Self {
            norms: [norm("bn1", inputs)?, norm("bn2", outputs)?],
            linear: Linear::new(&params.at("linear"), inputs, outputs, true, Init::TORCH)?,
        })
    }

    /// (B, C) to (B, d). A picture alone in its batch has no variance, and is normalised by the running statistics (ours).
    fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let alone = pass.norm == NormMode::Train && x.dim(0)? == 1;
        let pass = &if alone { Pass { norm: NormMode::Eval, ..*pass } } else { *pass };
        let norm = |norm: &BatchNorm2d, x: &Tensor| -> Result<Tensor> {
            Ok(norm.run(&x.reshape((x.dim(0)?, x.dim(1)?, 1, 1))?, pass)?.flatten_from(1)?)
        };
        let hidden = self.linear.run(&norm(&self.norms[0], x)?, pass)?;
        Ok(norm(&self.norms[1], &hidden)?.elu(1.0)?)
    }

    /// (B, C, 1, 1) to (B, d).
    fn describe(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<Value> {
        let x = self.norms[0].describe(graph, x, pass)?;
        let x = graph.reshape(x, &[0, -1]);
        let x = self.linear.describe(graph, x)?;
        let x = graph.unsqueeze(x, &[2, 3]);
        let x = self.norms[1].describe(graph, x, pass)?;
        let x = graph.reshape(x, &[0, -1]);
        Ok(graph.op("Elu", &[x]))
    }
}

/// Pictures (B, 3, H, W) cut into `pieces` x `pieces` squares, which lie in another order, the same for all of them and drawn evenly
/// (the jigsaw puzzle generator of section 3).
///
/// # Errors
/// If H or W isn't a multiple of `pieces`.
pub fn jigsaw(pictures: &Tensor, pieces: usize, rng: &mut impl Rng) -> Result<Tensor> {
    let (batch, channels, height, width) = match *pictures.dims() {
        [b, c, h, w] if pieces > 0 && h % pieces == 0 && w % pieces == 0 => (b, c, h, w),
        _ => {
            let expected = format!("(B, 3, H, W), H and W being multiples of {pieces}");
            return Err(Error::shape("jigsaw", "pictures", pictures, expected));
        }
    };
    let mut order: Vec<u32> = (0..(pieces * pieces) as u32).collect();
    order.shuffle(rng);
    let order = Tensor::new(order, pictures.device())?;
    let (h, w) = (height / pieces, width / pieces);
    let cut = pictures.reshape(vec![batch, channels, pieces, h, pieces, w])?.permute(vec![2, 4, 0, 1, 3, 5])?;
    let cut = cut.reshape((pieces * pieces, ()))?.index_select(&order, 0)?;
    let cut = cut.reshape(vec![pieces, pieces, batch, channels, h, w])?.permute(vec![2, 3, 0, 4, 1, 5])?;
    Ok(cut.reshape((batch, channels, height, width))?)
}
