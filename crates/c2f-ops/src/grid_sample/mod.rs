//! Affine grids and sampling (Jaderberg et al. 2015, "Spatial Transformer Networks").

mod affine_grid;
mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;

use candle_core::Tensor;

use crate::device::{by_device, on_card};
use crate::kernel::expect_values;
use crate::{Error, Format, Result};
pub use affine_grid::affine_grid;

const NAME: &str = "grid_sample";

/// What lies outside of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridPadding {
    /// Zeros.
    Zeros,
    /// The nearest pixel of the border.
    Border,
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
    on_card!(x => cuda::grid_sample(x, grid, sampler));
    by_device(x, || cpu::grid_sample(x, grid, sampler), || composed::grid_sample(x, grid, sampler))
}

/// A sampling of maps of one size.
#[derive(Clone, Copy, Debug)]
struct Sampler {
    channels: usize,
    height: usize,
    width: usize,
    padding: GridPadding,
    align_corners: bool,
    format: Format,
}

impl Sampler {
    /// Factor and offset from grid coordinates to pixels.
    fn pixels(&self, size: usize) -> (f64, f64) {
        let size = size as f64;
        if self.align_corners { ((size - 1.0) / 2.0, (size - 1.0) / 2.0) } else { (size / 2.0, (size - 1.0) / 2.0) }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::kernel::tests::{assert_same, var};
    use crate::test_device::device;

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
                    assert_same(&[&x, &points], &kernel, &composed::grid_sample(&x, &grid, sampler).unwrap());
                }
            }
        }
    }

    #[test]
    fn points_that_are_no_numbers_or_far_away_are_the_same_composed() {
        let x = var((1, 2, 3, 4));
        let far = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 1.2, -1.2, 0.3];
        let points: Vec<f64> = far.iter().flat_map(|&a| far.iter().flat_map(move |&b| [a, b])).collect();
        let grid = candle_core::Var::from_vec(points, (1, 8, 8, 2), &device()).unwrap();
        for padding in [GridPadding::Zeros, GridPadding::Border] {
            for align_corners in [false, true] {
                let format = Format::ChannelsFirst;
                let sampler = Sampler { channels: 2, height: 3, width: 4, padding, align_corners, format };
                let kernel = grid_sample(&x, &grid, padding, align_corners, format).unwrap();
                let values = kernel.flatten_all().unwrap().to_vec1::<f64>().unwrap();
                assert!(values.iter().all(|value| value.is_finite()), "{values:?}");
                assert_same(&[&x, &grid], &kernel, &composed::grid_sample(&x, &grid, sampler).unwrap());
            }
        }
    }

    /// The nearest f32 of 2^24 + 1 is another pixel.
    #[test]
    fn pixels_beyond_the_whole_numbers_of_f32_are_the_same_composed() {
        let side = 4100;
        let last = Tensor::arange(0u32, 16, &device()).unwrap().to_dtype(DType::F32).unwrap();
        let zeros = Tensor::zeros(side * side - 16, DType::F32, &device()).unwrap();
        let x = Tensor::cat(&[&zeros, &last], 0).unwrap().reshape((1, 1, side, side)).unwrap();
        let point = |column: usize| 2.0 * column as f64 / (side - 1) as f64 - 1.0;
        let points: Vec<f32> = (0..8).flat_map(|i| [point(side - 1 - i) as f32, 1.0]).collect();
        let grid = Tensor::from_vec(points, (1, 1, 8, 2), &device()).unwrap();
        let (padding, format) = (GridPadding::Border, Format::ChannelsFirst);
        let sampler = Sampler { channels: 1, height: side, width: side, padding, align_corners: true, format };
        let values = |y: Tensor| y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let other = values(composed::grid_sample(&x, &grid, sampler).unwrap());
        assert_eq!(other, values(grid_sample(&x, &grid, padding, true, format).unwrap()));
        assert!((other[1] - 14.0).abs() < 0.01, "{other:?}");
    }
}
