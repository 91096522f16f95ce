//! The kernels of sampling.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};

use super::{GridPadding, NAME, Sampler};
use crate::kernel::{dtype, for_rows, output, read, slice, with_float};
use crate::simd::Float;
use crate::{Format, Result};

pub(super) fn grid_sample(x: &Tensor, grid: &Tensor, sampler: Sampler) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op2(&grid.contiguous()?, sampler)?)
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
}
