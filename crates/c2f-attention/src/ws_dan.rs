//! Attention crop and attention drop, the two augmentations of WS-DAN (Hu et al. 2019), as in its public
//! implementations in PyTorch. None of it is differentiable.
//!
//! Their settings, thresholds being fractions of a map's maximum and paddings fractions of the picture's side: in
//! training the crop's threshold is U(0.4, 0.6) with padding 0.1 and the drop's U(0.2, 0.5), each on a map drawn for
//! it; at test time the mean map is cropped at 0.1 with padding 0.05.

use c2f_ops::graph::{Attribute, Graph, Value};
use c2f_ops::{Format, resize_bilinear};
use candle_core::{DType, Tensor};
use rand::Rng;

use crate::{Error, Result, Sampling, SamplingValues};

/// Draws one map of each picture, with a probability proportional to the square root of its sum, from `attention`
/// (B, M, h, w): B indices in 0..M.
///
/// # Errors
/// If `attention` doesn't have four dimensions.
pub fn draw_maps(attention: &Tensor, rng: &mut impl Rng) -> Result<Vec<usize>> {
    let &[_, _, _, _] = attention.dims() else {
        return Err(Error::shape("draw_maps", "attention", attention, "(B, M, h, w)"));
    };
    let sums = attention.flatten_from(2)?.sum(2)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    Ok(sums.iter().map(|sums| draw(sums, rng)).collect())
}

fn draw(sums: &[f64], rng: &mut impl Rng) -> usize {
    let weights: Vec<f64> = sums.iter().map(|sum| (sum.max(0.0) + 1e-12).sqrt()).collect();
    let mut left = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (index, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return index;
        }
    }
    // Rounding, or sums that aren't finite.
    weights.len().saturating_sub(1)
}

