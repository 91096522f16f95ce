//! Affine grids and sampling (Jaderberg et al. 2015, "Spatial Transformer Networks").

use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Shape, Tensor};

use crate::activation::limit;
use crate::kernel::{channels_first, dtype, expect_values, for_rows, output, read, slice, with_float};
use crate::simd::Float;
use crate::{Error, Format, Result};

/// What lies outside of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridPadding {
    /// Zeros.
    Zeros,
    /// The nearest pixel of the border.
    Border,
}

/// (B, H, W, 2) sampling points, x then y, of the affine maps `theta` (B, 2, 3) from output to input coordinates; for
/// `size` = (H, W). As PyTorch's `F.affine_grid`: coordinates run from -1 to 1, over the centres of the corner pixels with
/// `align_corners` and over the picture's outer edges without.
///
/// # Errors
/// If `theta` isn't (B, 2, 3), or there are no pictures or points.
pub fn affine_grid(theta: &Tensor, size: (usize, usize), align_corners: bool) -> Result<Tensor> {
    expect_values("affine_grid", "theta", theta)?;
    let &[batch, 2, 3] = theta.dims() else {
        let expected = "(B, 2, 3)".to_owned();
        return Err(Error::Shape { op: "affine_grid", what: "theta", got: theta.dims().to_vec(), expected });
    };
    let (h, w) = size;
    if h == 0 || w == 0 {
        return Err(Error::Config { op: "affine_grid", message: format!("a grid of {h} x {w} points") });
    }
    let at = |i: usize, count: usize| match (align_corners, count) {
        (true, 1) => 0.0,
        (true, _) => 2.0 * i as f64 / (count - 1) as f64 - 1.0,
        (false, _) => (2.0 * i as f64 + 1.0) / count as f64 - 1.0,
    };
    let points: Vec<f64> = (0..h * w).flat_map(|i| [at(i % w, w), at(i / w, h), 1.0]).collect();
    let points =
        Tensor::from_vec(points, (h * w, 3), &Device::Cpu)?.to_dtype(theta.dtype())?.to_device(theta.device())?;
    let maps = theta.permute((2, 0, 1))?.reshape((3, batch * 2))?;
    Ok(points.matmul(&maps)?.reshape((h * w, batch, 2))?.transpose(0, 1)?.reshape((batch, h, w, 2))?)
}

/// Bilinear samples of the maps `x` at the points of `grid` (B, H', W', 2): maps of H' x W' pixels. As PyTorch's
/// `F.grid_sample(mode="bilinear")`; coordinates are those of [`affine_grid`].
///
/// Gradients for `grid`, and for `x` if it is tracked.
///
/// # Errors
/// If `grid` isn't (B, H', W', 2) with the batch size of `x`, or one of them is empty.
pub fn grid_sample(
    x: &Tensor,
    grid: &Tensor,
    padding: GridPadding,
    align_corners: bool,
    format: Format,
) -> Result<Tensor> {
    let (batch, channels, height, width) = format.dims(x)?;
    let fail = |what, got: &Tensor, expected| Err(Error::Shape { op: NAME, what, got: got.dims().to_vec(), expected });
    match *grid.dims() {
        [b, _, _, 2] if b == batch => {}
        _ => return fail("grid", grid, format!("({batch}, H, W, 2)")),
    }
    expect_values(NAME, "input", x)?;
    expect_values(NAME, "grid", grid)?;
    let sampler = Sampler { channels, height, width, padding, align_corners, format };
    if x.device().is_cpu() {
        Ok(x.contiguous()?.apply_op2(&grid.contiguous()?, sampler)?)
    } else {
        sampler.compose(x, grid)
    }
}

const NAME: &str = "grid_sample";

#[derive(Clone, Copy, Debug)]
struct Sampler {
    channels: usize,
    height: usize,
    width: usize,
    padding: GridPadding,
    align_corners: bool,
    format: Format,
}

/// One of the four pixels around a point.
struct Corner<T> {
    /// Row-major index of the pixel.
    pixel: usize,
    weight: T,
    /// Derivatives of the weight by the grid's x and y.
    slope: [T; 2],
}

/// A point along one axis: the lower neighbour (as a float, possibly outside), the weight of the upper one, and the
/// derivative of that weight by the grid's coordinate.
struct Place<T> {
    low: T,
    high_weight: T,
    slope: T,
}

