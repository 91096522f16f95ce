//! Batch normalisation (Ioffe and Szegedy 2015).

mod kernels;

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor};

use crate::epilogue::Epilogue;
use crate::kernel::{channels_last, dtype, expect_shape, expect_values, output, read, slice, with_float};
use crate::{Error, Format, Result};
pub(crate) use kernels::{Moments, PartSums, Sums, join_moments, join_sums, part_moments, part_sums, sums, task_rows};
use kernels::{input_gradient, moments, normalise};

/// The statistics of a batch. They are constants: no gradient flows through them.
#[derive(Debug, Clone)]
pub struct BatchStats {
    /// (C) mean.
    pub mean: Tensor,
    /// (C) biased variance.
    pub var: Tensor,
    /// Values per channel: B * H * W.
    pub count: usize,
}

/// `(x - mean) / sqrt(var + eps) * gamma + beta`, with the mean and the biased variance of each channel over the batch.
/// `gamma` and `beta` are (C). Gradients for all three arguments.
///
/// As in PyTorch, the only value of a channel is refused: it would always become `beta`, and its variance 0.
///
/// # Errors
/// If `x` doesn't have four dimensions, is empty or has one value per channel, or `gamma` and `beta` don't have its channels.
pub fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f64,
    format: Format,
) -> Result<(Tensor, BatchStats)> {
    let count = check(x, [("gamma", gamma), ("beta", beta)], format)?;
    check_count(format.dims(x)?)?;
    if !x.device().is_cpu() {
        return compose_train(x, gamma, beta, eps, format);
    }
    let moments = Arc::new(OnceLock::new());
    let op = BatchNorm { eps, from_batch: true, moments: moments.clone() };
    let y = channels_last(x, format, |x| Ok(x.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?))?;
    let vector = |of: fn(&Moments) -> &Vec<f64>| {
        let values = moments.get().map(|moments| of(moments).clone()).unwrap_or_default();
        Tensor::from_vec(values, gamma.dims(), x.device())?.to_dtype(x.dtype())
    };
    let stats = BatchStats { mean: vector(|moments| &moments.mean)?, var: vector(|moments| &moments.var)?, count };
    Ok((y, stats))
}

/// `(x - running_mean) / sqrt(running_var + eps) * gamma + beta`; all but `x` are (C). Gradients for `x`, `gamma` and
/// `beta`.
///
/// # Errors
/// As [`batch_norm_train`], but one value per channel is as good as many.
pub fn batch_norm_eval(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    running_mean: &Tensor,
    running_var: &Tensor,
    eps: f64,
    format: Format,
) -> Result<Tensor> {
    let vectors = [("gamma", gamma), ("beta", beta), ("running_mean", running_mean), ("running_var", running_var)];
    check(x, vectors, format)?;
    if !x.device().is_cpu() {
        return compose_eval(x, gamma, beta, running_mean, running_var, eps, format);
    }
    let values = |x: &Tensor| x.to_dtype(candle_core::DType::F64)?.to_vec1();
    let moments = OnceLock::from(Moments { mean: values(running_mean)?, var: values(running_var)? });
    let op = BatchNorm { eps, from_batch: false, moments: Arc::new(moments) };
    channels_last(x, format, |x| Ok(x.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?))
}

const NAME: &str = "batch_norm";

