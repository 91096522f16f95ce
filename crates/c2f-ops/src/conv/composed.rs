//! Convolution by candle's operations.
//!
//! candle's `conv2d` has one stride, dilation and padding for both axes, and its gradient takes the rows and columns
//! that no window reaches from the height only. So the input is padded here, and cut to what the windows see: then
//! there are none. A depthwise convolution is a sum over the taps, because candle would run one convolution per
//! channel.

use candle_core::Tensor;

use super::geometry::{Axis, Geometry};
use crate::kernel::channels_first;
use crate::{Format, Result};

pub(super) fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    g: &Geometry,
    format: Format,
) -> Result<Tensor> {
    channels_first(x, format, |x| {
        let y = correlate(x, weight, g)?;
        match bias {
            Some(bias) => Ok(y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?),
            None => Ok(y),
        }
    })
}

/// (B, I, H, W) * (O, I / groups, kh, kw) -> (B, O, H', W').
fn correlate(x: &Tensor, weight: &Tensor, g: &Geometry) -> candle_core::Result<Tensor> {
    let same_steps = g.rows.stride == g.columns.stride && g.rows.dilation == g.columns.dilation;
    if g.is_depthwise() || !same_steps {
        return sum_over_taps(x, weight, g);
    }
    let x = g.rows.pad(x, 2, 0)?;
    let x = g.columns.pad(&x, 3, 0)?;
    let x = x.narrow(2, 0, g.rows.seen(g.kernel.0))?.narrow(3, 0, g.columns.seen(g.kernel.1))?;
    x.contiguous()?.conv2d(&weight.contiguous()?, 0, g.rows.stride, g.rows.dilation, g.groups)
}

fn sum_over_taps(x: &Tensor, weight: &Tensor, g: &Geometry) -> candle_core::Result<Tensor> {
    // Room for the last step of the last tap: see `Axis::under_tap`.
    let x = g.rows.pad(x, 2, g.rows.stride - 1)?;
    let x = g.columns.pad(&x, 3, g.columns.stride - 1)?;
    let mut sum: Option<Tensor> = None;
    for ky in 0..g.kernel.0 {
        let x = g.rows.under_tap(&x, 2, ky)?;
        for kx in 0..g.kernel.1 {
            let x = g.columns.under_tap(&x, 3, kx)?;
            let weight = weight.narrow(2, ky, 1)?.narrow(3, kx, 1)?;
            let term = if g.is_depthwise() {
                x.broadcast_mul(&weight.reshape((1, (), 1, 1))?)?
            } else {
                x.contiguous()?.conv2d(&weight.contiguous()?, 0, 1, 1, g.groups)?
            };
            sum = Some(match sum {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
    }
    sum.ok_or_else(|| candle_core::Error::Msg("conv2d: a kernel without taps".to_owned()).bt())
}

impl Axis {
    fn pad(&self, x: &Tensor, dim: usize, more: usize) -> candle_core::Result<Tensor> {
        x.pad_with_zeros(dim, self.padding.0, self.padding.1 + more)
    }

    /// Length of the padded input from the first to the last value that a window sees.
    fn seen(&self, kernel: usize) -> usize {
        (self.output - 1) * self.stride + (kernel - 1) * self.dilation + 1
    }

    /// The values under one tap of every window: each `stride`-th one, found by splitting the axis in two.
    fn under_tap(&self, x: &Tensor, dim: usize, tap: usize) -> candle_core::Result<Tensor> {
        let x = x.narrow(dim, tap * self.dilation, self.output * self.stride)?;
        if self.stride == 1 {
            return Ok(x);
        }
        let mut split = x.dims().to_vec();
        split[dim] = self.output;
        split.insert(dim + 1, self.stride);
        x.contiguous()?.reshape(split)?.narrow(dim + 1, 0, 1)?.squeeze(dim + 1)
    }
}
