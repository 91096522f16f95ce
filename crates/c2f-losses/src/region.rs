//! Losses of the region map.

use candle_core::Tensor;

use crate::{Error, Result};

/// (mean(R) - `target`)^2, averaged over the pictures: keeps the region map (B, 1, H, W), in 0..1, away from
/// "everything" and "nothing". `target` is the fraction of the picture.
///
/// # Errors
/// If `region` isn't (B, 1, H, W), or `target` isn't in 0..=1.
pub fn area_penalty(region: &Tensor, target: f64) -> Result<Tensor> {
    check("area_penalty", region)?;
    if !(0.0..=1.0).contains(&target) {
        let (setting, expected) = ("target", "a number from 0 to 1");
        return Err(Error::Setting { loss: "area_penalty", setting, value: target, expected });
    }
    let area = region.flatten_from(1)?.mean(1)?;
    Ok(area.affine(1.0, -target)?.sqr()?.mean_all()?)
}

/// Mean absolute difference of vertical neighbours plus that of horizontal neighbours in a region map (B, 1, H, W)
/// (anisotropic total variation, per pixel; Rudin et al. 1992).
///
/// # Errors
/// If `region` isn't (B, 1, H, W) with H and W of at least 2.
pub fn total_variation(region: &Tensor) -> Result<Tensor> {
    check("total_variation", region)?;
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

fn check(loss: &'static str, region: &Tensor) -> Result<()> {
    match region.dims() {
        [_, 1, _, _] => Ok(()),
        _ => Err(Error::shape(loss, "region", region, "(B, 1, H, W)")),
    }
}