/// Values per channel.
fn check<const N: usize>(x: &Tensor, vectors: [(&'static str, &Tensor); N], format: Format) -> Result<usize> {
    let (b, c, h, w) = format.dims(x)?;
    for (what, vector) in vectors {
        expect_shape(NAME, what, vector, &[c])?;
    }
    expect_values(NAME, "input", x)?;
    Ok(b * h * w)
}

/// Refuses to take statistics of one value, for input of these (batch, channels, height, width).
pub(crate) fn check_count((b, c, h, w): (usize, usize, usize, usize)) -> Result<()> {
    if b * h * w != 1 {
        return Ok(());
    }
    let expected = "more than 1 value per channel when training".to_owned();
    Err(Error::Shape { op: NAME, what: "input (B, C, H, W)", got: vec![b, c, h, w], expected })
}

/// The same by candle's operations.
fn compose_train(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64, format: Format) -> Result<(Tensor, BatchStats)> {
    let axes = if format == Format::ChannelsFirst { [0, 2, 3] } else { [0, 1, 2] };
    let mean = x.mean_keepdim(axes.as_slice())?;
    let var = x.broadcast_sub(&mean)?.sqr()?.mean_keepdim(axes.as_slice())?;
    let (mean, var) = (mean.flatten_all()?, var.flatten_all()?);
    let y = compose_eval(x, gamma, beta, &mean, &var, eps, format)?;
    let count = x.elem_count() / gamma.elem_count();
    Ok((y, BatchStats { mean: mean.detach(), var: var.detach(), count }))
}

fn compose_eval(
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

struct BatchNorm {
    eps: f64,
    from_batch: bool,
    /// Given, or left by the forward pass for the backward pass.
    moments: Arc<OnceLock<Moments>>,
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gamma: &CpuStorage,
        gamma_layout: &Layout,
        beta: &CpuStorage,
        beta_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        with_float!(NAME, dtype(x), T => {
            let x: &[T] = slice(NAME, x, x_layout)?;
            let (gamma, beta) = (slice(NAME, gamma, gamma_layout)?, slice(NAME, beta, beta_layout)?);
            let moments = self.moments.get_or_init(|| moments(x, gamma.len()));
            Ok(output(normalise(x, gamma, beta, moments, self.eps), x_layout.shape()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(moments) = self.moments.get() else { candle_core::bail!("{NAME}: backward before forward") };
        let rstd: Vec<f64> = moments.var.iter().map(|var| 1.0 / (var + self.eps).sqrt()).collect();
        with_float!(NAME, x.dtype(), T => read(NAME, [x, gamma, grad], |[values, scale, grad]| {
            let affine = gamma.track_op() || beta.track_op();
            let sums = (affine || self.from_batch).then(|| sums::<T>(values, grad, &Epilogue::identity(&moments.mean), &rstd));
            let vector = |tracked: bool, of: fn(&Sums) -> &Vec<f64>| match &sums {
                Some(sums) if tracked => {
                    Tensor::from_vec(of(sums).clone(), gamma.shape(), x.device())?.to_dtype(x.dtype()).map(Some)
                }
                _ => Ok(None),
            };
            let dx = x.track_op().then(|| {
                let sums = sums.as_ref().filter(|_| self.from_batch);
                Tensor::from_vec(input_gradient(values, scale, grad, moments, &rstd, sums), x.shape(), x.device())
            });
            Ok((dx.transpose()?, vector(gamma.track_op(), |s| &s.scaled)?, vector(beta.track_op(), |s| &s.plain)?))
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let x = var((3, 4, 5, 4));
        for format in [Format::ChannelsFirst, Format::ChannelsLast] {
            let (gamma, beta) = (var(4), var((2, 4)));
            let beta_row = beta.get(1).unwrap();
            let (kernel, stats) = batch_norm_train(&x, &gamma, &beta_row, 1e-3, format).unwrap();
            let (composed, composed_stats) = compose_train(&x, &gamma, &beta_row, 1e-3, format).unwrap();
            assert_same(&[&x, &gamma, &beta], &kernel, &composed);
            assert_same(&[], &stats.mean, &composed_stats.mean);
            assert_same(&[], &stats.var, &composed_stats.var);
            assert_eq!(stats.count, composed_stats.count);

            let (mean, var) = (stats.mean, stats.var);
            let kernel = batch_norm_eval(&x, &gamma, &beta_row, &mean, &var, 1e-3, format).unwrap();
            let composed = compose_eval(&x, &gamma, &beta_row, &mean, &var, 1e-3, format).unwrap();
            assert_same(&[&x, &gamma, &beta], &kernel, &composed);
        }
    }
}
