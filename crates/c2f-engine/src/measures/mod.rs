//! What is measured on pictures with known classes beyond accuracy: `c2f-train eval --full`.

mod calibration;
mod confusion;
mod keypoints;
mod levels;
mod localisation;
mod mean;

pub(crate) use calibration::expected_calibration_error;
pub use calibration::{Bin, Calibration};
pub use confusion::{ClassAccuracy, Confusion};
pub use keypoints::{Keypoints, PartScores};
pub use levels::LevelAccuracy;
pub use localisation::{FineBox, Localisation, MapScores};

use c2f_data::{Place, Sample};
use serde::Serialize;

use crate::evaluate::evaluate_with;
use crate::explain::Maps;
use crate::{Evaluation, Network, PictureResult, Prediction, Result, TestViews, World};

/// The most confused pairs that are listed.
const CONFUSED: usize = 20;

/// What a measure is made of.
struct Seen<'a> {
    network: &'a Network,
    samples: &'a [Sample],
    evaluation: &'a Evaluation,
    /// What was added up picture by picture.
    localisation: Option<Localisation>,
    keypoints: Option<Keypoints>,
}

impl Seen<'_> {
    fn rows(&self) -> &[PictureResult] {
        &self.evaluation.rows
    }
}

/// Each measure with what it says, its name, its type, and how it is made: a field of [`Measures`] and a key of its JSON.
macro_rules! measures {
    ($($(#[$doc:meta])+ $name:ident: $type:ty, |$seen:ident| $value:expr;)+) => {
        /// What is measured beyond accuracy. What a method or a data set doesn't have is null in JSON.
        #[derive(Clone, Debug, Serialize)]
        pub struct Measures {
            $($(#[$doc])+ pub $name: $type,)+
        }

        impl Measures {
            fn of(seen: &Seen<'_>) -> Self {
                Self { $($name: (|$seen: &Seen<'_>| $value)(seen),)+ }
            }
        }
    };
}

measures! {
    /// Trained values of the network.
    parameters: usize, |seen| seen.network.parameter_count();
    /// See [`Evaluation::area`].
    area: Option<f64>, |seen| seen.evaluation.area;
    /// See [`Evaluation::loss`].
    loss: f64, |seen| seen.evaluation.loss;
    /// See [`Evaluation::brier`].
    brier: f64, |seen| seen.evaluation.brier;
    /// Whether the combined prediction's probabilities can be believed.
    calibration: Calibration, |seen| Calibration::new(seen.rows());
    /// The classes that have pictures, in the order of the network's classes.
    per_class: Vec<ClassAccuracy>, |seen| confusion::per_class(seen.rows(), &seen.network.classes);
    /// Above the classes, the most general level first; none where the classes belong to nothing that is known.
    levels: Vec<LevelAccuracy>, |seen| {
        seen.network.taxonomy.as_ref().map_or_else(Vec::new, |taxonomy| levels::levels(seen.rows(), taxonomy))
    };
    /// The pairs of classes that were confused most often, at most 20.
    confused: Vec<Confusion>, |seen| confusion::most_confused(seen.rows(), &seen.network.classes, CONFUSED);
    /// The pictures that could be read, in the order of the samples.
    pictures: Vec<NamedResult>, |seen| NamedResult::all(seen.rows(), seen.samples);
    /// Whether the network looks at the object. None for a method without attention, and where no picture has a box.
    localisation: Option<Localisation>, |seen| seen.localisation.clone();
    /// Which of the archive's keypoints are looked at. None for a method without attention, and where no picture has any.
    keypoints: Option<Keypoints>, |seen| seen.keypoints.clone();
    /// Mean over the pictures of the mean cosine between their attention maps; none for a method without attention.
    attention_similarity: Option<f64>, |seen| seen.evaluation.attention_similarity;
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

impl NamedResult {
    fn all(rows: &[PictureResult], samples: &[Sample]) -> Vec<Self> {
        rows.iter().map(|&row| Self { file: samples[row.sample].file.to_string(), row }).collect()
    }
}

/// Evaluates as [`crate::evaluate`] does, and measures the rest on the way. Of several views, maps and boxes are those of
/// the first: the centre crop. `parts` are the names of the points that the samples have ([`c2f_data::Dataset::parts`]).
///
/// # Errors
/// As [`crate::evaluate`], and if the header of a picture with a box can't be read.
pub fn measure(
    network: &Network,
    samples: &[Sample],
    parts: &[String],
    views: TestViews,
    on_batch: &mut dyn FnMut(usize, usize),
) -> Result<(Evaluation, Measures)> {
    let transform = network.eval_transform_at(Place::Center, false);
    let endpoint = network.model.backbone().endpoint();
    let shift = endpoint.shift() / transform.size as f64;
    let mut places = localisation::Places::default();
    let mut points = keypoints::Points::new(parts);
    let mut locate = |ids: &[usize], prediction: &Prediction| -> Result<()> {
        let maps = Maps::read(prediction)?;
        let (Some(attention), Some(each)) = (&maps.attention, &prediction.attention) else { return Ok(()) };
        let maxima = keypoints::Maxima::of(each)?;
        for (i, &id) in ids.iter().enumerate() {
            let Some(annotation) = samples[id].annotation(network.recipe.loader.limits())? else { continue };
            let fine = maps.zoom.as_ref().map(|boxes| boxes[i]);
            points.add(&annotation, &transform, (&maxima[i], shift), fine);
            let Some(target) = localisation::Target::new(&annotation, &transform) else { continue };
            let region = maps.region.as_ref().map(|maps| &maps[i]);
            places.add(&target, (&attention[i], shift), region, fine);
        }
        Ok(())
    };
    let evaluation = evaluate_with(&World::Single, network, samples, views, &mut locate, on_batch)?;
    let (localisation, keypoints) = (places.finish(), points.finish());
    let measures = Measures::of(&Seen { network, samples, evaluation: &evaluation, localisation, keypoints });
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
