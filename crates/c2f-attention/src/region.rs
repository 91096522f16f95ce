//! Applying the region map to the picture.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::{Format, resize_bilinear};
use candle_core::Tensor;

use crate::{Error, RegionMode, Result, Sampling, SamplingValues};

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

    /// Describes what [`new`](Self::new) computes; `size` are two whole numbers, height and width of the map.
    pub(crate) fn describe(
        graph: &mut Graph,
        map: Value,
        size: Value,
        mode: RegionMode,
        zoom_std: f64,
    ) -> RegionValues {
        let sampling = match mode {
            RegionMode::Mask => None,
            RegionMode::Zoom | RegionMode::MaskZoom | RegionMode::Detail => {
                Some(SamplingValues::Boxes(describe_boxes(graph, map, size, zoom_std)))
            }
            RegionMode::Warp => Some(SamplingValues::Warp(map)),
        };
        let detail = (mode == RegionMode::Detail).then(|| {
            let maximum = graph.max(map, &[1, 2, 3]);
            let maximum = graph.affine(maximum, 1.0, 1e-6);
            graph.op("Div", &[map, maximum])
        });
        RegionValues { map, sampling, detail }
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

/// A [`Region`] in a graph.
#[derive(Clone, Copy, Debug)]
pub struct RegionValues {
    /// [`Region::map`]
    pub map: Value,
    /// [`Region::sampling`]
    pub sampling: Option<SamplingValues>,
    /// [`Region::detail`]
    pub detail: Option<Value>,
}

impl RegionValues {
    /// [`Region::boxes`]
    pub fn boxes(&self) -> Option<Value> {
        match self.sampling {
            Some(SamplingValues::Boxes(boxes)) => Some(boxes),
            Some(SamplingValues::Warp(_)) | None => None,
        }
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

/// Describes [`region_boxes`] of maps of `size`, height and width.
fn describe_boxes(graph: &mut Graph, map: Value, size: Value, zoom_std: f64) -> Value {
    let density = graph.affine(map, 1.0, 1e-6);
    let [x, y] = [(2, 1), (3, 0)].map(|(other, axis)| {
        let sums = graph.sum(density, &[other]);
        let sums = graph.reshape(sums, &[0, -1]);
        let size = graph.narrow(size, 0, axis);
        describe_extent(graph, sums, size, zoom_std)
    });
    graph.concat(&[x[0], y[0], x[1], y[1]], 1)
}

/// Describes [`extent`].
fn describe_extent(graph: &mut Graph, density: Value, size: Value, zoom_std: f64) -> [Value; 2] {
    let sum = graph.sum(density, &[1]);
    let weights = graph.op("Div", &[density, sum]);
    let centres = describe_centres(graph, size);
    let weighted = graph.op("Mul", &[weights, centres]);
    let mean = graph.sum(weighted, &[1]);
    let deviation = graph.op("Sub", &[centres, mean]);
    let square = graph.op("Mul", &[deviation, deviation]);
    let weighted = graph.op("Mul", &[weights, square]);
    let variance = graph.sum(weighted, &[1]);
    let variance = graph.affine(variance, 1.0, 1e-12);
    let deviation = graph.op("Sqrt", &[variance]);
    let half = graph.affine(deviation, zoom_std, 0.0);
    let least = graph.scalar(MIN_BOX / 2.0);
    let half = graph.op("Max", &[half, least]);
    [("Sub", 0.0, 1.0 - MIN_BOX), ("Add", MIN_BOX, 1.0)].map(|(operator, low, high)| {
        let end = graph.op(operator, &[mean, half]);
        let limits = [graph.scalar(low), graph.scalar(high)];
        graph.op("Clip", &[end, limits[0], limits[1]])
    })
}

/// Describes [`centres`] of `size` (1), a whole number: a row of them.
pub(crate) fn describe_centres(graph: &mut Graph, size: Value) -> Value {
    let size = graph.to_float(size);
    let none = graph.ints(&[]);
    let limit = graph.reshape_to(size, none);
    let (zero, one) = (graph.scalar(0.0), graph.scalar(1.0));
    let numbers = graph.op("Range", &[zero, limit, one]);
    let middles = graph.affine(numbers, 1.0, 0.5);
    graph.op("Div", &[middles, size])
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

/// Describes [`blurred`] of pictures of `size`, height and width.
fn describe_blurred(graph: &mut Graph, pictures: Value, size: Value) -> Value {
    let few = [2, 4, 8].into_iter().fold(pictures, |x, share| {
        let (less, share) = (graph.ints(&[share - 1]), graph.ints(&[share]));
        let sum = graph.op("Add", &[size, less]);
        let size = graph.op("Div", &[sum, share]);
        graph.resize_bilinear(x, size, false)
    });
    graph.resize_bilinear(few, size, false)
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

/// Describes [`apply`] for coarse pictures of `size`, height and width.
pub(crate) fn describe(
    graph: &mut Graph,
    mode: RegionMode,
    coarse: Value,
    source: Value,
    region: &RegionValues,
    size: Value,
) -> Value {
    let Some(sampling) = region.sampling else { return graph.op("Mul", &[coarse, region.map]) };
    let picture = sampling.describe(graph, source, size);
    match mode {
        RegionMode::Mask | RegionMode::Zoom | RegionMode::Warp => picture,
        RegionMode::MaskZoom => {
            let map = sampling.describe(graph, region.map, size);
            graph.op("Mul", &[picture, map])
        }
        RegionMode::Detail => {
            let blurred = describe_blurred(graph, picture, size);
            let detail = sampling.describe(graph, region.detail.unwrap_or(region.map), size);
            let difference = graph.op("Sub", &[picture, blurred]);
            let difference = graph.op("Mul", &[difference, detail]);
            graph.op("Add", &[blurred, difference])
        }
    }
}