/// The chosen map of each picture: `attention` (B, M, h, w) and B indices to (B, 1, h, w).
///
/// # Errors
/// If there aren't B indices in 0..M.
pub fn select_maps(attention: &Tensor, indices: &[usize]) -> Result<Tensor> {
    let &[batch, _, _, _] = attention.dims() else {
        return Err(Error::shape("select_maps", "attention", attention, "(B, M, h, w)"));
    };
    check_count("select_maps", "attention", attention, batch, indices.len())?;
    let attention = attention.detach();
    let chosen = indices.iter().enumerate().map(|(picture, &map)| attention.get(picture)?.narrow(0, map, 1));
    Ok(Tensor::stack(&chosen.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
}

/// The mean map of each picture, which the crop at test time uses: (B, M, h, w) to (B, 1, h, w).
///
/// # Errors
/// If `attention` has no axis of maps.
pub fn mean_map(attention: &Tensor) -> Result<Tensor> {
    Ok(attention.detach().mean_keepdim(1)?)
}

/// The boxes around what exceeds a threshold: `map` (B, 1, h, w) is resized to `size` (H, W), and pixels of at least
/// `thresholds[b]` times the map's maximum are enclosed, with `padding` of the picture's side around them. x1, y1, x2,
/// y2 in 0..=1 of the picture. A map of zeros gives the whole picture.
///
/// # Errors
/// If `map` isn't (B, 1, h, w), or there aren't B thresholds.
pub fn crop_boxes(map: &Tensor, size: (usize, usize), thresholds: &[f32], padding: f32) -> Result<Vec<[f32; 4]>> {
    let above = resized(map, size, thresholds, "crop_boxes")?;
    Ok(above.iter().map(|picture| picture.enclose(padding)).collect())
}

/// The `boxes` of pictures (B, 3, H', W'), resized bilinearly to `size`: (B, 3, H, W).
///
/// # Errors
/// If there aren't B boxes.
pub fn crop(pictures: &Tensor, boxes: &[[f32; 4]], size: (usize, usize)) -> Result<Tensor> {
    let flat: Vec<f32> = boxes.iter().flatten().copied().collect();
    let boxes = Tensor::from_vec(flat, (boxes.len(), 4), pictures.device())?.to_dtype(pictures.dtype())?;
    Sampling::Boxes(boxes).sample(pictures, size)
}

/// Describes [`crop_boxes`] of maps (B, 1, h, w), with one threshold; `size` are two whole numbers, height and width.
pub fn describe_crop_boxes(graph: &mut Graph, map: Value, size: Value, threshold: f32, padding: f32) -> Value {
    let largest = graph.max(map, &[1, 2, 3]);
    let from = graph.affine(largest, f64::from(threshold), 0.0);
    let large = graph.resize_bilinear(map, size, true);
    let none = graph.scalar(0.0);
    let (some, enough) = (graph.op("Greater", &[large, none]), graph.op("GreaterOrEqual", &[large, from]));
    let above = graph.op("And", &[some, enough]);
    let above = graph.to_float(above);
    let limits = [graph.scalar(0.0), graph.scalar(1.0)];
    // Along an axis of the map, both ends of what is above, as shares of the axis in `size`.
    let [x, y] = [(2, 1), (3, 0)].map(|(other, place)| {
        let any = graph.max(above, &[other]);
        let any = graph.reshape(any, &[0, -1]);
        let pixels = graph.narrow(size, 0, place);
        let pixels = graph.to_float(pixels);
        [(0, 0.0, -padding), (1, 1.0, padding)].map(|(is_last, past, padding)| {
            let attributes = [("axis", Attribute::Int(1)), ("select_last_index", Attribute::Int(is_last))];
            let end = graph.op_with("ArgMax", &[any], &attributes);
            let end = graph.to_float(end);
            let end = graph.affine(end, 1.0, past);
            let share = graph.op("Div", &[end, pixels]);
            let share = graph.affine(share, 1.0, f64::from(padding));
            graph.op("Clip", &[share, limits[0], limits[1]])
        })
    });
    let found = graph.concat(&[x[0], y[0], x[1], y[1]], 1);
    let any = graph.max(above, &[1, 2, 3]);
    let any = graph.reshape(any, &[0, -1]);
    let is_empty = graph.op("Equal", &[any, none]);
    let whole = graph.floats(&[0.0, 0.0, 1.0, 1.0], &[4]);
    graph.op("Where", &[is_empty, whole, found])
}

/// Describes [`crop`].
pub fn describe_crop(graph: &mut Graph, pictures: Value, boxes: Value, size: Value) -> Value {
    SamplingValues::Boxes(boxes).describe(graph, pictures, size)
}

/// The pictures (B, 3, H, W) with zeros where `map` (B, 1, h, w), resized to them, is at least `thresholds[b]` times
/// its maximum. A map of zeros drops nothing.
///
/// # Errors
/// If the shapes don't fit each other, or there aren't B thresholds.
pub fn drop(pictures: &Tensor, map: &Tensor, thresholds: &[f32]) -> Result<Tensor> {
    let &[batch, _, height, width] = pictures.dims() else {
        return Err(Error::shape("drop", "pictures", pictures, "(B, 3, H, W)"));
    };
    let above = resized(map, (height, width), thresholds, "drop")?;
    check_count("drop", "pictures", pictures, batch, above.len())?;
    let kept = |picture: &Above| picture.pixels().map(|above| f32::from(u8::from(!above))).collect::<Vec<_>>();
    let mask: Vec<f32> = above.iter().flat_map(kept).collect();
    let mask = Tensor::from_vec(mask, (batch, 1, height, width), pictures.device())?.to_dtype(pictures.dtype())?;
    Ok(pictures.broadcast_mul(&mask)?)
}

/// A map at the size of the picture, with the value from which on a pixel belongs to the part.
struct Above {
    values: Vec<f32>,
    width: usize,
    from: f32,
}

fn resized(map: &Tensor, size: (usize, usize), thresholds: &[f32], op: &'static str) -> Result<Vec<Above>> {
    let &[batch, 1, _, _] = map.dims() else {
        return Err(Error::shape(op, "map", map, "(B, 1, h, w)"));
    };
    check_count(op, "map", map, batch, thresholds.len())?;
    let map = map.detach().to_dtype(DType::F32)?;
    let largest = map.flatten_from(1)?.max(1)?.to_vec1::<f32>()?;
    // The public implementation's F.upsample_bilinear keeps the corners in place.
    let large = resize_bilinear(&map, size, true, Format::ChannelsFirst)?.flatten_from(1)?.to_vec2::<f32>()?;
    let pictures = large.into_iter().zip(largest).zip(thresholds);
    Ok(pictures.map(|((values, max), threshold)| Above { values, width: size.1, from: threshold * max }).collect())
}

impl Above {
    /// Row by row, whether the pixel belongs to the part.
    fn pixels(&self) -> impl Iterator<Item = bool> + '_ {
        self.values.iter().map(|&value| value > 0.0 && value >= self.from)
    }

    fn enclose(&self, padding: f32) -> [f32; 4] {
        let height = self.values.len() / self.width;
        let (mut left, mut top, mut right, mut bottom) = (self.width, height, 0, 0);
        for (index, _) in self.pixels().enumerate().filter(|&(_, above)| above) {
            let (x, y) = (index % self.width, index / self.width);
            (left, right) = (left.min(x), right.max(x + 1));
            (top, bottom) = (top.min(y), bottom.max(y + 1));
        }
        if right == 0 {
            return [0.0, 0.0, 1.0, 1.0];
        }
        let fraction = |pixel: usize, of: usize, padding: f32| (pixel as f32 / of as f32 + padding).clamp(0.0, 1.0);
        [
            fraction(left, self.width, -padding),
            fraction(top, height, -padding),
            fraction(right, self.width, padding),
            fraction(bottom, height, padding),
        ]
    }
}

fn check_count(op: &'static str, what: &'static str, tensor: &Tensor, batch: usize, count: usize) -> Result<()> {
    if batch == count { Ok(()) } else { Err(Error::shape(op, what, tensor, format!("a batch of {count}"))) }
}
