//! Mixup (Zhang et al. 2017, <https://arxiv.org/abs/1710.09412>) and CutMix (Yun et al. 2019,
//! <https://arxiv.org/abs/1905.04899>): each picture of a batch is mixed with the one before it, and so are their labels.

use candle_core::{DType, Device, Tensor};
use rand::Rng;
use rand_distr::{Beta, Distribution};

use super::objective::batch_rng;
use crate::Inputs;
use crate::{Error, Recipe, Result};

/// How much of a picture is its own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mix {
    /// This share of every pixel.
    Blend(f64),
    /// All but this box: left, top, right and bottom in 0..1 of the picture.
    Paste([f64; 4]),
}

/// The batch mixed as the recipe says, none if it doesn't mix; `batch` is its number in the whole run. Both views of a
/// picture are mixed with the same other picture, by the same share and in the same place.
pub(super) fn mix(recipe: &Recipe, inputs: &Inputs, classes: usize, batch: u64) -> Result<Option<Inputs>> {
    let Some(mix) = draw(recipe, batch)? else { return Ok(None) };
    let images = mix.apply(&inputs.images)?;
    let source = inputs.source.as_ref().map(|source| mix.apply(source)).transpose()?;
    // What is pasted covers whole pixels.
    let own = match mix {
        Mix::Blend(share) => share,
        Mix::Paste(_) => f64::from(mix.mask(&inputs.images)?.mean_all()?.to_scalar::<f32>()?),
    };
    let targets = blend(&one_hot(&inputs.labels, classes)?, own)?;
    Ok(Some(Inputs { images, source, labels: inputs.labels.clone(), targets: Some(targets) }))
}

/// Where the recipe has both kinds, each batch has one of them, with even odds.
fn draw(recipe: &Recipe, batch: u64) -> Result<Option<Mix>> {
    let (mixup, cutmix) = (recipe.augment.mixup, recipe.augment.cutmix);
    let mut rng = batch_rng(recipe.seed, *b"mix     ", batch);
    let pastes = match (mixup > 0.0, cutmix > 0.0) {
        (false, false) => return Ok(None),
        (true, false) => false,
        (false, true) => true,
        (true, true) => rng.random(),
    };
    let alpha = f64::from(if pastes { cutmix } else { mixup });
    let beta = Beta::new(alpha, alpha).map_err(|e| Error::field("augment", alpha, e.to_string()))?;
    let share = beta.sample(&mut rng);
    Ok(Some(if pastes {
        // A box with the picture's aspect, cut off where it reaches out of the picture.
        let half = 0.5 * (1.0 - share).sqrt();
        let (x, y): (f64, f64) = (rng.random(), rng.random());
        Mix::Paste([x - half, y - half, x + half, y + half].map(|edge| edge.clamp(0.0, 1.0)))
    } else {
        Mix::Blend(share)
    }))
}

impl Mix {
    /// Pictures (B, 3, H, W), each mixed with the one before it.
    fn apply(&self, pictures: &Tensor) -> Result<Tensor> {
        match self {
            Self::Blend(share) => blend(pictures, *share),
            Self::Paste(_) => {
                let own = self.mask(pictures)?;
                let others = own.affine(-1.0, 1.0)?;
                let pasted = pictures.roll(1, 0)?.broadcast_mul(&others)?;
                Ok((pictures.broadcast_mul(&own)? + pasted)?)
            }
        }
    }

    /// (1, 1, H, W): 1 where a picture (B, 3, H, W) keeps its own pixels, 0 where another's are pasted.
    fn mask(&self, pictures: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = pictures.dims4()?;
        let mut mask = vec![1.0f32; height * width];
        if let Self::Paste([left, top, right, bottom]) = *self {
            let pixel = |edge: f64, side: usize| (edge * side as f64).round() as usize;
            for row in mask.chunks_exact_mut(width).take(pixel(bottom, height)).skip(pixel(top, height)) {
                row[pixel(left, width)..pixel(right, width)].fill(0.0);
            }
        }
        Ok(Tensor::from_vec(mask, (1, 1, height, width), pictures.device())?)
    }
}

/// `share` of each row and the rest of the one before it, the last before the first.
fn blend(rows: &Tensor, share: f64) -> Result<Tensor> {
    Ok((rows.affine(share, 0.0)? + rows.roll(1, 0)?.affine(1.0 - share, 0.0)?)?)
}

