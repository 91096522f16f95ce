//! Convolution composed of candle's own operations, for devices other than the CPU.
//!
//! candle's `conv2d` has one stride, dilation and padding for both axes, and its gradient takes the rows and columns
//! that no window reaches from the height only. So the input is padded here, and cut to what the windows see: then
//! there are none. A depthwise convolution is a sum over the taps, because candle would run one convolution per
//! channel.

use candle_core::{Result, Tensor};

use super::geometry::{Axis, Geometry};

/// (B, I, H, W) * (O, I / groups, kh, kw) -> (B, O, H', W').
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, g: &Geometry) -> Result<Tensor> {
    let same_steps = g.rows.stride == g.columns.stride && g.rows.dilation == g.columns.dilation;
    if g.is_depthwise() || !same_steps {
        return sum_over_taps(x, weight, g);
    }
    let x = g.rows.pad(x, 2, 0)?;
    let x = g.columns.pad(&x, 3, 0)?;
    let x = x.narrow(2, 0, g.rows.seen(g.kernel.0))?.narrow(3, 0, g.columns.seen(g.kernel.1))?;
    x.contiguous()?.conv2d(&weight.contiguous()?, 0, g.rows.stride, g.rows.dilation, g.groups)
}

fn sum_over_taps(x: &Tensor, weight: &Tensor, g: &Geometry) -> Result<Tensor> {
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
    fn pad(&self, x: &Tensor, dim: usize, more: usize) -> Result<Tensor> {
        x.pad_with_zeros(dim, self.padding.0, self.padding.1 + more)
    }

    /// Length of the padded input from the first to the last value that a window sees.
    fn seen(&self, kernel: usize) -> usize {
        (self.output - 1) * self.stride + (kernel - 1) * self.dilation + 1
    }

    /// The values under one tap of every window: each `stride`-th one, found by splitting the axis in two.
    fn under_tap(&self, x: &Tensor, dim: usize, tap: usize) -> Result<Tensor> {
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use crate::conv::geometry::Geometry;
    use crate::{Conv2dConfig, Format, Padding};

    fn values(x: &candle_core::Tensor) -> Vec<f64> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Not the kernels' own numbers: integers, so that sums are exact in any order.
    fn integers(dims: (usize, usize, usize, usize), step: usize) -> Var {
        let count = dims.0 * dims.1 * dims.2 * dims.3;
        let numbers: Vec<f64> = (0..count).map(|i| ((i * step + 5) % 17) as f64 - 8.0).collect();
        Var::from_vec(numbers, dims, &Device::Cpu).unwrap()
    }

    #[test]
    fn values_and_gradients_are_the_kernels() {
        let odd = Padding { top: 0, bottom: 1, left: 2, right: 1 };
        let cases = [
            ((2, 3, 5, 7), (4, 3, 3, 3), (1, 1), (1, 1), Padding::uniform(1), 1),
            ((1, 3, 5, 6), (4, 3, 1, 1), (1, 1), (1, 1), Padding::default(), 1),
            // Windows that leave the last row or column out: where candle's own gradient fails.
            ((1, 3, 8, 7), (2, 3, 3, 3), (2, 2), (1, 1), Padding::uniform(1), 1),
            ((1, 3, 7, 8), (2, 3, 3, 3), (2, 2), (1, 1), Padding::uniform(1), 1),
            ((1, 2, 9, 10), (3, 2, 1, 7), (1, 1), (1, 1), Padding::symmetric(0, 3), 1),
            ((1, 2, 9, 8), (3, 2, 3, 2), (2, 2), (2, 2), odd, 1),
            ((1, 2, 9, 8), (3, 2, 3, 2), (3, 2), (1, 2), odd, 1),
            ((2, 4, 5, 6), (6, 2, 3, 3), (2, 2), (1, 1), odd, 2),
            ((1, 4, 6, 5), (6, 2, 3, 3), (1, 2), (1, 1), odd, 2),
            ((2, 3, 7, 6), (3, 1, 5, 5), (2, 2), (1, 1), Padding::uniform(2), 3),
            ((1, 3, 9, 8), (3, 1, 3, 3), (2, 3), (2, 1), odd, 3),
            ((1, 2, 1, 1), (2, 2, 3, 3), (1, 1), (1, 1), Padding::uniform(1), 1),
            // Large enough to be cut along the weight, along the maps, and into runs of products.
            ((2, 96, 9, 8), (80, 96, 3, 3), (1, 1), (1, 1), Padding::uniform(1), 1),
            ((2, 272, 7, 7), (256, 272, 1, 1), (1, 1), (1, 1), Padding::default(), 1),
            ((2, 17, 40, 70), (20, 17, 3, 3), (1, 1), (1, 1), Padding::uniform(1), 1),
        ];
        for (x, weight, stride, dilation, padding, groups) in cases {
            let config = Conv2dConfig { stride, dilation, padding, groups };
            let (x, weight) = (integers(x, 3), integers(weight, 7));
            let geometry = Geometry::new(x.dims4().unwrap(), &weight, None, &config).unwrap();
            let kernels = crate::conv2d(&x, &weight, None, &config, Format::ChannelsFirst).unwrap();
            let composed = super::conv2d(&x, &weight, &geometry).unwrap();
            assert_eq!(composed.dims(), kernels.dims());
            assert_eq!(values(&composed), values(&kernels), "{config:?}");
            let factors = integers(kernels.dims4().unwrap(), 11);
            let gradients = |y: &candle_core::Tensor| (y * &*factors).unwrap().backward().unwrap();
            let (expected, got) = (gradients(&kernels), gradients(&composed));
            for var in [&x, &weight] {
                assert_eq!(values(got.get(var).unwrap()), values(expected.get(var).unwrap()), "{config:?}");
            }
        }
    }
}
