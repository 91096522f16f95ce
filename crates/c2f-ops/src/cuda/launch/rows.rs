//! Operations along rows, a block each.

use super::{Arg, BLOCK, Element, Held, LaunchShape, Machine, Values, Wanted, double, int};
use candle_core::{Result, bail};

/// Rows of which a block adds up the gradients of gamma and beta, where there are more than [`MAX_PARTS`] times as many.
const PART_ROWS: usize = 64;

/// Parts of a sum over rows: their sums are as many rows again.
const MAX_PARTS: usize = 512;

/// e^x over its sum, of rows of `width`.
pub fn softmax<M: Machine, T: Element>(m: &M, x: &Values<T>, width: usize) -> Result<M::Buffer<T>> {
    rows(m, "softmax", &[x.held()], width)
}

/// The gradient before [`softmax`], from its output and the gradient after it.
pub fn softmax_gradient<M: Machine, T: Element>(
    m: &M,
    y: &Values<T>,
    gradient: &Values<T>,
    width: usize,
) -> Result<M::Buffer<T>> {
    rows(m, "softmax_gradient", &[y.held(), gradient.held()], width)
}

/// The logarithm of [`softmax`].
pub fn log_softmax<M: Machine, T: Element>(m: &M, x: &Values<T>, width: usize) -> Result<M::Buffer<T>> {
    rows(m, "log_softmax", &[x.held()], width)
}

/// The gradient before [`log_softmax`], from its output and the gradient after it.
pub fn log_softmax_gradient<M: Machine, T: Element>(
    m: &M,
    y: &Values<T>,
    gradient: &Values<T>,
    width: usize,
) -> Result<M::Buffer<T>> {
    rows(m, "log_softmax_gradient", &[y.held(), gradient.held()], width)
}

/// Output, and each row's mean and 1 / sqrt(variance + eps).
pub type LayerNorm<M, T> = (<M as Machine>::Buffer<T>, <M as Machine>::Buffer<T>, <M as Machine>::Buffer<T>);

/// Rows normalised to mean 0 and variance 1, scaled and shifted.
pub fn layer_norm<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    gamma: &Values<T>,
    beta: &Values<T>,
    eps: f64,
) -> Result<LayerNorm<M, T>> {
    let width = gamma.len();
    let count = count("layer_norm", x.held(), width)?;
    beta.expect("beta", width)?;
    let (mut y, mut mean, mut rstd) = (m.alloc(x.len())?, m.alloc(count)?, m.alloc(count)?);
    {
        let (y, mean, rstd) = (m.output(&mut y), m.output(&mut mean), m.output(&mut rstd));
        let args = [x.arg(), gamma.arg(), beta.arg(), double(eps), int(width)?, y.arg(), mean.arg(), rstd.arg()];
        // SAFETY: x and y have `count` rows of `width`, as many as there are blocks; gamma and beta have `width` values; the moments
        // have one for each block.
        unsafe { m.launch::<T>("layer_norm", LaunchShape::rows(count, width)?, &args)? };
    }
    Ok((y, mean, rstd))
}

/// The gradients of [`layer_norm`]'s x, gamma and beta, the latter two one after another. Each only where it is wanted.
pub fn layer_norm_gradients<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    gradient: &Values<T>,
    gamma: &Values<T>,
    (mean, rstd): (&Values<T>, &Values<T>),
    wanted: (bool, bool),
) -> Result<Wanted<M, T>> {
    let width = gamma.len();
    let count = count("layer_norm", x.held(), width)?;
    gradient.expect("gradient", x.len())?;
    mean.expect("mean", count)?;
    rstd.expect("rstd", count)?;
    let mut dx = None;
    if wanted.0 {
        let mut buffer = m.alloc(x.len())?;
        let into = m.output(&mut buffer);
        let args = [x.arg(), gradient.arg(), gamma.arg(), mean.arg(), rstd.arg(), int(width)?, into.arg()];
        // SAFETY: x, gradient and output have `count` rows of `width`; the moments one value for each; gamma has `width`.
        unsafe { m.launch::<T>("layer_norm_gradient", LaunchShape::rows(count, width)?, &args)? };
        drop(into);
        dx = Some(buffer);
    }
    let mut affine = None;
    if wanted.1 {
        let rows = PART_ROWS.max(count.div_ceil(MAX_PARTS));
        let parts = count.div_ceil(rows);
        let mut sums = m.alloc::<T>(parts * 2 * width)?;
        let into = m.output(&mut sums);
        let numbers = [int(width)?, int(rows)?, int(count)?];
        let args = [x.arg(), gradient.arg(), mean.arg(), rstd.arg(), numbers[0], numbers[1], numbers[2], into.arg()];
        let shape = LaunchShape::blocks(width.div_ceil(BLOCK), parts)?;
        // SAFETY: as above; the blocks of a row of the grid have a thread or more for each column, and write 2 * width sums.
        unsafe { m.launch::<T>("layer_norm_sums", shape, &args)? };
        drop(into);
        affine = Some(sum_parts(m, &m.input(&sums), parts, 2 * width)?);
    }
    Ok((dx, affine))
}

/// Sums over the parts, in their order.
pub(super) fn sum_parts<M: Machine, T: Element>(
    m: &M,
    values: &Values<T>,
    parts: usize,
    len: usize,
) -> Result<M::Buffer<T>> {
    values.expect("parts", parts * len)?;
    let mut sums = m.alloc(len)?;
    let into = m.output(&mut sums);
    let args = [values.arg(), int(parts)?, into.arg(), int(len)?];
    // SAFETY: there are `parts` times `len` values, and `len` sums.
    unsafe { m.launch::<T>("sum_parts", LaunchShape::each(len)?, &args)? };
    drop(into);
    Ok(sums)
}

fn count(op: &str, x: Held, width: usize) -> Result<usize> {
    if width == 0 || !x.len.is_multiple_of(width) {
        bail!("{op}: {} values in rows of {width}", x.len);
    }
    Ok(x.len / width)
}

/// A kernel of inputs of one size in rows of `width`, whose output has that size.
fn rows<M: Machine, T: Element>(m: &M, kernel: &'static str, inputs: &[Held], width: usize) -> Result<M::Buffer<T>> {
    let len = inputs[0].len;
    let shape = LaunchShape::rows(count(kernel, inputs[0], width)?, width)?;
    let mut args: Vec<Arg> = Vec::new();
    for input in inputs {
        input.expect(kernel, len)?;
        args.push(Arg(input.address));
    }
    let mut y = m.alloc(len)?;
    let into = m.output(&mut y);
    args.extend([int(width)?, into.arg()]);
    // SAFETY: inputs and output have `len` values, which are as many rows of `width` as there are blocks.
    unsafe { m.launch::<T>(kernel, shape, &args)? };
    drop(into);
    Ok(y)
}
