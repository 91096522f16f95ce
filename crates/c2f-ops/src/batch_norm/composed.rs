//! Batch normalisation by candle's operations.

use candle_core::Tensor;

use super::BatchStats;
use crate::{Format, Result};

pub(super) fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f64,
    format: Format,
) -> Result<(Tensor, BatchStats)> {
    let axes = if format == Format::ChannelsFirst { [0, 2, 3] } else { [0, 1, 2] };
    let mean = x.mean_keepdim(axes.as_slice())?;
    let var = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(axes.as_slice())?;
    let (mean, var) = (mean.flatten_all()?, var.flatten_all()?);
    let y = batch_norm_eval(x, gamma, beta, &mean, &var, eps, format)?;
    let count = x.elem_count() / gamma.elem_count();
    Ok((y, BatchStats { mean: mean.detach(), var: var.detach(), count }))
}

pub(super) fn batch_norm_eval(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    format: Format,
) -> Result<Tensor> {
    let mut shape = [1; 4];
    shape[format.channel_axis()] = gamma.elem_count();
    let scale = (gamma / (var + eps)?.sqrt()?)?.reshape(&shape)?;
    let centred = x.broadcast_sub(&mean.reshape(&shape)?)?;
    Ok(centred.broadcast_mul(&scale)?.broadcast_add(&beta.reshape(&shape)?)?)
}
