//! Cross-entropy of logits.

use c2f_ops::log_softmax;
use candle_core::{D, Tensor};

use crate::error::expect_values;
use crate::{Error, Result};

/// Mean cross-entropy of `logits` (B, K) and `labels` (B), u32 in 0..K, with label smoothing: the target is
/// `1 - smoothing` on the label plus `smoothing / K` on every class (Szegedy et al. 2016, section 7; the same as
/// PyTorch's `CrossEntropyLoss(label_smoothing=smoothing)`). A logit of -inf makes its class impossible: the loss is finite where
/// the target is 0 there, and infinite where it isn't.
///
/// # Errors
/// If the shapes don't fit or have a 0, a label is K or more, or `smoothing` isn't in 0..=1.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    let (batch, _) = check("cross_entropy", logits, smoothing)?;
    if labels.dims() != [batch] {
        return Err(Error::shape("cross_entropy", "labels", labels, format!("({batch})")));
    }
    let log_probabilities = log_softmax(logits)?;
    let of_label = log_probabilities.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?;
    smooth(&of_label, &log_probabilities, smoothing)
}

/// The same with `weights` (K), how much each class counts: the mean over the pictures has the weights of their labels, and each class's
/// part of the smoothing has its own (PyTorch's `CrossEntropyLoss(weight=weights, label_smoothing=smoothing)`).
///
/// # Errors
/// As [`cross_entropy`], and if `weights` isn't (K).
pub fn weighted_cross_entropy(logits: &Tensor, labels: &Tensor, weights: &Tensor, smoothing: f64) -> Result<Tensor> {
    let (batch, classes) = check("weighted_cross_entropy", logits, smoothing)?;
    for (what, tensor, count) in [("labels", labels, batch), ("weights", weights, classes)] {
        if tensor.dims() != [count] {
            return Err(Error::shape("weighted_cross_entropy", what, tensor, format!("({count})")));
        }
    }
    let log_probabilities = log_softmax(logits)?;
    let of_pictures = weights.gather(labels, 0)?;
    let total = of_pictures.sum_all()?;
    let of_labels = log_probabilities.gather(&labels.unsqueeze(1)?, 1)?.squeeze(1)?.mul(&of_pictures)?.sum_all()?;
    if smoothing == 0.0 {
        return Ok((of_labels.neg()? / total)?);
    }
    let of_all = log_probabilities.broadcast_mul(weights)?.sum_all()?.affine(smoothing / classes as f64, 0.0)?;
    Ok(((of_labels.affine(smoothing - 1.0, 0.0)? - of_all)? / total)?)
}

/// The weight (K) of each of `classes` classes that gives all the same sum over pictures with these labels: B / (K n), n being how many a
/// class has, as `class_weight="balanced"` of scikit-learn. A class without pictures has the weight 0.
pub fn balanced_class_weights(labels: impl IntoIterator<Item = usize>, classes: usize) -> Vec<f32> {
    let mut counts = vec![0usize; classes];
    labels.into_iter().for_each(|label| counts[label] += 1);
    let pictures: usize = counts.iter().sum();
    let weight = |n: usize| if n == 0 { 0.0 } else { pictures as f32 / (classes * n) as f32 };
    counts.into_iter().map(weight).collect()
}

/// The same as [`cross_entropy`] for `targets` (B, K), the probability of each class, as mixed pictures have them: each row adds up to 1.
///
/// # Errors
/// If the shapes don't fit or have a 0, or `smoothing` isn't in 0..=1.
pub fn soft_cross_entropy(logits: &Tensor, targets: &Tensor, smoothing: f64) -> Result<Tensor> {
    let (batch, classes) = check("soft_cross_entropy", logits, smoothing)?;
    if targets.dims() != [batch, classes] {
        return Err(Error::shape("soft_cross_entropy", "targets", targets, format!("({batch}, {classes})")));
    }
    let log_probabilities = log_softmax(logits)?;
    // What isn't there costs nothing, even where it is impossible: 0 * -inf would be NaN.
    let nothing = targets.eq(0.0)?.mul(&log_probabilities.eq(f64::NEG_INFINITY)?)?;
    let costs = nothing.where_cond(&log_probabilities.zeros_like()?, &log_probabilities)?;
    let of_targets = (costs * targets)?.sum(D::Minus1)?.mean_all()?;
    smooth(&of_targets, &log_probabilities, smoothing)
}

/// B and K.
fn check(loss: &'static str, logits: &Tensor, smoothing: f64) -> Result<(usize, usize)> {
    let &[batch, classes] = logits.dims() else {
        return Err(Error::shape(loss, "logits", logits, "(B, K)"));
    };
    expect_values(loss, "logits", logits)?;
    if !(0.0..=1.0).contains(&smoothing) {
        let (setting, expected) = ("smoothing", "a number from 0 to 1");
        return Err(Error::Setting { loss, setting, value: smoothing, expected });
    }
    Ok((batch, classes))
}

/// The loss from the mean logarithm of the target's probability.
fn smooth(of_target: &Tensor, log_probabilities: &Tensor, smoothing: f64) -> Result<Tensor> {
    if smoothing == 0.0 {
        // A class with the logit -inf has no part in it.
        return Ok(of_target.affine(-1.0, 0.0)?);
    }
    let of_all = log_probabilities.mean_all()?;
    Ok((of_target.affine(smoothing - 1.0, 0.0)? - of_all.affine(smoothing, 0.0)?)?)
}
