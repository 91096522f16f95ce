//! A margin between two scores of the same picture.

use c2f_ops::log_softmax;
use candle_core::Tensor;

use crate::error::expect_values;
use crate::{Error, Result};

/// Mean of max(0, p_other - p_own + margin), p being the probability of each picture's label by the logits `own` and `other` (B, K):
/// API-Net's score-ranking regularisation (Zhuang et al. 2020), by which a picture is surer of itself under its own gate than under another's.
/// `labels` (B) are u32 in 0..K.
///
/// # Errors
/// If the shapes don't fit or have a 0, a label is K or more, or `margin` isn't in 0..=1.
pub fn score_ranking(own: &Tensor, other: &Tensor, labels: &Tensor, margin: f64) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&margin) {
        let (setting, expected) = ("margin", "a number from 0 to 1");
        return Err(Error::Setting { loss: "score_ranking", setting, value: margin, expected });
    }
    let &[batch, _] = own.dims() else {
        return Err(Error::shape("score_ranking", "own", own, "(B, K)"));
    };
    expect_values("score_ranking", "own", own)?;
    if other.dims() != own.dims() {
        return Err(Error::shape("score_ranking", "other", other, format!("{:?}", own.dims())));
    }
    if labels.dims() != [batch] {
        return Err(Error::shape("score_ranking", "labels", labels, format!("({batch})")));
    }
    let labels = labels.unsqueeze(1)?;
    let score = |logits: &Tensor| -> Result<Tensor> { Ok(log_softmax(logits)?.gather(&labels, 1)?.exp()?) };
    Ok((score(other)? - score(own)?)?.affine(1.0, margin)?.relu()?.mean_all()?)
}
