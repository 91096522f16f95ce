//! Separable maps of pictures, and sampling.

use super::{Arg, BLOCK, Element, LaunchShape, Machine, Values, Wanted, int};
use candle_core::{Result, bail};

/// The inputs and weights of each output along one axis, and how many inputs there are.
pub type Taps<'a> = (usize, &'a [Vec<(usize, f64)>]);

/// `y[i, j] = sum over (k, l) of rows[i, k] * columns[j, l] * x[k, l]`, of every plane.
pub fn separable<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    rows: Taps,
    columns: Taps,
    typed: impl Fn(f64) -> T,
) -> Result<M::Buffer<T>> {
    let (height, width, out_height, out_width) = (rows.0, columns.0, rows.1.len(), columns.1.len());
    if height * width == 0 || !x.len().is_multiple_of(height * width) {
        bail!("separable: {} values in planes of {height} x {width}", x.len());
    }
    let (mut places, mut weights) = (Vec::new(), Vec::new());
    for (size, outputs) in [rows, columns] {
        let mut start = 0;
        for taps in outputs {
            places.push(start);
            start += taps.len();
        }
        places.push(start);
        for &(input, weight) in outputs.iter().flatten() {
            if input >= size {
                bail!("separable: input {input} of {size}");
            }
            places.push(input);
            weights.push(typed(weight));
        }
    }
    if places.len() > i32::MAX as usize {
        bail!("separable: {} taps", places.len());
    }
    let places: Vec<i32> = places.into_iter().map(|place| place as i32).collect();
    let (places, weights) = (m.upload(&places)?, m.upload(&weights)?);
    let (places, weights) = (m.input(&places), m.input(&weights));
    let len = x.len() / (height * width) * out_height * out_width;
    let mut y = m.alloc(len)?;
    let into = m.output(&mut y);
    let sizes = [int(height)?, int(width)?, int(out_height)?, int(out_width)?];
    let args = [&[x.arg(), places.arg(), weights.arg()], &sizes[..], &[into.arg(), int(len)?]].concat();
    // SAFETY: x has the planes whose outputs are `len`; no tap reads an input that isn't there.
    unsafe { m.launch::<T>("separable", LaunchShape::each(len)?, &args)? };
    drop(into);
    Ok(y)
}

/// Bilinear sampling of maps (B, `channels`, `height`, `width`) at `points` points of each picture.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
    pub points: usize,
    /// Factor and offset from a coordinate to pixels, along x and y.
    pub x: (f64, f64),
    pub y: (f64, f64),
    /// Whether what lies outside is the nearest pixel, or zero.
    pub border: bool,
}

impl Sampler {
    fn args<T: Element>(&self) -> Result<Vec<Arg>> {
        let sizes = [int(self.channels)?, int(self.height)?, int(self.width)?];
        let places = [T::real(self.x.0), T::real(self.x.1), T::real(self.y.0), T::real(self.y.1)];
        Ok([&sizes[..], &places, &[int(usize::from(self.border))?, int(self.points)?]].concat())
    }

    /// Number of pictures, by their points.
    fn batch<T>(&self, grid: &Values<T>) -> Result<usize> {
        if self.points == 0 || !grid.len().is_multiple_of(2 * self.points) {
            bail!("grid_sample: {} coordinates of {} points", grid.len(), self.points);
        }
        Ok(grid.len() / (2 * self.points))
    }

    fn pixels(&self) -> usize {
        self.height * self.width
    }
}

/// The samples, (B, C, points).
pub fn grid_sample<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    grid: &Values<T>,
    sampler: &Sampler,
) -> Result<M::Buffer<T>> {
    let planes = sampler.batch(grid)? * sampler.channels;
    x.expect("maps", planes * sampler.pixels())?;
    let len = planes * sampler.points;
    let mut y = m.alloc(len)?;
    let into = m.output(&mut y);
    let args = [&[x.arg(), grid.arg()], &*sampler.args::<T>()?, &[into.arg(), int(len)?]].concat();
    // SAFETY: x has the planes and grid the pictures of the `len` samples; a corner that isn't on the map is not read.
    unsafe { m.launch::<T>("grid_sample", LaunchShape::each(len)?, &args)? };
    drop(into);
    Ok(y)
}

/// The gradients of [`grid_sample`]'s maps and grid, each only where it is wanted.
pub fn grid_sample_gradients<M: Machine, T: Element>(
    m: &M,
    x: &Values<T>,
    grid: &Values<T>,
    gradient: &Values<T>,
    sampler: &Sampler,
    wanted: (bool, bool),
) -> Result<Wanted<M, T>> {
    let batch = sampler.batch(grid)?;
    let planes = batch * sampler.channels;
    x.expect("maps", planes * sampler.pixels())?;
    gradient.expect("gradient", planes * sampler.points)?;
    let common = sampler.args::<T>()?;
    let (mut dx, mut dgrid) = (None, None);
    if wanted.0 {
        int(sampler.pixels() + BLOCK)?;
        let mut buffer = m.alloc(x.len())?;
        let into = m.output(&mut buffer);
        let args = [&[grid.arg(), gradient.arg()], &*common, &[into.arg()]].concat();
        // SAFETY: a block is a plane of the output and of the gradient, whose picture has its points in the grid.
        unsafe { m.launch::<T>("grid_sample_maps", LaunchShape::blocks(planes, 1)?, &args)? };
        drop(into);
        dx = Some(buffer);
    }
    if wanted.1 {
        let len = batch * sampler.points;
        let mut buffer = m.alloc(grid.len())?;
        let into = m.output(&mut buffer);
        let args = [&[x.arg(), grid.arg(), gradient.arg()], &*common, &[into.arg(), int(len)?]].concat();
        // SAFETY: a value is a point, with two coordinates, of a picture in x, grid and gradient.
        unsafe { m.launch::<T>("grid_sample_grid", LaunchShape::each(len)?, &args)? };
        drop(into);
        dgrid = Some(buffer);
    }
    Ok((dx, dgrid))
}
