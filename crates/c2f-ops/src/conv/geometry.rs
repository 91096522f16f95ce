//! The sizes of one convolution, checked once.

use candle_core::Tensor;

use super::{Conv2dConfig, NAME, Padding};
use crate::{Error, Result};

/// The sizes of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
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
pub(crate) struct Axis {
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
            return Err(Error::Config { op: NAME, message });
        }
        let &[c_out, per_group, kh, kw] = weight.dims() else {
            return Err(shape("weight", weight.dims(), "(O, I / groups, kh, kw)".to_owned()));
        };
        if batch * c_in * h * w == 0 || weight.elem_count() == 0 {
            let message = format!("empty tensors: input {dims:?} (B, C, H, W), weight {:?}", weight.dims());
            return Err(Error::Config { op: NAME, message });
        }
        if c_in % groups != 0 || c_out % groups != 0 {
            let message = format!("{groups} groups don't divide {c_in} input and {c_out} output channels");
            return Err(Error::Config { op: NAME, message });
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

    /// Places in the kernel.
    pub fn taps(&self) -> usize {
        self.kernel.0 * self.kernel.1
    }

    /// Products in one output value: taps times input channels of a group.
    pub fn depth(&self) -> usize {
        self.taps() * self.c_in / self.groups
    }

    /// Values of the output.
    pub fn outputs(&self) -> usize {
        self.batch * self.rows.output * self.columns.output * self.c_out
    }

    /// Products in the whole output.
    pub fn multiply_adds(&self) -> usize {
        self.outputs() * self.depth()
    }

    /// Each channel is a group of its own, with one output.
    pub fn is_depthwise(&self) -> bool {
        self.groups == self.c_in && self.groups == self.c_out && self.groups > 1
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
            op: NAME,
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
}

fn shape(what: &'static str, got: &[usize], expected: String) -> Error {
    Error::Shape { op: NAME, what, got: got.to_vec(), expected }
}
