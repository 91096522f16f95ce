//! Accuracy on pictures with known classes.

mod batch;
mod outcome;
mod selection;

pub use batch::Inputs;
pub(crate) use batch::{mean_over_views, stack, view_by_view};
pub use selection::{Selection, relabel, select};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use c2f_data::{Batch, Epoch, EvalTransform, Loader, Place, Sample, Transform};
use c2f_dist::World;
use serde::Serialize;

use outcome::{Exact, Outcome};

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
    /// Accuracy of the fine look (in ws-dan and cal: of the crop).
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
    /// Whether the fine look was right (in ws-dan and cal: the crop).
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
    evaluate_in(&World::Single, network, samples, views, on_batch)
}

/// As [`evaluate`], by all ranks of `world` together: of N ranks each looks at every N-th batch, and each gets the whole evaluation, with the
/// same bits as that of a single process.
///
/// # Errors
/// As [`evaluate`], and if another rank doesn't come.
pub fn evaluate_in(
    world: &World,
    network: &Network,
    samples: &[Sample],
    views: TestViews,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation> {
    evaluate_with(world, network, samples, views, &mut |_, _| Ok(()), on_batch)
}

/// As [`evaluate_in`]; `on_predictions` gets for each batch the indices of its samples and what the network says about the first view.
pub(crate) fn evaluate_with(
    world: &World,
    network: &Network,
    samples: &[Sample],
    views: TestViews,
    on_predictions: &mut dyn FnMut(&[usize], &Prediction) -> Result<()>,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<Evaluation> {
    let never = AtomicBool::new(false);
    let evaluation = evaluate_until(network, world, samples, views, &never, on_predictions, on_batch)?;
    Ok(evaluation.unwrap_or_else(|| unreachable!("nobody stops it")))
}

/// The same; none when `stop` is set before the end, on any of them.
pub(crate) fn evaluate_until(
    network: &Network,
    world: &World,
    samples: &[Sample],
    views: TestViews,
    stop: &AtomicBool,
    on_predictions: &mut dyn FnMut(&[usize], &Prediction) -> Result<()>,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<Option<Evaluation>> {
    let recipe = &network.recipe;
    let all: Arc<[Sample]> = Arc::from(samples);
    // A loader for each view: all give the same pictures in the same order.
    let loader =
        |(place, flip)| loader_of(network, Arc::clone(&all), Transform::Eval(network.eval_transform_at(place, flip)));
    let loaders: Vec<Loader> = views.all().map(loader).collect();
    let batches = loaders[0].batches();
    let mine = (world.rank()..batches).step_by(world.size());
    let mut epochs: Vec<Epoch> = loaders.iter().map(|loader| loader.epoch_of(0, mine.clone())).collect();
    let mut totals = Totals::default();
    let mut unreadable = Vec::new();
    for _ in 0..batches.div_ceil(world.size()) {
        if world.any(stop.load(Ordering::Relaxed))? {
            return Ok(None);
        }
        let batches = epochs.iter_mut().filter_map(Iterator::next).collect::<c2f_data::Result<Vec<Batch>>>()?;
        for outcome in world.gather(Outcome::of(network, batches, on_predictions)?)? {
            unreadable.extend_from_slice(&outcome.unreadable);
            totals.add(outcome);
        }
        world.told_once(loaders[0].check_unreadable(&unreadable).map_err(Error::from))?;
        on_batch(totals.rows.len() + unreadable.len(), samples.len());
    }
    if totals.rows.is_empty() {
        return world.told_once(Err(Error::Dataset {
            name: recipe.data.clone().unwrap_or_default(),
            message: "there is no picture to evaluate on".to_owned(),
        }));
    }
    Ok(Some(totals.finish(network.classes.len(), unreadable)))
}

/// A loader of pictures to look at once, in their order.
pub(crate) fn loader_of(network: &Network, samples: Arc<[Sample]>, transform: Transform) -> Loader {
    Loader::new(samples, transform, network.recipe.loader_config())
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
    /// Adds a batch.
    fn add(&mut self, batch: Outcome) {
        let pictures = batch.rows.len() as f64;
        for row in batch.rows {
            let result = row.result();
            self.loss -= result.probability_of_truth.max(1e-12).ln();
            self.brier += row.brier.0;
            self.top5 += usize::from(row.among_five);
            self.rows.push(result);
        }
        if let Some(Exact(area)) = batch.area {
            *self.area.get_or_insert(0.0) += area * pictures;
        }
        if let Some(Exact(cosine)) = batch.attention_similarity {
            *self.attention_similarity.get_or_insert(0.0) += cosine * pictures;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
