//! Batch normalisation and activation.

use super::{BLOCK, Element, LaunchShape, Machine, NULL, Values, double, int};
use candle_core::{Result, bail};

/// Values of a channel that a block adds up: PART in `kernels.cu`.
const PART: usize = BLOCK * 16;

/// Settings of a normalisation of maps (B, `channels`, ..), each channel of a picture having `pixels`.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    pub channels: usize,
    pub pixels: usize,
    pub eps: f64,
    /// Limits of the activation that follows; infinite where there is none.
    pub low: f64,
    pub high: f64,
}

impl Norm {
    /// Values of a channel, in all pictures.
    fn count<T>(&self, x: &Values<T>) -> Result<usize> {
        let picture = self.channels * self.pixels;
        if picture == 0 || !x.len().is_multiple_of(picture) {
            bail!("batch_norm: {} values for {} channels of {} pixels", x.len(), self.channels, self.pixels);
        }
        Ok(x.len() / self.channels)
    }
}

/// Mean and variance that were given.
pub type Given<'a, T> = (&'a Values<'a, T>, &'a Values<'a, T>);

/// What a forward pass gives.
pub struct Normalised<M: Machine, T: Element> {
    pub y: M::Buffer<T>,
    /// The batch's mean and biased variance, if none were given.
    pub moments: Option<(M::Buffer<T>, M::Buffer<T>)>,
    /// 1 / sqrt(variance + eps).
    pub rstd: M::Buffer<T>,
}

/// `activation((x - mean) * rstd * gamma + beta)`, by the batch's moments or given ones.
pub fn normalise<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    (gamma, beta): (&Values<T>, &Values<T>),
    given: Option<Given<T>>,
    norm: Norm,
) -> Result<Normalised<M, T>> {
    let count = norm.count(x)?;
    gamma.expect("gamma", norm.channels)?;
    beta.expect("beta", norm.channels)?;
    if let Some((mean, var)) = given {
        mean.expect("mean", norm.channels)?;
        var.expect("variance", norm.channels)?;
        let mut rstd = m.alloc(norm.channels)?;
        let into = m.output(&mut rstd);
        let args = [var.arg(), double(norm.eps), into.arg(), int(norm.channels)?];
        // SAFETY: variance and output have a value for each channel.
        unsafe { m.launch::<T>("reciprocal_deviation", LaunchShape::each(norm.channels)?, &args)? };
        drop(into);
        let y = apply(m, x, (mean, &m.input(&rstd)), (gamma, beta), norm)?;
        return Ok(Normalised { y, moments: None, rstd });
    }
    let parts = count.div_ceil(PART);
    let (mut means, mut squares) = (m.alloc::<f64>(parts * norm.channels)?, m.alloc::<f64>(parts * norm.channels)?);
    {
        let (means, squares) = (m.output(&mut means), m.output(&mut squares));
        let args = [x.arg(), int(norm.channels)?, int(norm.pixels)?, int(count)?, means.arg(), squares.arg()];
        // SAFETY: x has `count` values of each channel, `pixels` in a row; there is a block and a value for each part of each channel.
        unsafe { m.launch::<T>("moments", LaunchShape::blocks(parts, norm.channels)?, &args)? };
    }
    let (mut mean, mut var, mut rstd) = (m.alloc(norm.channels)?, m.alloc(norm.channels)?, m.alloc(norm.channels)?);
    {
        let (means, squares) = (m.input(&means), m.input(&squares));
        let (mean, var, rstd) = (m.output(&mut mean), m.output(&mut var), m.output(&mut rstd));
        let (parts, count, eps) = (int(parts)?, int(count)?, double(norm.eps));
        let args = [means.arg(), squares.arg(), parts, count, eps, mean.arg(), var.arg(), rstd.arg()];
        // SAFETY: there are `parts` values of each channel, which is a block.
        unsafe { m.launch::<T>("join_moments", LaunchShape::blocks(norm.channels, 1)?, &args)? };
    }
    let y = apply(m, x, (&m.input(&mean), &m.input(&rstd)), (gamma, beta), norm)?;
    Ok(Normalised { y, moments: Some((mean, var)), rstd })
}