impl Sampler {
    #[inline(always)]
    fn place<T: Float>(&self, coordinate: T, size: usize) -> Place<T> {
        let (scale, offset) = self.pixels(size);
        let (mut slope, last) = (T::from_f64(scale), T::from_f64((size - 1) as f64));
        let mut position = coordinate * slope + T::from_f64(offset);
        if self.padding == GridPadding::Border && !(position > T::zero() && position < last) {
            // Also where the coordinate is NaN.
            position = if position >= last { last } else { T::zero() };
            slope = T::zero();
        }
        let low = T::from_f64(position.to_f64().floor());
        Place { low, high_weight: position - low, slope }
    }

    /// Factor and offset from grid coordinates to pixels.
    fn pixels(&self, size: usize) -> (f64, f64) {
        let size = size as f64;
        if self.align_corners { ((size - 1.0) / 2.0, (size - 1.0) / 2.0) } else { (size / 2.0, (size - 1.0) / 2.0) }
    }

    /// The pixels around a point that lie on the map; NaN lies nowhere.
    #[inline(always)]
    fn corners<T: Float>(&self, point: &[T], mut f: impl FnMut(Corner<T>)) {
        let (x, y) = (self.place(point[0], self.width), self.place(point[1], self.height));
        let one = T::one();
        for (dy, wy, sy) in [(0.0, one - y.high_weight, T::zero() - y.slope), (1.0, y.high_weight, y.slope)] {
            for (dx, wx, sx) in [(0.0, one - x.high_weight, T::zero() - x.slope), (1.0, x.high_weight, x.slope)] {
                let (px, py) = (x.low.to_f64() + dx, y.low.to_f64() + dy);
                if px >= 0.0 && px < self.width as f64 && py >= 0.0 && py < self.height as f64 {
                    let pixel = py as usize * self.width + px as usize;
                    f(Corner { pixel, weight: wx * wy, slope: [sx * wy, wx * sy] });
                }
            }
        }
    }

    /// Distances in memory between pixels and between channels, of maps of `pixels` pixels.
    fn strides(&self, pixels: usize) -> (usize, usize) {
        match self.format {
            Format::ChannelsFirst => (1, pixels),
            Format::ChannelsLast => (self.channels, 1),
        }
    }

    /// One task samples one picture.
    fn forward<T: Float>(&self, x: &[T], grid: &[T], points: usize) -> Vec<T> {
        let size = self.height * self.width * self.channels;
        let ((x_pixel, x_channel), (y_pixel, y_channel)) =
            (self.strides(self.height * self.width), self.strides(points));
        let batch = x.len() / size.max(1);
        let mut y = vec![T::zero(); batch * points * self.channels];
        for_rows(
            &mut y,
            points * self.channels,
            1,
            #[inline(always)]
            |picture, y| {
                let x = &x[picture * size..][..size];
                let grid = &grid[picture * points * 2..][..points * 2];
                for (i, point) in grid.chunks_exact(2).enumerate() {
                    self.corners(
                        point,
                        #[inline(always)]
                        |corner| {
                            for c in 0..self.channels {
                                y[i * y_pixel + c * y_channel] +=
                                    corner.weight * x[corner.pixel * x_pixel + c * x_channel];
                            }
                        },
                    );
                }
            },
        );
        y
    }

    /// The gradient of the maps; one task, one picture, as the points may lie anywhere.
    fn map_gradient<T: Float>(&self, grid: &[T], grad: &[T], batch: usize) -> Vec<T> {
        let size = self.height * self.width * self.channels;
        let points = grid.len() / (2 * batch).max(1);
        let ((x_pixel, x_channel), (y_pixel, y_channel)) =
            (self.strides(self.height * self.width), self.strides(points));
        let mut dx = vec![T::zero(); batch * size];
        for_rows(
            &mut dx,
            size,
            1,
            #[inline(always)]
            |picture, dx| {
                let grad = &grad[picture * points * self.channels..][..points * self.channels];
                let grid = &grid[picture * points * 2..][..points * 2];
                for (i, point) in grid.chunks_exact(2).enumerate() {
                    self.corners(
                        point,
                        #[inline(always)]
                        |corner| {
                            for c in 0..self.channels {
                                dx[corner.pixel * x_pixel + c * x_channel] +=
                                    corner.weight * grad[i * y_pixel + c * y_channel];
                            }
                        },
                    );
                }
            },
        );
        dx
    }

