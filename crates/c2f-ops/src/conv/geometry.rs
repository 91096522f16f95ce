//! The sizes of one convolution, checked once.

use std::ops::Range;

use candle_core::Tensor;

use super::{Conv2dConfig, Padding};
use crate::{Error, Result};

const OP: &str = "conv2d";

/// The sizes of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub batch: usize,
    pub c_in: usize,
    pub c_out: usize,
    pub groups: usize,
    /// Height and width of the kernel.
    pub kernel: (usize, usize),
    pub rows: Axis,
    pub columns: Axis,
}

/// The sizes along one spatial axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    pub input: usize,
    pub output: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Zeros before and after the input.
    pub padding: (usize, usize),
}

impl Geometry {
    /// Checks the shapes and settings. `dims` is (batch, channels, height, width).
    pub fn new(
        dims: (usize, usize, usize, usize),
        weight: &Tensor,
        bias: Option<&Tensor>,
        config: &Conv2dConfig,
    ) -> Result<Self> {
        let (batch, c_in, h, w) = dims;
        let Conv2dConfig { stride, dilation, padding, groups } = *config;
        let at_least_one = [stride.0, stride.1, dilation.0, dilation.1, groups];
        if at_least_one.contains(&0) {
            let message =
                format!("stride {stride:?}, dilation {dilation:?} and groups {groups} must all be at least 1");
            return Err(Error::Config { op: OP, message });
        }
        let &[c_out, per_group, kh, kw] = weight.dims() else {
            return Err(shape("weight", weight.dims(), "(O, I / groups, kh, kw)".to_owned()));
        };
        if batch * c_in * h * w == 0 || weight.elem_count() == 0 {
            let message = format!("empty tensors: input {dims:?} (B, C, H, W), weight {:?}", weight.dims());
            return Err(Error::Config { op: OP, message });
        }
        if c_in % groups != 0 || c_out % groups != 0 {
            let message = format!("{groups} groups don't divide {c_in} input and {c_out} output channels");
            return Err(Error::Config { op: OP, message });
        }
        if per_group != c_in / groups {
            let expected = format!(
                "({c_out}, {}, {kh}, {kw}), the input having {c_in} channels in {groups} groups",
                c_in / groups
            );
            return Err(shape("weight", weight.dims(), expected));
        }
        if let Some(bias) = bias
            && bias.dims() != [c_out]
        {
            return Err(shape("bias", bias.dims(), format!("({c_out})")));
        }
        let Padding { top, bottom, left, right } = padding;
        Ok(Self {
            batch,
            c_in,
            c_out,
            groups,
            kernel: (kh, kw),
            rows: Axis::new("height", h, kh, stride.0, dilation.0, (top, bottom))?,
            columns: Axis::new("width", w, kw, stride.1, dilation.1, (left, right))?,
        })
    }

    /// Output pixels of the whole batch.
    pub fn pixels(&self) -> usize {
        self.batch * self.rows.output * self.columns.output
    }

    /// Input pixels of the whole batch.
    pub fn input_pixels(&self) -> usize {
        self.batch * self.rows.input * self.columns.input
    }

    /// Length of one row of the matrix that im2col makes for one group: taps times channels.
    pub fn depth(&self) -> usize {
        self.kernel.0 * self.kernel.1 * self.c_in / self.groups
    }

    /// Each channel is a group of its own, with one output.
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.c_in && self.groups == self.c_out && self.groups > 1
    }

    /// Input and output pixels correspond one to one: the convolution is a matrix product.
    pub fn is_pointwise(&self) -> bool {
        let plain = |axis: &Axis| axis.stride == 1 && axis.padding == (0, 0);
        self.kernel == (1, 1) && self.groups == 1 && plain(&self.rows) && plain(&self.columns)
    }

    /// The convolution of the output's gradient, with the kernel turned by 180 degrees, that gives the input's. There
    /// is none for a stride (the gradient would have to be spread out) nor for a padding beyond the kernel's reach.
    pub fn transposed(&self) -> Option<Self> {
        Some(Self {
            c_in: self.c_out,
            c_out: self.c_in,
            rows: self.rows.transposed(self.kernel.0)?,
            columns: self.columns.transposed(self.kernel.1)?,
            ..*self
        })
    }
}

impl Axis {
    fn new(
        name: &str,
        input: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        padding: (usize, usize),
    ) -> Result<Self> {
        let too_large = || Error::Config {
            op: OP,
            message: format!(
                "{name}: a kernel of {kernel} with dilation {dilation} is larger than the input of {input} with \
                 padding {padding:?}"
            ),
        };
        let reach = (kernel - 1).checked_mul(dilation).ok_or_else(too_large)?;
        let padded = input.checked_add(padding.0).and_then(|p| p.checked_add(padding.1)).ok_or_else(too_large)?;
        let steps = padded.checked_sub(1).and_then(|p| p.checked_sub(reach)).ok_or_else(too_large)?;
        Ok(Self { input, output: steps / stride + 1, stride, dilation, padding })
    }

    fn transposed(&self, kernel: usize) -> Option<Self> {
        let reach = (kernel - 1) * self.dilation;
        let padding = (reach.checked_sub(self.padding.0)?, reach.checked_sub(self.padding.1)?);
        (self.stride == 1).then_some(Self { input: self.output, output: self.input, padding, ..*self })
    }

    /// The input coordinate under `tap` of the window of `output`, if it isn't in the padding.
    pub fn source(&self, output: usize, tap: usize) -> Option<usize> {
        let at = (output * self.stride + tap * self.dilation).checked_sub(self.padding.0)?;
        (at < self.input).then_some(at)
    }

    /// The output coordinate whose window has `input` under `tap`.
    pub fn destination(&self, input: usize, tap: usize) -> Option<usize> {
        let at = (input + self.padding.0).checked_sub(tap * self.dilation)?;
        (at % self.stride == 0 && at / self.stride < self.output).then_some(at / self.stride)
    }

    /// The taps of the window of `output` that lie inside the input.
    pub fn inside(&self, output: usize, kernel: usize) -> Range<usize> {
        let origin = output * self.stride;
        let first = self.padding.0.saturating_sub(origin).div_ceil(self.dilation).min(kernel);
        let past = (self.padding.0 + self.input).saturating_sub(origin).div_ceil(self.dilation).min(kernel);
        first..past.max(first)
    }
}

fn shape(what: &'static str, got: &[usize], expected: String) -> Error {
    Error::Shape { op: OP, what, got: got.to_vec(), expected }
}