fn apply<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    (mean, rstd): (&Values<T>, &Values<T>),
    (gamma, beta): (&Values<T>, &Values<T>),
    norm: Norm,
) -> Result<M::Buffer<T>> {
    let mut y = m.alloc(x.len())?;
    let into = m.output(&mut y);
    let channels = [mean.arg(), rstd.arg(), gamma.arg(), beta.arg(), T::real(norm.low), T::real(norm.high)];
    let sizes = [int(norm.channels)?, int(norm.pixels)?, into.arg(), int(x.len())?];
    let args = [&[x.arg()], &channels[..], &sizes].concat();
    // SAFETY: x and y have one length; the vectors have a value for each channel.
    unsafe { m.launch::<T>("normalise", LaunchShape::each(x.len())?, &args)? };
    drop(into);
    Ok(y)
}

/// The gradients of x, gamma and beta.
pub type Gradients<M, T> =
    (Option<<M as Machine>::Buffer<T>>, Option<(<M as Machine>::Buffer<T>, <M as Machine>::Buffer<T>)>);

/// The gradients of [`normalise`]: of x, and of gamma and beta, each only where it is wanted. `from_batch` says that the moments were
/// the batch's, and so depend on x.
pub fn normalise_gradient<M: Machine, T: Element>(
    m: &M,
    (x, gradient): (&Values<T>, &Values<T>),
    (mean, rstd): (&Values<T>, &Values<T>),
    (gamma, beta): (&Values<T>, &Values<T>),
    norm: Norm,
    from_batch: bool,
    wanted: (bool, bool),
) -> Result<Gradients<M, T>> {
    let count = norm.count(x)?;
    gradient.expect("gradient", x.len())?;
    for (what, vector) in [("gamma", gamma), ("beta", beta), ("mean", mean), ("rstd", rstd)] {
        vector.expect(what, norm.channels)?;
    }
    let both = [x.arg(), gradient.arg()];
    let channels = [mean.arg(), rstd.arg(), gamma.arg(), beta.arg(), T::real(norm.low), T::real(norm.high)];
    let sizes = [int(norm.channels)?, int(norm.pixels)?];
    let mut sums = None;
    if wanted.1 || from_batch {
        let parts = count.div_ceil(PART);
        let (mut plain, mut along) = (m.alloc::<f64>(parts * norm.channels)?, m.alloc::<f64>(parts * norm.channels)?);
        {
            let (plain, along) = (m.output(&mut plain), m.output(&mut along));
            let args = [&both[..], &channels, &sizes, &[int(count)?, plain.arg(), along.arg()]].concat();
            // SAFETY: x and gradient have `count` values of each channel; there is a block and a value for each part of each channel.
            unsafe { m.launch::<T>("normalise_sums", LaunchShape::blocks(parts, norm.channels)?, &args)? };
        }
        let vector = || m.alloc::<T>(norm.channels);
        let (mut dgamma, mut dbeta, mut slope, mut offset) = (vector()?, vector()?, vector()?, vector()?);
        {
            let (plain, along) = (m.input(&plain), m.input(&along));
            let (dgamma, dbeta) = (m.output(&mut dgamma), m.output(&mut dbeta));
            let (slope, offset) = (m.output(&mut slope), m.output(&mut offset));
            let from = [plain.arg(), along.arg(), int(parts)?, int(count)?, rstd.arg(), gamma.arg()];
            let args = [&from[..], &[dgamma.arg(), dbeta.arg(), slope.arg(), offset.arg()]].concat();
            // SAFETY: there are `parts` sums of each channel, which is a block and a value of each vector.
            unsafe { m.launch::<T>("join_sums", LaunchShape::blocks(norm.channels, 1)?, &args)? };
        }
        sums = Some((dgamma, dbeta, slope, offset));
    }
    let mut dx = None;
    if wanted.0 {
        let mut buffer = m.alloc(x.len())?;
        let into = m.output(&mut buffer);
        let held = sums.as_ref().filter(|_| from_batch).map(|sums| (m.input(&sums.2), m.input(&sums.3)));
        let lines = held.as_ref().map_or([NULL; 2], |(slope, offset)| [slope.arg(), offset.arg()]);
        let args = [&both[..], &channels, &lines, &sizes, &[into.arg(), int(x.len())?]].concat();
        // SAFETY: x, gradient and output have one length; the vectors have a value for each channel or are null.
        unsafe { m.launch::<T>("normalise_gradient", LaunchShape::each(x.len())?, &args)? };
        drop(into);
        dx = Some(buffer);
    }
    Ok((dx, sums.map(|(dgamma, dbeta, ..)| (dgamma, dbeta))))
}
