//! Batch normalisation on a card, with the activation that follows it.

use candle_core::Tensor;

use super::{BatchStats, NAME};
use crate::cuda::launch::{Machine, Norm};
use crate::cuda::{Card, launch};
use crate::kernel::{channels_first, with_float};
use crate::{Error, Format, Result};

const NONE: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

pub(super) fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f64,
    format: Format,
) -> Result<(Tensor, BatchStats)> {
    let mut stats = None;
    let y = channels_first(x, format, |x| {
        let (y, found) = batch_norm(x, (gamma, beta), None, eps, NONE)?;
        stats = found;
        Ok(y)
    })?;
    let stats = stats.ok_or_else(|| Error::Config { op: NAME, message: "no statistics".to_owned() })?;
    Ok((y, stats))
}

pub(super) fn batch_norm_eval(
    x: &Tensor,
    affine: (&Tensor, &Tensor),
    moments: (&Tensor, &Tensor),
    eps: f64,
    format: Format,
) -> Result<Tensor> {
    channels_first(x, format, |x| Ok(batch_norm(x, affine, Some(moments), eps, NONE)?.0))
}

/// `min(max(norm(x), low), high)` of maps (B, C, H, W), limits being (low, high): by the moments `given`, or by the batch's, which come
/// along then.
pub(crate) fn batch_norm(
    x: &Tensor,
    (gamma, beta): (&Tensor, &Tensor),
    given: Option<(&Tensor, &Tensor)>,
    eps: f64,
    (low, high): (f64, f64),
) -> Result<(Tensor, Option<BatchStats>)> {
    let (batch, channels, height, width) = x.dims4()?;
    let norm = Norm { channels, pixels: height * width, eps, low, high };
    let card = Card::of(x)?;
    Ok(with_float!(NAME, x.dtype(), T => {
        let inputs = [x, gamma, beta];
        let done = card.read::<T, _, 3>(inputs, |[x, gamma, beta]| match given {
            None => launch::normalise(&card, x, (gamma, beta), None, norm),
            Some((mean, var)) => card.read::<T, _, 2>([mean, var], |[mean, var]| {
                launch::normalise(&card, x, (gamma, beta), Some((mean, var)), norm)
            }),
        })?;
        let from_batch = given.is_none();
        let rstd = done.rstd;
        let moments = done.moments.map(|(mean, var)| (card.tensor(mean, channels), card.tensor(var, channels)));
        let mean = match (&moments, given) {
            (Some((mean, _)), _) => mean.clone(),
            (None, Some((mean, _))) => mean.detach(),
            (None, None) => return Err(Error::Config { op: NAME, message: "no moments".to_owned() }),
        };
        let y = card.record(NAME, &inputs, done.y, x.shape(), move |inputs, _, g| {
            let &[x, gamma, beta] = inputs else { candle_core::bail!("{NAME}: {} inputs", inputs.len()) };
            let card = Card::of(g)?;
            let wanted = (x.track_op(), gamma.track_op() || beta.track_op());
            let (dx, affine) = card.read::<T, _, 5>([x, g, &mean, gamma, beta], |[x, g, mean, gamma, beta]| {
                let moments = (mean, &card.input(&rstd));
                launch::normalise_gradient(&card, (x, g), moments, (gamma, beta), norm, from_batch, wanted)
            })?;
            let vector = |values| card.tensor::<T>(values, gamma.shape());
            let (dgamma, dbeta) = match affine.filter(|_| wanted.1) {
                Some((dgamma, dbeta)) => (Some(vector(dgamma)), Some(vector(dbeta))),
                None => (None, None),
            };
            Ok(vec![dx.map(|dx| card.tensor(dx, x.shape())), dgamma, dbeta])
        })?;
        let stats = moments.map(|(mean, var)| BatchStats { mean, var, count: batch * height * width });
        Ok((y, stats))
    })?)
}