/// (B, K), f32, of labels (B).
fn one_hot(labels: &Tensor, classes: usize) -> Result<Tensor> {
    let device: &Device = labels.device();
    let classes = Tensor::arange(0u32, classes as u32, device)?.unsqueeze(0)?;
    Ok(labels.unsqueeze(1)?.broadcast_eq(&classes)?.to_dtype(DType::F32)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(mixup: f32, cutmix: f32) -> Recipe {
        let mut recipe = Recipe::builtin("default").unwrap();
        (recipe.augment.mixup, recipe.augment.cutmix) = (mixup, cutmix);
        recipe
    }

    /// Three pictures of one value each, with a second view twice as large.
    fn inputs() -> Inputs {
        let view = |size: usize| {
            let values = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu).unwrap().reshape((3, 1, 1, 1)).unwrap();
            values.broadcast_as((3, 3, size, size)).unwrap().contiguous().unwrap()
        };
        let labels = Tensor::new(&[0u32, 1, 1], &Device::Cpu).unwrap();
        Inputs { images: view(8), source: Some(view(16)), labels, targets: None }
    }

    fn means(pictures: &Tensor) -> Vec<f32> {
        pictures.mean((1, 2, 3)).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn nothing_is_mixed_by_default() {
        assert!(mix(&recipe(0.0, 0.0), &inputs(), 2, 0).unwrap().is_none());
    }

    #[test]
    fn pictures_views_and_labels_are_mixed_by_one_share() {
        for (mixup, cutmix) in [(0.4, 0.0), (0.0, 1.0)] {
            for batch in 0..20 {
                let mixed = mix(&recipe(mixup, cutmix), &inputs(), 2, batch).unwrap().unwrap();
                let targets = mixed.targets.unwrap().to_vec2::<f32>().unwrap();
                // The first picture is mixed with the last, whose label is 1; the last two have the same label.
                let own = targets[0][0];
                assert!((0.0..=1.0).contains(&own) && (targets[0][1] - (1.0 - own)).abs() < 1e-6);
                assert!((targets[1][0] - (1.0 - own)).abs() < 1e-6 && (targets[2][1] - 1.0).abs() < 1e-6);
                let pairs = [(1.0, 3.0), (2.0, 1.0), (3.0, 2.0)];
                for (picture, (mine, others)) in pairs.into_iter().enumerate() {
                    let expected = own * mine + (1.0 - own) * others;
                    assert!((means(&mixed.images)[picture] - expected).abs() < 1e-5);
                    // The larger view's box has edges of its own, half a pixel off at most.
                    let source = means(mixed.source.as_ref().unwrap())[picture];
                    assert!((source - expected).abs() < if cutmix > 0.0 { 0.3 } else { 1e-5 }, "{source}, {expected}");
                }
            }
        }
    }

    #[test]
    fn pasted_boxes_lie_in_the_same_place_in_both_views() {
        let mixed = mix(&recipe(0.0, 1.0), &inputs(), 2, 3).unwrap().unwrap();
        let small = mixed.images.get(0).unwrap().get(0).unwrap().to_vec2::<f32>().unwrap();
        let large = mixed.source.unwrap().get(0).unwrap().get(0).unwrap().to_vec2::<f32>().unwrap();
        let differ = (0..64).filter(|i| small[i / 8][i % 8] != large[i / 8 * 2][i % 8 * 2]).count();
        assert!(differ <= 16, "{differ} of 64 pixels differ");
        assert!(small.iter().flatten().all(|v| [1.0, 3.0].contains(v)));
    }

    #[test]
    fn draws_are_keyed_by_seed_and_batch() {
        let recipe = recipe(1.0, 1.0);
        let all: Vec<_> = (0..40).map(|batch| draw(&recipe, batch).unwrap().unwrap()).collect();
        assert_eq!(all[7], draw(&recipe, 7).unwrap().unwrap());
        let pasted = all.iter().filter(|mix| matches!(mix, Mix::Paste(_))).count();
        assert!((8..=32).contains(&pasted), "{pasted} of 40 are pasted");
        let other = Recipe { seed: recipe.seed + 1, ..recipe.clone() };
        assert!((0..40).any(|batch| draw(&other, batch).unwrap().unwrap() != all[batch as usize]));
    }
}
