//! Covariance pooling with an iterative matrix square root.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{Conv2dOptions, ConvNormAct, ConvNormActOptions, Init, Params, Pass};
use c2f_ops::{Activation, Format, Maps};
use candle_core::{Device, Tensor};

use crate::{CovarianceConfig, Error, Result};

/// Steps of the Newton-Schulz iteration; the authors' choice.
const STEPS: usize = 5;
/// Added to the trace (ours), so that maps without any variance have a square root of 0 and a finite gradient.
const EPS: f64 = 1e-12;

/// iSQRT-COV (Li et al. 2018, arXiv 1712.01034, section 3): a 1x1 convolution to d channels with BatchNorm and ReLU, the
/// covariance of the channels over the places, its square root, and of that the upper triangle.
#[derive(Clone, Debug)]
pub struct CovariancePooling {
    reduce: ConvNormAct,
    channels: usize,
}

impl CovariancePooling {
    /// Makes `conv.weight` (d, C, 1, 1), Kaiming's by the fan out as in the authors' code, and `bn.*` for feature maps of
    /// `channels` C.
    ///
    /// # Errors
    /// If a parameter of that name exists with another shape.
    pub fn new(params: &Params, channels: usize, config: &CovarianceConfig) -> Result<Self> {
        let options = ConvNormActOptions {
            names: ("conv", "bn"),
            conv: Conv2dOptions { init: Init::KaimingNormalFanOut, ..Conv2dOptions::default() },
            eps: 1e-5,
            momentum: 0.1,
            activation: Activation::Relu,
        };
        let reduce = ConvNormAct::new(params, channels, config.channels, (1, 1), options)?;
        Ok(Self { reduce, channels: config.channels })
    }

    /// How many values a picture has: d (d + 1) / 2.
    pub fn width(&self) -> usize {
        self.channels * (self.channels + 1) / 2
    }

    /// Feature maps (B, C, h, w) of more than one place to (B, d (d + 1) / 2).
    ///
    /// # Errors
    /// If `features` doesn't have the layer's channels, or a single place, which has no variance.
    pub fn run(&self, features: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (_, _, h, w) = features.dims4()?;
        if h * w < 2 {
            return Err(Error::shape("covariance pooling", "features", features, "(B, C, h, w) with h * w above 1"));
        }
        let maps = Maps::new(features, Format::ChannelsFirst)?;
        let reduced = self.reduce.run(&maps, pass)?.to_tensor(Format::ChannelsFirst)?;
        let root = square_root(&covariance(&reduced)?)?;
        Ok(root.flatten_from(1)?.index_select(&Tensor::new(upper(self.channels), root.device())?, 1)?)
    }

    /// Describes what [`run`](Self::run) computes, by the running statistics of the pass.
    ///
    /// # Errors
    /// If the layer hasn't that set of statistics.
    pub fn describe(&self, graph: &mut Graph, features: Value, pass: &Pass) -> Result<Value> {
        let reduced = self.reduce.describe(graph, features, pass)?;
        let covariance = describe_covariance(graph, reduced);
        let root = describe_square_root(graph, covariance, self.channels)?;
        let row = graph.reshape(root, &[0, -1]);
        let upper: Vec<i64> = upper(self.channels).into_iter().map(i64::from).collect();
        Ok(graph.gather(row, 1, &upper))
    }
}

/// The covariance (B, d, d) of the channels of maps (B, d, h, w) over their places: their products' mean, each channel's own
/// mean being taken off (section 3.2).
///
/// # Errors
/// If `maps` doesn't have four dimensions.
pub fn covariance(maps: &Tensor) -> Result<Tensor> {
    let rows = maps.flatten_from(2)?;
    let centred = rows.broadcast_sub(&rows.mean_keepdim(2)?)?.contiguous()?;
    let places = rows.dim(2)? as f64;
    Ok(centred.matmul(&centred.t()?)?.affine(1.0 / places, 0.0)?)
}

/// The square roots (B, d, d) of covariances (B, d, d): divided by their trace, for which the Newton-Schulz iteration converges, and
/// multiplied by the root of the trace in the end (section 3.2).
///
/// # Errors
/// If `covariance` isn't (B, d, d).
pub fn square_root(covariance: &Tensor) -> Result<Tensor> {
    let (_, channels, _) = covariance.dims3()?;
    let identity = identity(channels, covariance.device())?.to_dtype(covariance.dtype())?;
    let trace = covariance.broadcast_mul(&identity)?.sum_keepdim((1, 2))?.affine(1.0, EPS)?;
    let thrice = identity.affine(3.0, 0.0)?;
    let half_of_rest = |product: &Tensor| thrice.broadcast_sub(product)?.affine(0.5, 0.0);
    // The first step's Z is the identity.
    let normalised = covariance.broadcast_div(&trace)?;
    let mut z = half_of_rest(&normalised)?;
    let mut y = normalised.matmul(&z)?;
    for step in 1..STEPS {
        let factor = half_of_rest(&z.matmul(&y)?)?;
        y = y.matmul(&factor)?;
        if step + 1 < STEPS {
            z = factor.matmul(&z)?;
        }
    }
    Ok(y.broadcast_mul(&trace.sqrt()?)?)
}

fn describe_covariance(graph: &mut Graph, maps: Value) -> Value {
    let size = graph.shape(maps, 2..4);
    let places = graph.product(size);
    let rows = graph.reshape(maps, &[0, 0, -1]);
    let mean = graph.mean(rows, &[2]);
    let centred = graph.op("Sub", &[rows, mean]);
    let columns = graph.transpose(centred, &[0, 2, 1]);
    let products = graph.op("MatMul", &[centred, columns]);
    graph.op("Div", &[products, places])
}

fn describe_square_root(graph: &mut Graph, covariance: Value, channels: usize) -> Result<Value> {
    let identity = identity(channels, &Device::Cpu)?;
    let thrice = graph.tensor(&identity.affine(3.0, 0.0)?)?;
    let identity = graph.tensor(&identity)?;
    let diagonal = graph.op("Mul", &[covariance, identity]);
    let trace = graph.sum(diagonal, &[1, 2]);
    let trace = graph.affine(trace, 1.0, EPS);
    let half_of_rest = |graph: &mut Graph, product| {
        let rest = graph.op("Sub", &[thrice, product]);
        graph.affine(rest, 0.5, 0.0)
    };
    let normalised = graph.op("Div", &[covariance, trace]);
    let mut z = half_of_rest(graph, normalised);
    let mut y = graph.op("MatMul", &[normalised, z]);
    for step in 1..STEPS {
        let product = graph.op("MatMul", &[z, y]);
        let factor = half_of_rest(graph, product);
        y = graph.op("MatMul", &[y, factor]);
        if step + 1 < STEPS {
            z = graph.op("MatMul", &[factor, z]);
        }
    }
    let root = graph.op("Sqrt", &[trace]);
    Ok(graph.op("Mul", &[y, root]))
}

/// (1, d, d), f32.
fn identity(channels: usize, device: &Device) -> candle_core::Result<Tensor> {
    Tensor::eye(channels, candle_core::DType::F32, device)?.unsqueeze(0)
}

/// Where, in a row of d * d values, those of the upper triangle are.
fn upper(channels: usize) -> Vec<u32> {
    (0..channels).flat_map(|row| (row..channels).map(move |column| (row * channels + column) as u32)).collect()
}
