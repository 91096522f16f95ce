//! Applying the region map to the picture.

use c2f_ops::{Format, resize_bilinear};
use candle_core::Tensor;

use crate::{Error, RegionMode, Result, Sampling};

/// Smallest side of a zoom's box, as a fraction of the picture's.
pub const MIN_BOX: f64 = 0.1;

/// What the inverse mapping found.
#[derive(Clone, Debug)]
pub struct Region {
    /// The region map R (B, 1, H, W) in 0..1.
    pub map: Tensor,
    /// Where the fine look samples the picture; none in mode `Mask`, which has all of it.
    pub sampling: Option<Sampling>,
    /// (B, 1, H, W) in 0..=1: how much detail each place keeps, in mode `Detail`.
    pub detail: Option<Tensor>,
}

impl Region {
    /// The region of a map (B, 1, H, W).
    ///
    /// # Errors
    /// If `map` has another shape.
    pub fn new(map: Tensor, mode: RegionMode, zoom_std: f64) -> Result<Self> {
        let sampling = match mode {
            RegionMode::Mask => None,
            RegionMode::Zoom | RegionMode::MaskZoom | RegionMode::Detail => {
                Some(Sampling::Boxes(region_boxes(&map, zoom_std)?))
            }
            RegionMode::Warp => Some(Sampling::Warp(map.clone())),
        };
        let detail = (mode == RegionMode::Detail).then(|| share_of_maximum(&map)).transpose()?;
        Ok(Self { map, sampling, detail })
    }

    /// (B): the share of each picture that the fine look gets to see. With a zoom that is its box: the moments of R don't
    /// change when all of R is dimmed, so that the mean of R says nothing then. With a mask alone it is the mean of R. Where
    /// places keep more or less detail it is the mean of that, and where they are stretched that of R as a share of its maximum.
    ///
    /// # Errors
    /// If candle fails.
    pub fn area(&self) -> Result<Tensor> {
        match (&self.detail, &self.sampling) {
            (Some(detail), _) => mean(detail),
            (None, Some(Sampling::Boxes(boxes))) => box_areas(boxes),
            (None, Some(Sampling::Warp(density))) => mean(&share_of_maximum(density)?),
            (None, None) => mean(&self.map),
        }
    }

    /// (B, 4): x1, y1, x2, y2 of the box that the fine look samples, in 0..=1 of the picture; none where it samples no box.
    pub fn boxes(&self) -> Option<&Tensor> {
        self.sampling.as_ref().and_then(Sampling::boxes)
    }

    /// The same with `boxes` (B, 4).
    #[must_use]
    pub fn with_boxes(&self, boxes: Tensor) -> Self {
        Self { sampling: Some(Sampling::Boxes(boxes)), ..self.clone() }
    }
}

/// The means (B) of maps (B, 1, H, W).
fn mean(map: &Tensor) -> Result<Tensor> {
    Ok(map.flatten_from(1)?.mean(1)?)
}

/// Maps (B, 1, H, W) as shares of their maximum, which counts as a constant: 1 there.
fn share_of_maximum(map: &Tensor) -> Result<Tensor> {
    let (batch, _, _, _) = map.dims4()?;
    let maximum = map.flatten_from(1)?.max(1)?.detach().affine(1.0, 1e-6)?;
    Ok(map.broadcast_div(&maximum.reshape((batch, 1, 1, 1))?)?)
}

/// The areas (B) of boxes (B, 4), x1, y1, x2, y2 in 0..=1, as shares of the picture.
///
/// # Errors
/// If `boxes` isn't (B, 4).
pub fn box_areas(boxes: &Tensor) -> Result<Tensor> {
    let sides = (boxes.narrow(1, 2, 2)? - boxes.narrow(1, 0, 2)?)?;
    Ok((sides.narrow(1, 0, 1)? * sides.narrow(1, 1, 1)?)?.squeeze(1)?)
}

