//! Losses of the region map.

use candle_core::Tensor;

use crate::error::expect_values;
use crate::{Error, Result};

/// (mean of `area` - `target`)^2: keeps the regions away from "everything" and "nothing". `area` (B) is the share of each
/// picture that its region keeps, `target` the share that they should on average, both in 0..=1. Of a batch's mean and
/// not of each picture, so that what fills its picture may have a larger region than what is small in it.
///
/// # Errors
/// If `area` isn't (B) or is empty, or `target` isn't in 0..=1.
pub fn area_penalty(area: &Tensor, target: f64) -> Result<Tensor> {
    if area.rank() != 1 {
        return Err(Error::shape("area_penalty", "area", area, "(B)"));
    }
    expect_values("area_penalty", "area", area)?;
    if !(0.0..=1.0).contains(&target) {
        let (setting, expected) = ("target", "a number from 0 to 1");
        return Err(Error::Setting { loss: "area_penalty", setting, value: target, expected });
    }
    Ok(area.mean_all()?.affine(1.0, -target)?.sqr()?)
}

/// Mean absolute difference of vertical neighbours plus that of horizontal neighbours in a region map (B, 1, H, W)
/// (anisotropic total variation, per pixel; Rudin et al. 1992).
///
/// # Errors
/// If `region` isn't (B, 1, H, W) with B of at least 1 and H and W of at least 2.
pub fn total_variation(region: &Tensor) -> Result<Tensor> {
    let &[_, 1, _, _] = region.dims() else {
        return Err(Error::shape("total_variation", "region", region, "(B, 1, H, W)"));
    };
    expect_values("total_variation", "region", region)?;
    let along = |axis: usize| -> Result<Tensor> {
        let last = region.dims()[axis] - 1;
        let difference = (region.narrow(axis, 1, last)? - region.narrow(axis, 0, last)?)?;
        // Not `abs`: its gradient at 0 is 1 in candle, which would tilt a flat map.
        Ok((&difference * difference.sign()?.detach())?.mean_all()?)
    };
    if region.dims()[2..].iter().any(|&size| size < 2) {
        return Err(Error::shape("total_variation", "region", region, "two rows and two columns or more"));
    }
    Ok((along(2)? + along(3)?)?)
}