    fn grid_gradient<T: Float>(&self, x: &[T], grid: &[T], grad: &[T], points: usize) -> Vec<T> {
        let size = self.height * self.width * self.channels;
        let ((x_pixel, x_channel), (y_pixel, y_channel)) =
            (self.strides(self.height * self.width), self.strides(points));
        let mut dgrid = vec![T::zero(); grid.len()];
        for_rows(
            &mut dgrid,
            points * 2,
            1,
            #[inline(always)]
            |picture, dgrid| {
                let x = &x[picture * size..][..size];
                let grad = &grad[picture * points * self.channels..][..points * self.channels];
                let grid = &grid[picture * points * 2..][..points * 2];
                for (i, (point, dpoint)) in grid.chunks_exact(2).zip(dgrid.chunks_exact_mut(2)).enumerate() {
                    self.corners(
                        point,
                        #[inline(always)]
                        |corner| {
                            let mut product = T::zero();
                            for c in 0..self.channels {
                                product +=
                                    x[corner.pixel * x_pixel + c * x_channel] * grad[i * y_pixel + c * y_channel];
                            }
                            dpoint[0] += corner.slope[0] * product;
                            dpoint[1] += corner.slope[1] * product;
                        },
                    );
                }
            },
        );
        dgrid
    }

    /// The same by candle's operations: a gather of each of the four corners.
    fn compose(&self, x: &Tensor, grid: &Tensor) -> Result<Tensor> {
        let (batch, oh, ow, _) = grid.dims4()?;
        let place = |axis: usize, size: usize| -> Result<[(Tensor, Tensor, Tensor); 2]> {
            let (scale, offset) = self.pixels(size);
            let last = (size - 1) as f64;
            let position = grid.narrow(3, axis, 1)?.reshape((batch, oh * ow))?.affine(scale, offset)?;
            let constant =
                |value: f64| Tensor::new(value, x.device())?.to_dtype(x.dtype())?.broadcast_as(position.shape());
            // NaN equals nothing and lies nowhere; its weights, and those of infinity, would be NaN.
            let position = match self.padding {
                GridPadding::Border => {
                    let position = limit(&position, 0.0, last)?;
                    position.eq(&position)?.where_cond(&position, &constant(0.0)?)?
                }
                GridPadding::Zeros => {
                    let near = position.gt(-1.0)?.mul(&position.lt(size as f64)?)?;
                    near.where_cond(&position, &constant(-2.0)?)?
                }
            };
            let low = position.detach().floor()?;
            let high_weight = (&position - &low)?;
            let corner = |at: Tensor, weight: Tensor| -> Result<(Tensor, Tensor, Tensor)> {
                let inside = at.ge(0.0)?.mul(&at.le(last)?)?;
                // Whole numbers: f32 has no odd ones above 2^24, which a pixel's index may be.
                Ok((at.clamp(0.0, last)?.to_dtype(DType::U32)?, weight, inside))
            };
            Ok([corner(low.clone(), high_weight.affine(-1.0, 1.0)?)?, corner((low + 1.0)?, high_weight)?])
        };
        let (columns, rows) = (place(0, self.width)?, place(1, self.height)?);
        channels_first(x, self.format, |x| {
            let x = x.reshape((batch, self.channels, self.height * self.width))?;
            let mut y: Option<Tensor> = None;
            for (row, row_weight, row_inside) in &rows {
                for (column, column_weight, column_inside) in &columns {
                    let pixel = (row.affine(self.width as f64, 0.0)? + column)?;
                    let inside = (row_inside * column_inside)?.to_dtype(x.dtype())?;
                    let weight = ((row_weight * column_weight)? * inside)?.unsqueeze(1)?;
                    let pixel = pixel.unsqueeze(1)?.broadcast_as((batch, self.channels, oh * ow))?.contiguous()?;
                    let part = x.gather(&pixel, 2)?.broadcast_mul(&weight)?;
                    y = Some(match y {
                        Some(y) => (y + part)?,
                        None => part,
                    });
                }
            }
            let y = y.ok_or_else(|| Error::Config { op: NAME, message: "no corner".to_owned() })?;
            Ok(y.reshape((batch, self.channels, oh, ow))?)
        })
    }
}

