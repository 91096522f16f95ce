//! What an evaluation learns from one batch, for every rank.

use c2f_data::Batch;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::{Inputs, PictureResult};
use crate::{Network, Prediction, Result};

/// What one batch gave; nothing where there was none for a rank.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Of each picture that could be read.
    pub rows: Vec<Row>,
    /// Mean share of the pictures that the fine look sees.
    pub area: Option<Exact>,
    /// Mean cosine between the attention maps of a picture.
    pub attention_similarity: Option<Exact>,
    /// What was wrong with those that couldn't be read.
    pub unreadable: Vec<String>,
}

/// What was predicted for one picture.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Row {
    sample: usize,
    label: usize,
    predicted: usize,
    probability: Exact,
    probability_of_truth: Exact,
    correct_coarse: bool,
    correct_fine: Option<bool>,
    pub brier: Exact,
    /// Whether the truth is among the five first.
    pub among_five: bool,
}

/// A number that travels by its bits: JSON has no NaN.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(super) struct Exact(pub f64);

impl From<u64> for Exact {
    fn from(bits: u64) -> Self {
        Self(f64::from_bits(bits))
    }
}

impl From<Exact> for u64 {
    fn from(number: Exact) -> Self {
        number.0.to_bits()
    }
}

impl Row {
    pub fn result(&self) -> PictureResult {
        PictureResult {
            sample: self.sample,
            label: self.label,
            predicted: self.predicted,
            probability: self.probability.0,
            probability_of_truth: self.probability_of_truth.0,
            correct_coarse: self.correct_coarse,
            correct_fine: self.correct_fine,
        }
    }
}

impl Outcome {
    /// Of a batch of each view of the same pictures.
    pub fn of(
        network: &Network,
        mut views: Vec<Batch>,
        on_predictions: &mut dyn FnMut(&[usize], &Prediction) -> Result<()>,
    ) -> Result<Self> {
        let Some(first) = views.first_mut() else { return Ok(Self::default()) };
        let unreadable = std::mem::take(&mut first.unreadable).into_iter().map(|(_, message)| message).collect();
        let ids: Vec<usize> = first.ids.iter().map(|id| *id as usize).collect();
        let labels: Vec<usize> = first.labels.iter().map(|label| *label as usize).collect();
        if labels.is_empty() {
            return Ok(Self { unreadable, ..Self::default() });
        }
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
        let rows = combined.iter().zip(&labels).enumerate().map(|(i, (probabilities, &label))| {
            let predicted = best(probabilities);
            Row {
                sample: ids[i],
                label,
                predicted,
                probability: Exact(probabilities[predicted].into()),
                probability_of_truth: Exact(probabilities[label].into()),
                correct_coarse: coarse[i] == label,
                correct_fine: fine.as_ref().map(|fine| fine[i] == label),
                brier: Exact(brier(probabilities, label)),
                among_five: is_among(probabilities, label, 5),
            }
        });
        let rows = rows.collect();
        let number = |value: Tensor| -> Result<Exact> { Ok(Exact(value.to_scalar::<f32>()?.into())) };
        let area = first.area.as_ref().map(|area| number(area.mean_all()?)).transpose()?;
        let similarity = |attention| number(c2f_losses::attention_similarity(attention)?);
        let attention_similarity = first.attention.as_ref().map(similarity).transpose()?;
        on_predictions(&ids, first)?;
        Ok(Self { rows, area, attention_similarity, unreadable })
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
    fn numbers_come_back_by_their_bits() {
        for number in [0.1 + 0.2, f64::NAN, f64::NEG_INFINITY, -0.0] {
            let text = serde_json::to_string(&Exact(number)).unwrap();
            assert_eq!(serde_json::from_str::<Exact>(&text).unwrap().0.to_bits(), number.to_bits());
        }
    }
}
