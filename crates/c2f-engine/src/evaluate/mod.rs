//! Accuracy on pictures with known classes.

mod batch;
mod selection;

pub use batch::Inputs;
pub(crate) use batch::{mean_over_views, stack, view_by_view};
pub use selection::{Selection, relabel, select};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use c2f_data::{Batch, Epoch, EvalTransform, Loader, LoaderConfig, Place, Sample, Transform};
use candle_core::Tensor;
use serde::Serialize;

use crate::{Error, Network, Prediction, Result};

/// What a network is worth on a list of pictures. Accuracies are shares in 0..1.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Pictures that could be read.
    pub n: usize,
    /// Classes that the network knows.
    pub classes: usize,
    /// Mean of -ln of the combined prediction's probability of the truth.
    pub loss: f64,
    /// Mean of the squared distance between the combined prediction's probabilities and those of the truth, 1 for its class
    /// and 0 for the others: 0 to 2 (Brier 1950).
    pub brier: f64,
    /// Accuracy of the combined prediction.
    pub top1: f64,
    /// How often the truth is among the combined prediction's five first.
    pub top5: f64,
    /// Accuracy of the coarse look.
    pub top1_coarse: Option<f64>,
    /// Accuracy of the fine look (in ws-dan: of the crop).
    pub top1_fine: Option<f64>,
    /// Mean share of the pictures that the fine look sees, in the centre crop.
    pub area: Option<f64>,
    /// Mean cosine between the attention maps of a picture (see [`c2f_losses::attention_similarity`]): 0 for maps on
    /// disjoint places, 1 for equal ones. Of several views, that of the first.
    pub attention_similarity: Option<f64>,
    /// One row per picture, in the order of the samples.
    pub rows: Vec<PictureResult>,
    /// What was wrong with the pictures that couldn't be read.
    pub unreadable: Vec<String>,
}

/// The views of each picture whose predictions are averaged. The centre crop is always among them; it is the only one by
/// default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TestViews {
    /// Also the crops in the four corners.
    pub five_crop: bool,
    /// Also each crop mirrored from left to right.
    pub flip: bool,
}

impl TestViews {
    /// The transform of each view; `centre` is that of the centre crop, and the first.
    pub fn transforms(self, centre: &EvalTransform) -> Vec<Transform> {
        let at = |(place, flip)| Transform::Eval(EvalTransform { place, flip, ..centre.clone() });
        self.all().map(at).collect()
    }

    fn all(self) -> impl Iterator<Item = (Place, bool)> {
        let places = if self.five_crop { &Place::ALL[..] } else { &[Place::Center] };
        let flips = if self.flip { &[false, true][..] } else { &[false] };
        places.iter().flat_map(move |&place| flips.iter().map(move |&flip| (place, flip)))
    }
}

/// What was predicted for one picture, combined unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PictureResult {
    /// Index into the samples.
    #[serde(skip)]
    pub sample: usize,
    /// The truth.
    pub label: usize,
    /// The class of the highest probability.
    pub predicted: usize,
    /// Its probability.
    pub probability: f64,
    /// The probability of the truth.
    pub probability_of_truth: f64,
    /// Whether the coarse look was right.
    pub correct_coarse: bool,
    /// Whether the fine look was right (in ws-dan: the crop).
    pub correct_fine: Option<bool>,
}