impl CustomOp2 for Sampler {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        grid: &CpuStorage,
        grid_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (b, h, w, _) = grid_layout.shape().dims4()?;
        let shape = match self.format {
            Format::ChannelsFirst => (b, self.channels, h, w),
            Format::ChannelsLast => (b, h, w, self.channels),
        };
        with_float!(NAME, dtype(x), T => {
            let (x, grid) = (slice::<T>(NAME, x, x_layout)?, slice(NAME, grid, grid_layout)?);
            Ok(output(self.forward(x, grid, h * w), shape))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        grid: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (b, h, w, _) = grid.dims4()?;
        with_float!(NAME, x.dtype(), T => {
            let dx = x.track_op().then(|| {
                let dx = read(NAME, [grid, grad], |[grid, grad]| self.map_gradient::<T>(grid, grad, b))?;
                Tensor::from_vec(dx, x.shape(), x.device())
            });
            let dgrid = grid.track_op().then(|| {
                let dgrid = read(NAME, [x, grid, grad], |[x, grid, grad]| self.grid_gradient::<T>(x, grid, grad, h * w))?;
                Tensor::from_vec(dgrid, grid.shape(), grid.device())
            });
            Ok((dx.transpose()?, dgrid.transpose()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let (x, points) = (var((2, 3, 4, 3)), var((2, 5, 6, 2)));
        let grid = (points.as_tensor() * 1.4).unwrap();
        for format in [Format::ChannelsFirst, Format::ChannelsLast] {
            let (_, channels, height, width) = format.dims(&x).unwrap();
            for padding in [GridPadding::Zeros, GridPadding::Border] {
                for align_corners in [false, true] {
                    let sampler = Sampler { channels, height, width, padding, align_corners, format };
                    let kernel = grid_sample(&x, &grid, padding, align_corners, format).unwrap();
                    assert_same(&[&x, &points], &kernel, &sampler.compose(&x, &grid).unwrap());
                }
            }
        }
    }

    #[test]
    fn points_that_are_no_numbers_or_far_away_are_the_same_composed() {
        let x = var((1, 2, 3, 4));
        let far = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 1.2, -1.2, 0.3];
        let points: Vec<f64> = far.iter().flat_map(|&a| far.iter().flat_map(move |&b| [a, b])).collect();
        let grid = candle_core::Var::from_vec(points, (1, 8, 8, 2), &Device::Cpu).unwrap();
        for padding in [GridPadding::Zeros, GridPadding::Border] {
            for align_corners in [false, true] {
                let format = Format::ChannelsFirst;
                let sampler = Sampler { channels: 2, height: 3, width: 4, padding, align_corners, format };
                let kernel = grid_sample(&x, &grid, padding, align_corners, format).unwrap();
                let values = kernel.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
                assert_same(&[&x, &grid], &kernel, &sampler.compose(&x, &grid).unwrap());
            }
        }
    }

    /// The nearest f32 of 2^24 + 1 is another pixel.
    #[test]
    fn pixels_beyond_the_whole_numbers_of_f32_are_the_same_composed() {
        let side = 4100;
        let last = Tensor::arange(0u32, 16, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
        let zeros = Tensor::zeros(side * side - 16, DType::F32, &Device::Cpu).unwrap();
        let x = Tensor::cat(&[&zeros, &last], 0).unwrap().reshape((1, 1, side, side)).unwrap();
        let point = |column: usize| 2.0 * column as f64 / (side - 1) as f64 - 1.0;
        let points: Vec<f32> = (0..8).flat_map(|i| [point(side - 1 - i) as f32, 1.0]).collect();
        let grid = Tensor::from_vec(points, (1, 1, 8, 2), &Device::Cpu).unwrap();
        let (padding, format) = (GridPadding::Border, Format::ChannelsFirst);
        let sampler = Sampler { channels: 1, height: side, width: side, padding, align_corners: true, format };
        let values = |y: Tensor| y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let composed = values(sampler.compose(&x, &grid).unwrap());
        assert_eq!(composed, values(grid_sample(&x, &grid, padding, true, format).unwrap()));
        assert!((composed[1] - 14.0).abs() < 0.01, "{composed:?}");
    }
}
