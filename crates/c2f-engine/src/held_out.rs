//! What pictures that took no part in training say of a network: how far to believe its probabilities, and how familiar a picture
//! looks whose class it knows.

use std::sync::atomic::AtomicBool;

use c2f_data::Sample;
use c2f_ops::graph::{Graph, Value};
use candle_core::{D, DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::evaluate::evaluate_until;
use crate::measures::expected_calibration_error;
use crate::{Network, Prediction, Result, TestViews, World};

/// Scores that are kept: the lowest, the highest, and as many evenly between them as give each per cent its own.
const SCORES: usize = 101;

/// What was measured on held-out pictures of the classes that a network knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Probabilities are taken to the power of 1 / `temperature` and made to add up to 1 again: above 1 they become less sure. It is
    /// that of the least cross entropy (Guo et al. 2017, arXiv 1706.04599, section 4.2, on the combined prediction).
    pub temperature: f64,
    /// The expected calibration error at a temperature of 1 and at this one, in 0..=1.
    pub calibration_error: [f64; 2],
    /// The pictures' [`familiarity`], rising: the lowest, then one for each per cent of the pictures.
    scores: Vec<f32>,
}

impl HeldOut {
    /// Measures `network`, which has no temperature yet, on samples whose labels are its classes' indices; none when `stop` is
    /// set before the end.
    ///
    /// # Errors
    /// If there are no pictures, or more of them are unreadable than the recipe allows.
    pub(crate) fn measure(network: &Network, samples: &[Sample], stop: &AtomicBool) -> Result<Option<Self>> {
        let mut seen = Seen::default();
        let mut keep = |ids: &[usize], prediction: &Prediction| -> Result<()> {
            seen.probabilities.extend(prediction.combined.to_dtype(DType::F32)?.to_vec2::<f32>()?);
            seen.scores.extend(familiarity(&prediction.logits)?.to_vec1::<f32>()?);
            seen.labels.extend(ids.iter().map(|&id| samples[id].label));
            Ok(())
        };
        let done =
            evaluate_until(network, &World::Single, samples, TestViews::default(), stop, &mut keep, &mut |_, _| {})?;
        Ok(done.map(|_| seen.finish()))
    }

    /// Describes [`tempered`].
    pub(crate) fn describe(&self, graph: &mut Graph, probabilities: Value) -> Value {
        let limits = [graph.scalar(f64::from(f32::MIN_POSITIVE)), graph.scalar(1.0)];
        let shares = graph.op("Clip", &[probabilities, limits[0], limits[1]]);
        let logits = graph.op("Log", &[shares]);
        let logits = graph.affine(logits, 1.0 / self.temperature, 0.0);
        graph.softmax(logits)
    }

    /// Whether the numbers are in their ranges, as they are unless a hand has changed them.
    pub(crate) fn is_whole(&self) -> bool {
        let Self { temperature, scores, .. } = self;
        (0.01..=100.0).contains(temperature) && scores.len() == SCORES && scores.iter().all(|score| score.is_finite())
    }

    /// The familiarity below which `share` of the held-out pictures lie, in 0..=1: what is below it is called unknown, and so many
    /// pictures of known classes with it.
    pub fn threshold(&self, share: f64) -> f32 {
        quantile(&self.scores, share)
    }
}

/// How familiar pictures with these logits (B, K) look: (B), ln sum exp of the logits, the negative energy of Liu et al. 2020 (arXiv
/// 2010.03759). Pictures of classes that a network doesn't know tend to have less.
///
/// # Errors
/// If `logits` aren't (B, K).
pub fn familiarity(logits: &Tensor) -> Result<Tensor> {
    let largest = logits.max_keepdim(D::Minus1)?;
    let sum = logits.broadcast_sub(&largest)?.exp()?.sum(D::Minus1)?;
    Ok((sum.log()? + largest.squeeze(D::Minus1)?)?)
}

/// Probabilities (B, K) to the power of 1 / `temperature`, adding up to 1 again.
pub(crate) fn tempered(probabilities: &Tensor, temperature: f64) -> Result<Tensor> {
    // The least number that f32 holds in full: what is 0 has no logarithm.
    let logits = probabilities.clamp(f64::from(f32::MIN_POSITIVE), 1.0)?.log()?.affine(1.0 / temperature, 0.0)?;
    Ok(c2f_ops::log_softmax(&logits)?.exp()?)
}

/// What the network said of the pictures.
#[derive(Default)]
struct Seen {
    probabilities: Vec<Vec<f32>>,
    scores: Vec<f32>,
    labels: Vec<usize>,
}

impl Seen {
    fn finish(mut self) -> HeldOut {
        let logits = self.logarithms();
        let sharpness = best_sharpness(&logits, &self.labels);
        let error = |sharpness: f64| {
            let of = |(row, &label): (&Vec<f64>, &usize)| {
                let (best, probability) = best(&softmax(row, sharpness));
                (probability, best == label)
            };
            expected_calibration_error(logits.iter().zip(&self.labels).map(of))
        };
        let calibration_error = [error(1.0), error(sharpness)];
        self.scores.sort_by(f32::total_cmp);
        let scores = (0..SCORES).map(|i| quantile(&self.scores, i as f64 / (SCORES - 1) as f64)).collect();
        HeldOut { temperature: 1.0 / sharpness, calibration_error, scores }
    }

