//! The sampling points of affine maps.

use candle_core::{Device, Tensor};

use crate::kernel::expect_values;
use crate::{Error, Result};

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
