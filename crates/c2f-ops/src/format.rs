//! Where the channels of a batch of maps lie in memory.

use candle_core::{Device, Tensor};

use crate::{Error, Result};

/// The order of a 4-d tensor's axes.
///
/// Public borders of the project are always [`ChannelsFirst`](Format::ChannelsFirst); inside a network on the CPU
/// [`ChannelsLast`](Format::ChannelsLast) is faster: a 1x1 convolution is one matrix product without a copy, and
/// depthwise convolutions and BatchNorm run along the contiguous axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// (B, C, H, W)
    ChannelsFirst,
    /// (B, H, W, C)
    ChannelsLast,
}

impl Format {
    /// The format in which the kernels for `device` are written.
    pub fn native(device: &Device) -> Self {
        if device.is_cpu() { Self::ChannelsLast } else { Self::ChannelsFirst }
    }

    /// A (B, C, H, W) tensor in this format, contiguous.
    ///
    /// # Errors
    /// If `x` doesn't have four dimensions.
    pub fn from_nchw(self, x: &Tensor) -> Result<Tensor> {
        Self::ChannelsFirst.convert(x, self)
    }

    /// A tensor of this format as (B, C, H, W), contiguous.
    ///
    /// # Errors
    /// If `x` doesn't have four dimensions.
    pub fn to_nchw(self, x: &Tensor) -> Result<Tensor> {
        self.convert(x, Self::ChannelsFirst)
    }

    /// A tensor of this format in another one, contiguous; not copied if it is that already.
    ///
    /// # Errors
    /// If `x` doesn't have four dimensions.
    pub fn convert(self, x: &Tensor, to: Self) -> Result<Tensor> {
        let x = match (self, to) {
            (Self::ChannelsFirst, Self::ChannelsLast) => &x.permute((0, 2, 3, 1))?,
            (Self::ChannelsLast, Self::ChannelsFirst) => &x.permute((0, 3, 1, 2))?,
            _ => x,
        };
        Ok(x.contiguous()?)
    }

    /// (batch, channels, height, width) of a tensor of this format.
    ///
    /// # Errors
    /// If `x` doesn't have four dimensions.
    pub fn dims(self, x: &Tensor) -> Result<(usize, usize, usize, usize)> {
        match (self, x.dims()) {
            (Self::ChannelsFirst, &[b, c, h, w]) | (Self::ChannelsLast, &[b, h, w, c]) => Ok((b, c, h, w)),
            (_, got) => Err(Error::Shape {
                op: "format",
                what: "input",
                got: got.to_vec(),
                expected: format!("four dimensions ({self:?})"),
            }),
        }
    }

    /// Index of the channel axis.
    pub fn channel_axis(self) -> usize {
        match self {
            Self::ChannelsFirst => 1,
            Self::ChannelsLast => 3,
        }
    }
}
