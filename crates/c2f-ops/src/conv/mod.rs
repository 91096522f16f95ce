//! 2-d convolution: dense, grouped and depthwise, with its gradients.

mod composed;
mod correlation;
mod dense;
mod depthwise;
mod geometry;
mod multiply;
mod op;
mod panels;
mod strip;

use candle_core::Tensor;

use crate::kernel::expect_values;
use crate::simd::Float;
use crate::source::Source;
use crate::{Error, Format, Result, cost};
pub(crate) use geometry::Geometry;

/// Zeros around a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same on all four sides.
    pub fn uniform(p: usize) -> Self {
        Self::symmetric(p, p)
    }

    /// `vertical` above and below, `horizontal` left and right.
    pub fn symmetric(vertical: usize, horizontal: usize) -> Self {
        Self { top: vertical, bottom: vertical, left: horizontal, right: horizontal }
    }

    /// TensorFlow's SAME, all arguments being (height, width): the output has ceil(input / stride) rows and columns,
    /// and where the padding is odd, the extra zeros lie below and on the right (timm `layers/padding.py`, `pad_same`).
    pub fn same(
        input: (usize, usize),
        kernel: (usize, usize),
        stride: (usize, usize),
        dilation: (usize, usize),
    ) -> Self {
        let total = |input: usize, kernel: usize, stride: usize, dilation: usize| {
            let steps = input.div_ceil(stride.max(1)).saturating_sub(1);
            (steps * stride + dilation * kernel.saturating_sub(1) + 1).saturating_sub(input)
        };
        let vertical = total(input.0, kernel.0, stride.0, dilation.0);
        let horizontal = total(input.1, kernel.1, stride.1, dilation.1);
        Self {
            top: vertical / 2,
            bottom: vertical - vertical / 2,
            left: horizontal / 2,
            right: horizontal - horizontal / 2,
        }
    }
}

/// Settings of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Vertical and horizontal step.
    pub stride: (usize, usize),
    /// Vertical and horizontal distance between the taps of the kernel.
    pub dilation: (usize, usize),
    /// Zeros around the input.
    pub padding: Padding,
    /// Groups of channels that don't see each other.
    pub groups: usize,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self { stride: (1, 1), dilation: (1, 1), padding: Padding::default(), groups: 1 }
    }
}

/// 2-d cross-correlation as in PyTorch's `conv2d`, with gradients for all three tensors.
///
/// `x` is a batch of maps of `format` with I channels, `weight` is (O, I / groups, kh, kw) in either format, `bias` is
/// (O). The result has `format` and O channels, each side being
/// `(input + padding - dilation * (kernel - 1) - 1) / stride + 1`. On the CPU the types are f32 and f64, and neither
/// values nor gradients depend on the number of threads.
///
/// # Errors
/// If the shapes don't agree, the groups don't divide the channels, the kernel is larger than the padded input, a
/// stride, dilation or group is zero, or candle fails.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    config: &Conv2dConfig,
    format: Format,
) -> Result<Tensor> {
    let geometry = Geometry::new(format.dims(x)?, weight, bias, config)?;
    cost::report(geometry.multiply_adds());
    if x.device().is_cpu() {
        // The kernels are written for channels-last.
        let last = match format {
            Format::ChannelsFirst => &Format::ChannelsLast.from_nchw(x)?,
            Format::ChannelsLast => x,
        };
        let y = op::conv2d(last, weight, bias, geometry)?;
        return match format {
            Format::ChannelsFirst => Format::ChannelsLast.to_nchw(&y),
            Format::ChannelsLast => Ok(y),
        };
    }
    let y = composed::conv2d(&format.to_nchw(x)?, weight, &geometry)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?,
        None => y,
    };
    format.from_nchw(&y)
}

