//! Max pooling and depthwise convolution.

use super::rows::sum_parts;
use super::{Arg, BLOCK, Element, LaunchShape, Machine, Values, int};
use candle_core::{Result, bail};

/// Taps of one row of the kernel that a block of `depthwise_weight` adds up: TAPS in `kernels.cu`.
const TAPS: usize = 8;

/// The least number of a channel's outputs that a block of `depthwise_weight` adds up, and the most parts that they are cut into.
const PART: (usize, usize) = (BLOCK * 16, 256);

/// Sizes along one axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    /// Zeros before the input.
    pub padding: usize,
    pub input: usize,
    pub output: usize,
}

/// Windows on maps of one channel.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    pub rows: Axis,
    pub columns: Axis,
}

impl Windows {
    fn args(&self) -> Result<Vec<Arg>> {
        let axis = |a: &Axis| [a.kernel, a.stride, a.dilation, a.padding, a.input, a.output];
        axis(&self.rows).into_iter().chain(axis(&self.columns)).map(int).collect()
    }

    fn inputs(&self) -> usize {
        self.rows.input * self.columns.input
    }

    fn outputs(&self) -> usize {
        self.rows.output * self.columns.output
    }

    fn taps(&self) -> usize {
        self.rows.kernel * self.columns.kernel
    }

    /// Number of planes of `pixels` in a buffer.
    fn planes<T>(x: &Values<T>, pixels: usize) -> Result<usize> {
        if pixels == 0 || !x.len().is_multiple_of(pixels) {
            bail!("{} values in planes of {pixels}", x.len());
        }
        Ok(x.len() / pixels)
    }
}

/// Largest value of each window of every plane, and its place there.
pub fn max_pool<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    windows: &Windows,
) -> Result<(M::Buffer<T>, M::Buffer<u16>)> {
    let len = Windows::planes(x, windows.inputs())? * windows.outputs();
    let (mut y, mut winners) = (m.alloc(len)?, m.alloc::<u16>(len)?);
    {
        let (y, winners) = (m.output(&mut y), m.output(&mut winners));
        let args = [&[x.arg()], &*windows.args()?, &[y.arg(), winners.arg(), int(len)?]].concat();
        // SAFETY: x has the planes whose outputs are `len`.
        unsafe { m.launch::<T>("max_pool", LaunchShape::each(len)?, &args)? };
    }
    Ok((y, winners))
}

/// The gradient before [`max_pool`].
pub fn max_pool_gradient<M: Machine, T: Element>(
    m: &M,
    winners: &Values<u16>,
    gradient: &Values<T>,
    windows: &Windows,
) -> Result<M::Buffer<T>> {
    winners.expect("winners", gradient.len())?;
    let len = Windows::planes(gradient, windows.outputs())? * windows.inputs();
    let mut dx = m.alloc(len)?;
    let into = m.output(&mut dx);
    let args = [&[winners.arg(), gradient.arg()], &*windows.args()?, &[into.arg(), int(len)?]].concat();
    // SAFETY: the gradient and the winners have the planes whose inputs are `len`.
    unsafe { m.launch::<T>("max_pool_gradient", LaunchShape::each(len)?, &args)? };
    drop(into);
    Ok(dx)
}

/// Each channel's maps under its own kernel; the weight is (C, 1, kh, kw).
pub fn depthwise<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    weight: &Values<T>,
    channels: usize,
    windows: &Windows,
) -> Result<M::Buffer<T>> {
    weight.expect("weight", channels * windows.taps())?;
    let len = Windows::planes(x, windows.inputs())? * windows.outputs();
    let mut y = m.alloc(len)?;
    let into = m.output(&mut y);
    let args = [&[x.arg(), weight.arg()], &*windows.args()?, &[int(channels)?, into.arg(), int(len)?]].concat();
    // SAFETY: x has the planes whose outputs are `len`; the weight has the taps of each channel.
    unsafe { m.launch::<T>("depthwise", LaunchShape::each(len)?, &args)? };
    drop(into);
    Ok(y)
}

/// The gradient of [`depthwise`]'s maps.
pub fn depthwise_input<M: Machine, T: Element>(
    m: &M,
    gradient: &Values<T>,
    weight: &Values<T>,
    channels: usize,
    windows: &Windows,
) -> Result<M::Buffer<T>> {
    weight.expect("weight", channels * windows.taps())?;
    let len = Windows::planes(gradient, windows.outputs())? * windows.inputs();
    let mut dx = m.alloc(len)?;
    let into = m.output(&mut dx);
    let args = [&[gradient.arg(), weight.arg()], &*windows.args()?, &[int(channels)?, into.arg(), int(len)?]].concat();
    // SAFETY: the gradient has the planes whose inputs are `len`; the weight has the taps of each channel.
    unsafe { m.launch::<T>("depthwise_input", LaunchShape::each(len)?, &args)? };
    drop(into);
    Ok(dx)
}

/// The gradient of [`depthwise`]'s weight.
pub fn depthwise_weight<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    gradient: &Values<T>,
    channels: usize,
    windows: &Windows,
) -> Result<M::Buffer<T>> {
    let planes = Windows::planes(x, windows.inputs())?;
    gradient.expect("gradient", planes * windows.outputs())?;
    if channels == 0 || !planes.is_multiple_of(channels) {
        bail!("depthwise: {planes} planes of {channels} channels");
    }
    let count = planes / channels * windows.outputs();
    let length = PART.0.max(count.div_ceil(PART.1));
    let parts = count.div_ceil(length);
    let mut sums = m.alloc::<T>(parts * channels * windows.taps())?;
    let into = m.output(&mut sums);
    let sizes = [int(channels)?, int(length)?, int(count)?, into.arg()];
    let args = [&[x.arg(), gradient.arg()], &*windows.args()?, &sizes].concat();
    let groups = windows.columns.kernel.div_ceil(TAPS) * windows.rows.kernel * channels;
    // SAFETY: x and gradient have `count` windows of each channel; the blocks are a part times TAPS taps of each row of each channel's
    // kernel, and write the taps that there are.
    unsafe { m.launch::<T>("depthwise_weight", LaunchShape::blocks(parts, groups)?, &args)? };
    drop(into);
    sum_parts(m, &m.input(&sums), parts, channels * windows.taps())
}