/// The boxes (B, 4) around region maps (B, 1, H, W): per axis, mean +- `zoom_std` standard deviations of R seen as a
/// density, clamped to the picture and at least [`MIN_BOX`] long. x1, y1, x2, y2 in 0..=1, (0, 0) being the outer
/// corner of the first pixel. Differentiable. A map of zeros gives the box of a uniform one.
///
/// # Errors
/// If `map` isn't (B, 1, H, W).
pub fn region_boxes(map: &Tensor, zoom_std: f64) -> Result<Tensor> {
    let &[_, 1, height, width] = map.dims() else {
        return Err(Error::shape("region_boxes", "map", map, "(B, 1, H, W)"));
    };
    // The small constant decides only where nothing was found.
    let density = map.squeeze(1)?.affine(1.0, 1e-6)?;
    let (x1, x2) = extent(&density.sum(1)?, width, zoom_std)?;
    let (y1, y2) = extent(&density.sum(2)?, height, zoom_std)?;
    Ok(Tensor::cat(&[x1, y1, x2, y2], 1)?)
}

/// The two ends (B, 1), in 0..=1, along an axis with the marginal `density` (B, `size`).
fn extent(density: &Tensor, size: usize, zoom_std: f64) -> Result<(Tensor, Tensor)> {
    let weights = density.broadcast_div(&density.sum_keepdim(1)?)?;
    let centres = centres(size, density)?;
    let mean = weights.broadcast_mul(&centres)?.sum_keepdim(1)?;
    let deviation = mean.neg()?.broadcast_add(&centres)?;
    let variance = (weights * deviation.sqr()?)?.sum_keepdim(1)?;
    let half = variance.affine(1.0, 1e-12)?.sqrt()?.affine(zoom_std, 0.0)?.maximum(MIN_BOX / 2.0)?;
    let low = (&mean - &half)?.clamp(0.0, 1.0 - MIN_BOX)?;
    let high = (mean + half)?.clamp(MIN_BOX, 1.0)?;
    Ok((low, high))
}

/// The middles (1, `size`), in 0..1, of so many pixels along an axis; device and element type are those of `like`.
pub(crate) fn centres(size: usize, like: &Tensor) -> Result<Tensor> {
    let numbers = Tensor::arange(0u32, size as u32, like.device())?.to_dtype(like.dtype())?;
    Ok(numbers.affine(1.0 / size as f64, 0.5 / size as f64)?.unsqueeze(0)?)
}

/// Pictures (B, C, H, W) of which the means of squares of 8 x 8 pixels are left, and what lies between those.
fn blurred(pictures: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = pictures.dims4()?;
    // A bilinear resize to a half is a mean of 2 x 2; to less it would leave pixels out.
    let few = [2, 4, 8].iter().try_fold(pictures.clone(), |x, share| {
        let size = (height.div_ceil(*share), width.div_ceil(*share));
        resize_bilinear(&x, size, false, Format::ChannelsFirst)
    })?;
    Ok(resize_bilinear(&few, (height, width), false, Format::ChannelsFirst)?)
}

/// The fine look's input (B, 3, H, W), of the coarse picture's size. It is sampled from `source`, which may be
/// larger than `coarse`; in mode `MaskZoom` map and picture are sampled in the same box and multiplied there.
pub(crate) fn apply(mode: RegionMode, coarse: &Tensor, source: &Tensor, region: &Region) -> Result<Tensor> {
    let (_, _, height, width) = coarse.dims4()?;
    let size = (height, width);
    match (mode, &region.sampling) {
        (RegionMode::Mask, _) => Ok(coarse.broadcast_mul(&region.map)?),
        (RegionMode::Zoom | RegionMode::Warp, Some(sampling)) => sampling.sample(source, size),
        (RegionMode::MaskZoom, Some(sampling)) => {
            let picture = sampling.sample(source, size)?;
            Ok(picture.broadcast_mul(&sampling.sample(&region.map, size)?)?)
        }
        (RegionMode::Detail, Some(sampling)) => {
            // A box passes noise beyond a pixel: the gradient of what is sampled says little of a box elsewhere.
            let sampling = sampling.map(|boxes| Ok(boxes.detach()))?;
            let picture = sampling.sample(source, size)?;
            let blurred = blurred(&picture)?;
            let detail = region.detail.as_ref().unwrap_or(&region.map);
            let detail = sampling.sample(detail, size)?;
            Ok((&blurred + (picture - &blurred)?.broadcast_mul(&detail)?)?)
        }
        (_, None) => {
            let message = "the region doesn't say where to sample the picture".to_owned();
            Err(Error::Config { setting: "inverse.mode", message })
        }
    }
}
