//! Regions that nothing has learnt: what a fine look is worth by itself.

use c2f_ops::graph::{Graph, Value};
use candle_core::Tensor;

use crate::region::{RegionValues, centres, describe_centres};
use crate::{Error, RegionSource, Result, SamplingValues};

/// Boxes (B, 4) of `area`, a share of the picture, for pictures (B, 3, H, W): in the middle, or anywhere. x1, y1, x2, y2 in
/// 0..=1. Where a picture's random box lies is decided by its pixels, so that it is the same in any batch, and another for
/// each augmented view of a picture.
pub(crate) fn boxes(pictures: &Tensor, source: RegionSource, area: f64) -> Result<Tensor> {
    let side = area.sqrt();
    let corner = |share: f64| (1.0 - side) * share;
    let count = pictures.dim(0)?;
    let mut boxes = Vec::new();
    for index in 0..count {
        let [x, y] = match source {
            RegionSource::Random => shares(&pictures.get(index)?)?,
            _ => [0.5; 2],
        };
        boxes.extend([corner(x), corner(y), corner(x) + side, corner(y) + side]);
    }
    Ok(Tensor::from_vec(boxes, (count, 4), pictures.device())?.to_dtype(pictures.dtype())?)
}

/// 1 in the boxes (B, 4) and 0 outside: (B, 1, H, W), (H, W) being `size`.
pub(crate) fn map(boxes: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    // Whether each pixel's middle lies between both ends along an axis.
    let inside = |low: usize, size: usize| -> Result<Tensor> {
        let centres = centres(size, boxes)?;
        let (from, to) = (boxes.narrow(1, low, 1)?, boxes.narrow(1, low + 2, 1)?);
        Ok((centres.broadcast_ge(&from)? * centres.broadcast_le(&to)?)?.to_dtype(boxes.dtype())?)
    };
    let (height, width) = size;
    let (rows, columns) = (inside(1, height)?.unsqueeze(2)?, inside(0, width)?.unsqueeze(1)?);
    Ok(rows.broadcast_mul(&columns)?.unsqueeze(1)?)
}

/// Describes [`boxes`] and [`map`] for `pictures` of `size`, height and width.
pub(crate) fn describe(
    graph: &mut Graph,
    pictures: Value,
    size: Value,
    source: RegionSource,
    area: f64,
) -> Result<RegionValues> {
    if source == RegionSource::Random {
        let message = "random: ONNX has no operators for a box that is decided by the bits of the pixels".to_owned();
        return Err(Error::Config { setting: "inverse.region", message });
    }
    let (low, high) = ((1.0 - area.sqrt()) * 0.5, (1.0 - area.sqrt()) * 0.5 + area.sqrt());
    let (from, to) = (graph.scalar(low), graph.scalar(high));
    let [rows, columns] = [(0, 1), (1, 0)].map(|(place, axis)| {
        let size = graph.narrow(size, 0, place);
        let centres = describe_centres(graph, size);
        let after = graph.op("GreaterOrEqual", &[centres, from]);
        let before = graph.op("LessOrEqual", &[centres, to]);
        let inside = graph.op("And", &[after, before]);
        let inside = graph.to_float(inside);
        graph.unsqueeze(inside, &[axis])
    });
    let square = graph.op("Mul", &[rows, columns]);
    let (batch, one, four) = (graph.shape(pictures, 0..1), graph.ints(&[1]), graph.ints(&[4]));
    let shape = graph.concat(&[batch, one, size], 0);
    let map = graph.op("Expand", &[square, shape]);
    let corners = graph.floats(&[low, low, high, high].map(|corner| corner as f32), &[4]);
    let shape = graph.concat(&[batch, four], 0);
    let boxes = graph.op("Expand", &[corners, shape]);
    Ok(RegionValues { map, sampling: Some(SamplingValues::Boxes(boxes)), detail: None })
}

/// Two numbers in 0..1 that the bits of the values decide (FNV-1a, then the finaliser of MurmurHash3).
fn shares(picture: &Tensor) -> Result<[f64; 2]> {
    let values = picture.flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1::<f32>()?;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for value in values {
        hash = (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    let share = |bits: u32| f64::from(bits) / (f64::from(u32::MAX) + 1.0);
    Ok([share(hash as u32), share((hash >> 32) as u32)])
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, IndexOp};

    use super::*;

    fn pictures(count: usize) -> Tensor {
        let values: Vec<f32> = (0..count * 3 * 20 * 30).map(|i| ((i * i) % 977) as f32 / 977.0).collect();
        Tensor::from_vec(values, (count, 3, 20, 30), &Device::Cpu).unwrap()
    }

    #[test]
    fn boxes_have_the_area_and_lie_in_the_picture() {
        let pictures = pictures(40);
        for source in [RegionSource::Centre, RegionSource::Random] {
            let found = boxes(&pictures, source, 0.36).unwrap().to_vec2::<f32>().unwrap();
            for [x1, y1, x2, y2] in found.iter().map(|b| [b[0], b[1], b[2], b[3]]) {
                assert!(x1 >= 0.0 && y1 >= 0.0 && x2 <= 1.000_001 && y2 <= 1.000_001, "{x1} {y1} {x2} {y2}");
                assert!((x2 - x1 - 0.6).abs() < 1e-6 && (y2 - y1 - 0.6).abs() < 1e-6);
            }
            let mean = found.iter().map(|b| b[0]).sum::<f32>() / 40.0;
            // In the middle 0.2; anywhere between 0 and 0.4 0.2 on average, with a deviation of 0.115 of one.
            assert!((mean - 0.2).abs() < 0.06, "{source:?}: {mean}");
        }
    }

    #[test]
    fn a_random_box_depends_on_its_picture_alone() {
        let pictures = pictures(5);
        let all = boxes(&pictures, RegionSource::Random, 0.5).unwrap().to_vec2::<f32>().unwrap();
        let one = boxes(&pictures.narrow(0, 3, 1).unwrap(), RegionSource::Random, 0.5).unwrap();
        assert_eq!(one.to_vec2::<f32>().unwrap()[0], all[3]);
        assert!(all[0] != all[1] && all[1] != all[2]);
    }

    #[test]
    fn the_map_is_the_box() {
        let boxes = Tensor::new(&[[0.5f32, 0.0, 1.0, 0.25]], &Device::Cpu).unwrap();
        let map = map(&boxes, (8, 4)).unwrap();
        assert_eq!(map.dims(), [1, 1, 8, 4]);
        assert_eq!(map.sum_all().unwrap().to_scalar::<f32>().unwrap(), 4.0);
        assert_eq!(map.i((0, 0, 1)).unwrap().to_vec1::<f32>().unwrap(), [0.0, 0.0, 1.0, 1.0]);
    }
}
