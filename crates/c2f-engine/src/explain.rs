//! From pictures to explanations, through the network.

use c2f_attention::lay_over;
use c2f_backbone::BackboneInfo;
use c2f_data::Views;
use candle_core::{D, DType, Tensor};
use image::{ImageBuffer, Luma, Rgb, RgbImage};

use crate::evaluate::{mean_over_views, stack, view_by_view};
use crate::{Network, Prediction, Result, familiarity};

/// A map of one number per place, row by row; any size and aspect.
pub type Map = ImageBuffer<Luma<f32>, Vec<f32>>;

/// One picture with what the network made of it.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The picture's file or its number in a drawn set.
    pub name: String,
    /// The square that the network saw.
    pub view: RgbImage,
    /// The true class, where it is known.
    pub truth: Option<String>,
    /// The mean of the attention maps; none for a method without attention.
    pub attention: Option<Map>,
    /// The region map, 0..1; none for a method without inverse mapping, and in the coarse stage.
    pub region: Option<Map>,
    /// The box of the fine look (x1, y1, x2, y2 in 0..1 of the view); none where it doesn't zoom.
    pub zoom: Option<[f32; 4]>,
    /// The most probable classes.
    pub guesses: Guesses,
}

impl Explanation {
    /// Whether the network looked twice.
    pub fn has_fine_look(&self) -> bool {
        self.region.is_some() || self.zoom.is_some()
    }
}

/// A class and its probability in 0..1.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// The class's name.
    pub class: String,
    /// Its index in the checkpoint's list of classes.
    pub index: usize,
    /// Its probability by the combined prediction.
    pub probability: f32,
}

/// What a picture may show.
#[derive(Debug, Clone, PartialEq)]
pub struct Guesses {
    /// The most probable classes, most probable first.
    pub classes: Vec<Guess>,
    /// How [familiar](crate::familiarity) the picture is; of several views the mean.
    pub familiarity: f32,
}

/// A picture as the network takes it. The picture itself, of any size, needn't be kept.
#[derive(Debug, Clone)]
pub struct Picture {
    /// What to call it.
    pub name: String,
    /// By [`Network::eval_transform`] or each of [`Network::test_transforms`]: at least one, as many for each picture.
    pub views: Vec<Views>,
    /// Its class, where it is known.
    pub truth: Option<String>,
}

/// Shows pictures to the network, all views as one batch, and says what each is: the `top` classes (fewer if it knows fewer)
/// of the highest mean probability over the views. Each picture has at least one view, and as many as the others.
///
/// # Errors
/// If candle fails, such as for lack of memory.
pub fn guess(network: &Network, pictures: &[&[Views]], top: usize) -> Result<Vec<Guesses>> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    guesses(network, &predict(network, pictures)?, pictures.len(), top)
}

/// As [`guess`], and shows what the network looked at: its attention and its fine look in the first view.
///
/// # Errors
/// If candle fails, such as for lack of memory.
pub fn explain(network: &Network, pictures: &[Picture], top: usize) -> Result<Vec<Explanation>> {
    if pictures.is_empty() {
        return Ok(Vec::new());
    }
    let views: Vec<&[Views]> = pictures.iter().map(|picture| picture.views.as_slice()).collect();
    let prediction = predict(network, &views)?;
    let maps = Maps::read(&Prediction { attention: laid_over(network, &prediction)?, ..prediction.clone() })?;
    let (size, info) = (network.eval_transform().size(), network.model.backbone().info());
    let guesses = guesses(network, &prediction, pictures.len(), top)?;
    let explanations = pictures.iter().zip(guesses).enumerate();
    Ok(explanations
        .map(|(index, (picture, guesses))| Explanation {
            name: picture.name.clone(),
            view: denormalise(&picture.views[0].coarse, size, info),
            truth: picture.truth.clone(),
            attention: maps.attention.as_ref().map(|maps| maps[index].clone()),
            region: maps.region.as_ref().map(|maps| maps[index].clone()),
            zoom: maps.zoom.as_ref().map(|boxes| boxes[index]),
            guesses,
        })
        .collect())
}

/// The attention maps over the view, each value where its cell looks.
fn laid_over(network: &Network, prediction: &Prediction) -> Result<Option<Tensor>> {
    let size = network.eval_transform().size();
    let over = |maps: &Tensor| lay_over(maps, network.model.backbone().endpoint(), (size, size));
    Ok(prediction.attention.as_ref().map(over).transpose()?)
}

/// What the network says of all views.
fn predict(network: &Network, pictures: &[&[Views]]) -> Result<Prediction> {
    let transform = network.eval_transform();
    let device = network.params.device();
    let views = view_by_view(pictures);
    let coarse = stack(views.iter().map(|v| v.coarse.as_slice()), transform.size(), device)?;
    let sources: Option<Vec<&[f32]>> = views.iter().map(|v| v.source.as_deref()).collect();
    let source = sources.map(|s| stack(s.into_iter(), transform.source_size(), device)).transpose()?;
    network.predict(&coarse, source.as_ref())
}

/// The best classes of each picture.
fn guesses(network: &Network, prediction: &Prediction, pictures: usize, top: usize) -> Result<Vec<Guesses>> {
    let probabilities: Vec<Vec<f32>> = mean_over_views(&prediction.combined, pictures)?.to_vec2()?;
    let familiarity = familiarity(&prediction.logits)?.unsqueeze(1)?;
    let familiarity: Vec<f32> = mean_over_views(&familiarity, pictures)?.squeeze(1)?.to_vec1()?;
    let guesses = probabilities.iter().zip(familiarity).map(|(probabilities, familiarity)| Guesses {
        classes: best(probabilities, &network.classes, top),
        familiarity,
    });
    Ok(guesses.collect())
}

/// The maps of a prediction, one for each picture.
pub(crate) struct Maps {
    /// The mean of the attention maps.
    pub attention: Option<Vec<Map>>,
    /// The region map.
    pub region: Option<Vec<Map>>,
    /// The box of the fine look: x1, y1, x2, y2 in 0..=1 of the view.
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
    let map = |rows: Vec<Vec<f32>>| Map::from_fn(width, height, |x, y| Luma([rows[y as usize][x as usize]]));
    Ok(values.into_iter().map(map).collect())
}

/// The picture that became `planes` (3, size, size).
pub fn denormalise(planes: &[f32], size: usize, info: &BackboneInfo) -> RgbImage {
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
