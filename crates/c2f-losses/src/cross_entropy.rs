//! Cross-entropy of logits.

use candle_core::{D, Tensor};

use crate::{Error, Result};

/// Logarithm of the softmax along the last axis, without overflow.
///
/// # Errors
/// If candle fails.
pub fn log_softmax(logits: &Tensor) -> Result<Tensor> {
    // The largest logit is only a shift that cancels out, so it needs no gradient.
    let largest = logits.detach().max_keepdim(D::Minus1)?;
    let shifted = logits.broadcast_sub(&largest)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(shifted.broadcast_sub(&log_sum)?)
}

/// Mean cross-entropy of `logits` (B, K) and `labels` (B), u32 in 0..K, with label smoothing: the target is
/// `1 - smoothing` on the label plus `smoothing / K` on every class (Szegedy et al. 2016, section 7; the same as
/// PyTorch's `CrossEntropyLoss(label_smoothing=smoothing)`).
///
/// # Errors
/// If the shapes don't fit, a label is K or more, or `smoothing` isn't in 0..=1.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    let &[batch, _] = logits.dims() else {
        return Err(Error::shape("cross_entropy", "logits", logits, "(B, K)"));
    };
    if labels.dims() != [batch] {
        return Err(Error::shape("cross_entropy", "labels", labels, format!("({batch})")));
    }
    if !(0.0..=1.0).contains(&smoothing) {
        let (setting, expected) = ("smoothing", "a number from 0 to 1");
        return Err(Error::Setting { loss: "cross_entropy", setting, value: smoothing, expected });
    }
    let log_probabilities = log_softmax(logits)?;
    let of_label = log_probabilities.gather(&labels.unsqueeze(1)?, 1)?.mean_all()?;
    let of_all = log_probabilities.mean_all()?;
    Ok((of_label.affine(smoothing - 1.0, 0.0)? - of_all.affine(smoothing, 0.0)?)?)
}