/// Evaluates a network on samples whose labels are its classes' indices (see [`relabel`]). `on_batch` is told how many
/// pictures are done, and of how many.
///
/// # Errors
/// If there are no pictures, or more of them are unreadable than the recipe allows.
pub fn evaluate(
    network: &Network,
    samples: &[Sample],
    views: TestViews,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation> {
    evaluate_with(network, samples, views, &mut |_, _| Ok(()), on_batch)
}

/// The same; `on_predictions` gets for each batch the indices of its samples and what the network says about the first view.
pub(crate) fn evaluate_with(
    network: &Network,
    samples: &[Sample],
    views: TestViews,
    on_predictions: &mut dyn FnMut(&[usize], &Prediction) -> Result<()>,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation> {
    let never = AtomicBool::new(false);
    let evaluation = evaluate_until(network, samples, views, &never, on_predictions, on_batch)?;
    Ok(evaluation.unwrap_or_else(|| unreachable!("nobody stops it")))
}

/// The same; none when `stop` is set before the end.
pub(crate) fn evaluate_until(
    network: &Network,
    samples: &[Sample],
    views: TestViews,
    stop: &AtomicBool,
    on_predictions: &mut dyn FnMut(&[usize], &Prediction) -> Result<()>,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<Option<Evaluation>> {
    let recipe = &network.recipe;
    let all: Arc<[Sample]> = Arc::from(samples);
    let epoch = |(place, flip)| {
        loader_of(network, Arc::clone(&all), Transform::Eval(network.eval_transform_at(place, flip))).epoch(0, 0)
    };
    // A loader for each view: all give the same pictures in the same order.
    let mut epochs: Vec<Epoch> = views.all().map(epoch).collect();
    let mut totals = Totals::default();
    let mut unreadable = Vec::new();
    while let Some(batches) = epochs.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut batches = batches.into_iter().collect::<c2f_data::Result<Vec<Batch>>>()?;
        unreadable.extend(std::mem::take(&mut batches[0].unreadable).into_iter().map(|(_, message)| message));
        if !batches[0].labels.is_empty() {
            totals.add(network, batches, on_predictions)?;
        }
        on_batch(totals.rows.len() + unreadable.len(), samples.len());
    }
    if totals.rows.is_empty() {
        return Err(Error::Dataset {
            name: recipe.data.clone().unwrap_or_default(),
            message: "there is no picture to evaluate on".to_owned(),
        });
    }
    Ok(Some(totals.finish(network.classes.len(), unreadable)))
}

/// A loader of pictures to look at once, in their order.
pub(crate) fn loader_of(network: &Network, samples: Arc<[Sample]>, transform: Transform) -> Loader {
    let recipe = &network.recipe;
    let config = LoaderConfig {
        batch_size: recipe.batch_size,
        threads: recipe.loader.threads,
        prefetch: recipe.loader.prefetch,
        shuffle: false,
        balanced: false,
        drop_last: false,
        seed: recipe.seed,
        max_unreadable: recipe.loader.max_unreadable,
        cache_mb: 0,
        limits: recipe.loader.limits(),
    };
    Loader::new(samples, transform, config)
}

#[derive(Default)]
struct Totals {
    rows: Vec<PictureResult>,
    loss: f64,
    brier: f64,
    top5: usize,
    area: Option<f64>,
    attention_similarity: Option<f64>,
}

impl Totals {
    /// Adds a batch of each view of the same pictures.
    fn add(
        &mut self,
        network: &Network,
        views: Vec<Batch>,
        on_predictions: &mut dyn FnMut(&[usize], &Prediction) -> Result<()>,
    ) -> Result<()> {
        let ids: Vec<usize> = views[0].ids.iter().map(|id| *id as usize).collect();
        let labels: Vec<usize> = views[0].labels.iter().map(|label| *label as usize).collect();
        let predict = |batch| {
            let inputs = Inputs::new(batch, network.params.device())?;
            network.predict(&inputs.images, inputs.source.as_ref())
        };
        let predictions = views.into_iter().map(predict).collect::<Result<Vec<Prediction>>>()?;
        let first = &predictions[0];
        let combined = mean(predictions.iter().map(|p| Some(&p.combined)))?.to_vec2::<f32>()?;
        let coarse = best_of_each(&mean(predictions.iter().map(|p| Some(&p.coarse)))?)?;
        let fine = match &first.fine {
            Some(_) => Some(best_of_each(&mean(predictions.iter().map(|p| p.fine.as_ref()))?)?),
            None => None,
        };
        for (i, (probabilities, &label)) in combined.iter().zip(&labels).enumerate() {
            let predicted = best(probabilities);
            let truth = f64::from(probabilities[label]);
            self.rows.push(PictureResult {
                sample: ids[i],
                label,
                predicted,
                probability: probabilities[predicted].into(),
                probability_of_truth: truth,
                correct_coarse: coarse[i] == label,
                correct_fine: fine.as_ref().map(|fine| fine[i] == label),
            });
            self.loss -= truth.max(1e-12).ln();
            self.brier += brier(probabilities, label);
            self.top5 += usize::from(is_among(probabilities, label, 5));
        }
        let pictures = labels.len() as f64;
        if let Some(area) = &first.area {
            *self.area.get_or_insert(0.0) += f64::from(area.mean_all()?.to_scalar::<f32>()?) * pictures;
        }
        if let Some(attention) = &first.attention {
            let cosine = c2f_losses::attention_similarity(attention)?.to_scalar::<f32>()?;
            *self.attention_similarity.get_or_insert(0.0) += f64::from(cosine) * pictures;
        }
        on_predictions(&ids, first)
    }

    fn finish(self, classes: usize, unreadable: Vec<String>) -> Evaluation {
        let rows = self.rows;
        let n = rows.len();
        let share = |count: usize| count as f64 / n as f64;
        let count = |right: fn(&PictureResult) -> bool| rows.iter().filter(|row| right(row)).count();
        let has_fine = rows.iter().any(|row| row.correct_fine.is_some());
        Evaluation {
            n,
            classes,
            loss: self.loss / n as f64,
            brier: self.brier / n as f64,
            top1: share(count(|row| row.predicted == row.label)),
            top5: share(self.top5),
            top1_coarse: Some(share(count(|row| row.correct_coarse))),
            top1_fine: has_fine.then(|| share(count(|row| row.correct_fine == Some(true)))),
            area: self.area.map(|sum| sum / n as f64),
            attention_similarity: self.attention_similarity.map(|sum| sum / n as f64),
            rows,
            unreadable,
        }
    }
}

/// The mean of those tensors that are there, at least one.
fn mean<'a>(tensors: impl Iterator<Item = Option<&'a Tensor>>) -> Result<Tensor> {
    let tensors: Vec<&Tensor> = tensors.flatten().collect();
    let sum = tensors[1..].iter().try_fold(tensors[0].clone(), |sum, tensor| sum + *tensor)?;
    Ok(sum.affine(1.0 / tensors.len() as f64, 0.0)?)
}

/// The first of the highest values.
fn best(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// Whether `index` is among the `count` first in falling order; of equal values the first comes first.
fn is_among(values: &[f32], index: usize, count: usize) -> bool {
    let value = values[index];
    let before = values.iter().enumerate().filter(|(i, v)| **v > value || (**v == value && *i < index)).count();
    before < count
}

fn best_of_each(probabilities: &Tensor) -> Result<Vec<usize>> {
    Ok(probabilities.to_vec2::<f32>()?.iter().map(|row| best(row)).collect())
}

/// The squared distance to the probabilities that are 1 for the truth.
fn brier(probabilities: &[f32], truth: usize) -> f64 {
    let distance = |(i, p): (usize, &f32)| (f64::from(*p) - f64::from(u8::from(i == truth))).powi(2);
    probabilities.iter().enumerate().map(distance).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_break_ties_by_index() {
        let values = [0.1, 0.4, 0.4, 0.1];
        assert_eq!(best(&values), 1);
        assert!(is_among(&values, 1, 1) && !is_among(&values, 2, 1) && is_among(&values, 2, 2));
        assert!(is_among(&values, 3, 5));
    }

    #[test]
    fn brier_scores_are_squared_distances() {
        assert_eq!(brier(&[0.0, 1.0, 0.0], 1), 0.0);
        assert_eq!(brier(&[0.0, 1.0, 0.0], 0), 2.0);
        assert_eq!(brier(&[0.5, 0.25, 0.25], 0), 0.375);
    }

    #[test]
    fn views_are_crops_times_flips() {
        let views = |five_crop, flip| TestViews { five_crop, flip }.all().collect::<Vec<_>>();
        assert_eq!(views(false, false), [(Place::Center, false)]);
        assert_eq!(views(false, true), [(Place::Center, false), (Place::Center, true)]);
        let all = views(true, true);
        assert_eq!(all.len(), 10);
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), 10);
    }
}