/// `y = x W^T + b` of `x` (.., in), the weight being (out, in) as in PyTorch, and the bias (out).
///
/// # Errors
/// If the last dimension of `x` isn't `in`, a tensor is empty, or candle fails.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let mut dims = x.dims().to_vec();
    let Some(last) = dims.last_mut().filter(|last| **last == inputs) else {
        return Err(Error::Shape { op: "linear", what: "input", got: dims, expected: format!("(.., {inputs})") });
    };
    *last = outputs;
    expect_values("linear", "input", x)?;
    expect_values("linear", "weight", weight)?;
    if let (true, &[_, .., tokens, _]) = (x.device().is_cpu(), x.dims()) {
        // Tokens are the pixels of maps with one row: each product is a 1x1 convolution.
        let maps = x.reshape(((), 1, tokens, inputs))?;
        let y = conv2d(
            &maps,
            &weight.reshape((outputs, inputs, 1, 1))?,
            bias,
            &Conv2dConfig::default(),
            Format::ChannelsLast,
        )?;
        return Ok(y.reshape(dims)?);
    }
    let rows = x.reshape(((), inputs))?;
    cost::report(rows.elem_count() * outputs);
    let y = rows.matmul(&weight.t()?)?.reshape(dims)?;
    match bias {
        Some(bias) => Ok(y.broadcast_add(bias)?),
        None => Ok(y),
    }
}

/// Both gradients of a convolution.
struct Gradients<T, R> {
    /// (B, H, W, I)
    pub input: Vec<T>,
    /// (O, I / groups, kh, kw)
    pub weight: Vec<T>,
    /// What `finish` answered for each block of the input's gradient.
    pub finished: Vec<R>,
}

/// (B, H, W, I) * (O, I / groups, kh, kw) -> (B, H', W', O). `finish` is called with the index of the first value and the
/// values of every block of the result, while it is in the cache; its answers come in order.
pub(crate) fn output<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    if g.is_depthwise() { depthwise::forward(g, x, weight, finish) } else { dense::forward(g, x, weight, finish) }
}

/// Gradient of the input, (B, H, W, I), from that of the output.
fn input_gradient<T: Float, R: Send>(
    g: &Geometry,
    dy: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    if g.is_depthwise() {
        depthwise::input_gradient(g, dy, weight, finish)
    } else {
        dense::input_gradient(g, dy, weight, finish)
    }
}

/// Gradient of the weight, (O, I / groups, kh, kw), from the input and the output's gradient.
fn weight_gradient<T: Float>(g: &Geometry, x: &Source<T>, dy: &Source<T>) -> Vec<T> {
    if g.is_depthwise() {
        depthwise::gradients(g, x, dy, None, |_, _| ()).weight
    } else {
        dense::weight_gradient(g, x, dy)
    }
}

/// Both gradients, from the input, the output's gradient and the weight; `finish` is called with the blocks of the
/// input's.
fn gradients<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    dy: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Gradients<T, R> {
    if g.is_depthwise() {
        return depthwise::gradients(g, x, dy, Some(weight), finish);
    }
    dense::pointwise_gradients(g, x, dy, weight, &finish).unwrap_or_else(|| {
        let (input, finished) = dense::input_gradient(g, dy, weight, finish);
        Gradients { input, weight: dense::weight_gradient(g, x, dy), finished }
    })
}

/// The gradients of the input, with what `finish` answered for its blocks, and of the weight.
pub(crate) type WantedGradients<T, R> = (Option<(Vec<T>, Vec<R>)>, Option<Vec<T>>);

/// Those of both gradients that are wanted, (input, weight), from the input, the output's gradient and the weight.
pub(crate) fn wanted_gradients<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    dy: &Source<T>,
    weight: &[T],
    wanted: (bool, bool),
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> WantedGradients<T, R> {
    match wanted {
        (true, true) => {
            let both = gradients(g, x, dy, weight, finish);
            (Some((both.input, both.finished)), Some(both.weight))
        }
        (true, false) => (Some(input_gradient(g, dy, weight, finish)), None),
        (false, true) => (None, Some(weight_gradient(g, x, dy))),
        (false, false) => (None, None),
    }
}