    fn logarithms(&self) -> Vec<Vec<f64>> {
        let logarithm = |p: &f32| f64::from(p.max(f32::MIN_POSITIVE)).ln();
        self.probabilities.iter().map(|row| row.iter().map(logarithm).collect()).collect()
    }
}

/// The factor on these logits, 1 / temperature, with the least cross entropy, between 1/20 and 20. Cross entropy is convex in it:
/// where its slope changes its sign is found by halving.
fn best_sharpness(logits: &[Vec<f64>], labels: &[usize]) -> f64 {
    let slope = |sharpness: f64| -> f64 {
        let of = |(row, &label): (&Vec<f64>, &usize)| {
            let expected: f64 = softmax(row, sharpness).iter().zip(row).map(|(p, z)| p * z).sum();
            expected - row[label]
        };
        logits.iter().zip(labels).map(of).sum()
    };
    let (mut low, mut high) = (0.05f64, 20.0f64);
    for _ in 0..40 {
        let middle = (low * high).sqrt();
        if slope(middle) > 0.0 { high = middle } else { low = middle }
    }
    (low * high).sqrt()
}

fn softmax(logits: &[f64], sharpness: f64) -> Vec<f64> {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, z| largest.max(*z));
    let powers: Vec<f64> = logits.iter().map(|z| ((z - largest) * sharpness).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The first of the highest values, and the value.
fn best(values: &[f64]) -> (usize, f64) {
    values
        .iter()
        .copied()
        .enumerate()
        .fold((0, f64::NEG_INFINITY), |best, (i, v)| if v > best.1 { (i, v) } else { best })
}

/// Of rising values the one below which `share` of them lie, in between two of them by a straight line.
fn quantile(rising: &[f32], share: f64) -> f32 {
    let place = share.clamp(0.0, 1.0) * (rising.len() - 1) as f64;
    let (below, above) = (rising[place.floor() as usize], rising[place.ceil() as usize]);
    below + (above - below) * place.fract() as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn the_temperature_undoes_a_factor_on_the_logits() {
        // Of pictures with these logits each class is right as often as its probability says; then all are made three times too sure.
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for (first, second) in [(0.7, 0.2), (0.5, 0.4), (0.9, 0.05)] {
            let probabilities: [f64; 3] = [first, second, 1.0 - first - second];
            for (label, probability) in probabilities.iter().enumerate() {
                for _ in 0..(probability * 1000.0).round() as usize {
                    logits.push(probabilities.map(|p| 3.0 * p.ln()).to_vec());
                    labels.push(label);
                }
            }
        }
        assert!((1.0 / best_sharpness(&logits, &labels) - 3.0).abs() < 1e-6);
    }

    #[test]
    fn one_that_is_always_right_or_always_wrong_stays_within_bounds() {
        let logits = vec![vec![1.0, 0.0]; 4];
        assert!((best_sharpness(&logits, &[0; 4]) - 20.0).abs() < 1e-6);
        assert!((best_sharpness(&logits, &[1; 4]) - 0.05).abs() < 1e-6);
    }

    #[test]
    fn a_temperature_changes_how_sure_and_not_what() {
        let p = Tensor::new(&[[0.7f32, 0.2, 0.1, 0.0]], &Device::Cpu).unwrap();
        let same = tempered(&p, 1.0).unwrap().to_vec2::<f32>().unwrap();
        assert!(same[0].iter().zip([0.7, 0.2, 0.1, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6));
        let cool = tempered(&p, 0.5).unwrap().to_vec2::<f32>().unwrap();
        let expected = [0.49f32, 0.04, 0.01].map(|square| square / 0.54);
        assert!(cool[0].iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{cool:?}");
    }

    #[test]
    fn as_many_known_pictures_are_rejected_as_was_asked_for() {
        let seen = Seen {
            probabilities: vec![vec![0.5, 0.5]; 200],
            scores: (0..200).rev().map(|i| i as f32).collect(),
            labels: vec![0; 200],
        };
        let held_out = seen.finish();
        for share in [0.0, 0.05, 0.5, 1.0] {
            let threshold = held_out.threshold(share);
            let rejected = (0..200).filter(|&i| (i as f32) < threshold).count();
            assert!((rejected as f64 - 200.0 * share).abs() <= 1.0, "{share}: {rejected}");
        }
        let text = serde_json::to_string(&held_out).unwrap();
        assert_eq!(serde_json::from_str::<HeldOut>(&text).unwrap(), held_out);
    }

    #[test]
    fn familiarity_is_the_logarithm_of_the_sum_of_exponentials() {
        let logits = Tensor::new(&[[0f32, 0.0], [1000.0, 0.0]], &Device::Cpu).unwrap();
        let found = familiarity(&logits).unwrap().to_vec1::<f32>().unwrap();
        assert!((found[0] - 2f32.ln()).abs() < 1e-6 && (found[1] - 1000.0).abs() < 1e-3);
    }
}
