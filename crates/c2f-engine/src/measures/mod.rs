//! What is measured on pictures with known classes beyond accuracy: `c2f-train eval --full`.

mod calibration;
mod confusion;
mod localisation;

pub use calibration::{Bin, Calibration};
pub use confusion::{ClassAccuracy, Confusion};
pub use localisation::{FineBox, Localisation, MapScores};

use c2f_data::{Place, Sample};
use serde::Serialize;

use crate::evaluate::evaluate_with;
use crate::explain::Maps;
use crate::{Evaluation, Network, PictureResult, Prediction, Result, TestViews};

/// The most confused pairs that are listed.
const CONFUSED: usize = 20;

/// What is measured beyond accuracy. What a method or a data set doesn't have is null in JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Measures {
    /// Trained values of the network.
    pub parameters: usize,
    /// See [`Evaluation::area`].
    pub area: Option<f64>,
    /// See [`Evaluation::loss`].
    pub loss: f64,
    /// See [`Evaluation::brier`].
    pub brier: f64,
    /// Whether the combined prediction's probabilities can be believed.
    pub calibration: Calibration,
    /// The classes that have pictures, in the order of the network's classes.
    pub per_class: Vec<ClassAccuracy>,
    /// The pairs of classes that were confused most often, at most 20.
    pub confused: Vec<Confusion>,
    /// The pictures that could be read, in the order of the samples.
    pub pictures: Vec<NamedResult>,
    /// Whether the network looks at the object. None for a method without attention, and where no picture has a box.
    pub localisation: Option<Localisation>,
    /// Mean over the pictures of the mean cosine between their attention maps; none for a method without attention.
    pub attention_similarity: Option<f64>,
}

/// What was predicted for one picture.
#[derive(Clone, Debug, Serialize)]
pub struct NamedResult {
    /// The sample's name.
    pub file: String,
    /// The prediction.
    #[serde(flatten)]
    pub row: PictureResult,
}

/// Evaluates as [`crate::evaluate`] does, and measures the rest on the way. Of several views, maps and boxes are those of
/// the first: the centre crop.
///
/// # Errors
/// As [`crate::evaluate`], and if the header of a picture with a box can't be read.
pub fn measure(
    network: &Network,
    samples: &[Sample],
    views: TestViews,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<(Evaluation, Measures)> {
    let transform = network.eval_transform_at(Place::Center, false);
    let mut places = localisation::Places::default();
    let mut locate = |ids: &[usize], prediction: &Prediction| -> Result<()> {
        let maps = Maps::read(prediction)?;
        let Some(attention) = &maps.attention else { return Ok(()) };
        for (i, &id) in ids.iter().enumerate() {
            let Some(annotation) = samples[id].annotation(network.recipe.loader.limits())? else { continue };
            let Some(target) = localisation::Target::new(&annotation, &transform) else { continue };
            let region = maps.region.as_ref().map(|maps| &maps[i]);
            places.add(&target, &attention[i], region, maps.zoom.as_ref().map(|boxes| boxes[i]));
        }
        Ok(())
    };
    let evaluation = evaluate_with(network, samples, views, &mut locate, on_batch)?;
    let rows = &evaluation.rows;
    let measures = Measures {
        parameters: network.parameter_count(),
        area: evaluation.area,
        loss: evaluation.loss,
        brier: evaluation.brier,
        calibration: Calibration::new(rows),
        per_class: confusion::per_class(rows, &network.classes),
        confused: confusion::most_confused(rows, &network.classes, CONFUSED),
        pictures: rows.iter().map(|&row| NamedResult { file: samples[row.sample].file.to_string(), row }).collect(),
        localisation: places.finish(),
        attention_similarity: evaluation.attention_similarity,
    };
    Ok((evaluation, measures))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture for which a class was predicted with a probability.
    pub(super) fn row(label: usize, predicted: usize, probability: f64) -> PictureResult {
        PictureResult {
            sample: 0,
            label,
            predicted,
            probability,
            probability_of_truth: if predicted == label { probability } else { 0.0 },
            correct_coarse: predicted == label,
            correct_fine: None,
        }
    }
}
