//! From pictures to explanations, through the network.

use c2f_backbone::BackboneInfo;
use c2f_data::Views;
use candle_core::{D, DType, Tensor};
use image::{Rgb, RgbImage};

use super::{Explanation, Guess, Map};
use crate::engine::stack;
use crate::{Network, Prediction, Result};

/// A decoded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What to call it.
    pub name: String,
    /// Its pixels, of any size.
    pub image: RgbImage,
    /// Its class, where it is known.
    pub truth: Option<String>,
}

/// Shows the pictures to the network, as one batch, and says what it made of each: its attention, its second look and
/// its `top` most probable classes (fewer if it knows fewer).
///
/// # Errors
/// If candle fails, such as for lack of memory.
pub fn explain(network: &Network, pictures: &[Picture], top: usize) -> Result<Vec<Explanation>> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let transform = network.eval_transform();
    let info = network.model.backbone().info();
    let views: Vec<Views> = pictures.iter().map(|p| transform.apply(&p.image, 0, 0, 0)).collect();
    let device = network.params.device();
    let coarse = stack(views.iter().map(|v| v.coarse.as_slice()), transform.size(), device)?;
    let sources: Option<Vec<&[f32]>> = views.iter().map(|v| v.source.as_deref()).collect();
    let source = sources.map(|s| stack(s.into_iter(), transform.source_size(), device)).transpose()?;
    let prediction = network.predict(&coarse, source.as_ref())?;
    let maps = Maps::read(&prediction)?;
    let probabilities: Vec<Vec<f32>> = prediction.combined.to_vec2()?;
    let explanations = pictures.iter().zip(&views).zip(probabilities).enumerate();
    Ok(explanations
        .map(|(index, ((picture, views), probabilities))| Explanation {
            name: picture.name.clone(),
            view: denormalise(&views.coarse, transform.size(), info),
            truth: picture.truth.clone(),
            attention: maps.attention.as_ref().map(|maps| maps[index].clone()),
            region: maps.region.as_ref().map(|maps| maps[index].clone()),
            zoom: maps.zoom.as_ref().map(|boxes| boxes[index]),
            guesses: best(&probabilities, &network.classes, top),
        })
        .collect())
}

/// The maps of a prediction, one for each picture.
pub(crate) struct Maps {
    /// The mean of the attention maps.
    pub attention: Option<Vec<Map>>,
    /// The region map.
    pub region: Option<Vec<Map>>,
    /// The box of the second look: x1, y1, x2, y2 in 0..=1 of the view.
    pub zoom: Option<Vec<[f32; 4]>>,
}

impl Maps {
    pub(crate) fn read(prediction: &Prediction) -> Result<Self> {
        let attention = prediction.attention.as_ref().map(|a| Ok(a.mean(1)?)).map(|a| a.and_then(|a| maps(&a)));
        let region = prediction.region.as_ref().map(|r| Ok(r.squeeze(1)?)).map(|r| r.and_then(|r| maps(&r)));
        let zoom = prediction.boxes.as_ref().map(|boxes| -> Result<_> {
            let boxes: Vec<Vec<f32>> = boxes.to_dtype(DType::F32)?.to_vec2()?;
            Ok(boxes.into_iter().map(|b| std::array::from_fn(|i| b[i])).collect())
        });
        Ok(Self { attention: attention.transpose()?, region: region.transpose()?, zoom: zoom.transpose()? })
    }
}

/// B maps of a (B, h, w) tensor.
fn maps(tensor: &Tensor) -> Result<Vec<Map>> {
    let (width, height) = (tensor.dim(D::Minus1)? as u32, tensor.dim(D::Minus2)? as u32);
    let values: Vec<Vec<Vec<f32>>> = tensor.to_dtype(DType::F32)?.to_vec3()?;
    let map = |rows: Vec<Vec<f32>>| Map::from_fn(width, height, |x, y| image::Luma([rows[y as usize][x as usize]]));
    Ok(values.into_iter().map(map).collect())
}

/// The picture that became `planes` (3, size, size).
pub(super) fn denormalise(planes: &[f32], size: usize, info: &BackboneInfo) -> RgbImage {
    RgbImage::from_fn(size as u32, size as u32, |x, y| {
        Rgb(std::array::from_fn(|c| {
            let value = planes[c * size * size + y as usize * size + x as usize];
            ((value * info.std[c] + info.mean[c]) * 255.0).round().clamp(0.0, 255.0) as u8
        }))
    })
}

/// The `top` most probable classes; of equals the first.
fn best(probabilities: &[f32], classes: &[String], top: usize) -> Vec<Guess> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let guess = |index: usize| Guess { class: classes[index].clone(), index, probability: probabilities[index] };
    order.into_iter().take(top).map(guess).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use c2f_data::{EvalTransform, Transform};

    #[test]
    fn the_most_probable_classes_come_first() {
        let classes: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let guesses = best(&[0.2, 0.5, 0.3], &classes, 2);
        assert_eq!(guesses.iter().map(|g| (g.class.as_str(), g.index)).collect::<Vec<_>>(), [("b", 1), ("c", 2)]);
        assert_eq!(best(&[0.5, 0.5, 0.0], &classes, 9).iter().map(|g| g.index).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn pixels_survive_normalisation() {
        let info = c2f_backbone::info("resnet18").unwrap();
        let transform = EvalTransform {
            resize: 8,
            size: 8,
            source_size: 8,
            mean: info.mean,
            std: info.std,
            ..EvalTransform::default()
        };
        let picture = RgbImage::from_fn(8, 8, |x, y| Rgb([(x * 30) as u8, (y * 36) as u8, (x * y * 4) as u8]));
        let views = Transform::Eval(transform).apply(&picture, 0, 0, 0);
        assert_eq!(denormalise(&views.coarse, 8, info), picture);
    }
}
