//! Which inputs each window of a pooling covers.

use super::{MAX, PoolConfig};
use crate::separable::Taps;
use crate::{Error, Result};

/// The windows along one axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    pub size: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
    pub outputs: usize,
}

impl Axis {
    fn new(op: &'static str, size: usize, kernel: usize, stride: usize, padding: usize) -> Result<Self> {
        let fail = |message| Err(Error::Config { op, message });
        if kernel == 0 || stride == 0 {
            return fail(format!("kernel {kernel} and stride {stride} must be 1 or more"));
        }
        if padding > kernel / 2 {
            return fail(format!("padding {padding} is more than half the kernel {kernel}"));
        }
        if kernel > 255 && op == MAX {
            return fail(format!("a window of {kernel}: 255 is the longest"));
        }
        if size == 0 || size + 2 * padding < kernel {
            return fail(format!("a window of {kernel} doesn't fit in {size} with padding {padding}"));
        }
        Ok(Self { size, kernel, stride, padding, outputs: (size + 2 * padding - kernel) / stride + 1 })
    }

    /// The inputs that a window covers.
    #[inline(always)]
    pub fn window(self, output: usize) -> std::ops::Range<usize> {
        let start = output * self.stride;
        start.saturating_sub(self.padding)..(start + self.kernel - self.padding).min(self.size)
    }

    /// The windows that cover an input.
    #[inline(always)]
    pub fn covering(self, input: usize) -> std::ops::Range<usize> {
        let first = (input + self.padding + 1).saturating_sub(self.kernel).div_ceil(self.stride);
        first..((input + self.padding) / self.stride + 1).min(self.outputs)
    }

    /// The mean of each window as weights of its inputs.
    pub fn means(self, count_include_pad: bool) -> Taps {
        let outputs = (0..self.outputs).map(|output| {
            let window = self.window(output);
            let count = if count_include_pad { self.kernel } else { window.len() };
            window.map(|input| (input, 1.0 / count as f64)).collect()
        });
        Taps::new(self.size, outputs.collect())
    }
}

/// The windows of a pooling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    pub(super) rows: Axis,
    pub(super) columns: Axis,
}

impl Windows {
    /// Of maps of `size` (height, width).
    pub fn new(op: &'static str, size: (usize, usize), config: &PoolConfig) -> Result<Self> {
        let (h, w) = size;
        Ok(Self {
            rows: Axis::new(op, h, config.kernel.0, config.stride.0, config.padding.0)?,
            columns: Axis::new(op, w, config.kernel.1, config.stride.1, config.padding.1)?,
        })
    }

    /// Rows and columns of the output.
    pub fn outputs(&self) -> (usize, usize) {
        (self.rows.outputs, self.columns.outputs)
    }

    /// Number, in reading order, of an input in the window of an output.
    #[inline(always)]
    pub(super) fn place(&self, output: (usize, usize), input: (usize, usize)) -> u16 {
        let row = input.0 + self.rows.padding - output.0 * self.rows.stride;
        let column = input.1 + self.columns.padding - output.1 * self.columns.stride;
        (row * self.columns.kernel + column) as u16
    }
}
