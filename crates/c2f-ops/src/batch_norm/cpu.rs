//! The kernels of batch normalisation, over rows of one value per channel.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor};

use super::moments::{Moments, moments, task_rows};
use super::sums::{Sums, sums};
use super::{BatchStats, NAME};
use crate::epilogue::Epilogue;
use crate::kernel::{channels_last, dtype, for_rows, output, read, slice, with_float};
use crate::simd::Float;
use crate::{Format, Result};

pub(super) fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    eps: f64,
    format: Format,
) -> Result<(Tensor, BatchStats)> {
    let moments = Arc::new(OnceLock::new());
    let op = BatchNorm { eps, from_batch: true, moments: moments.clone() };
    let y = channels_last(x, format, |x| Ok(x.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?))?;
    let vector = |of: fn(&Moments) -> &Vec<f64>| {
        let values = moments.get().map(|moments| of(moments).clone()).unwrap_or_default();
        Tensor::from_vec(values, gamma.dims(), x.device())?.to_dtype(x.dtype())
    };
    let stats = BatchStats {
        mean: vector(|moments| &moments.mean)?,
        var: vector(|moments| &moments.var)?,
        count: x.elem_count() / gamma.elem_count(),
    };
    Ok((y, stats))
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
    let values = |x: &Tensor| x.to_dtype(candle_core::DType::F64)?.to_vec1();
    let moments = OnceLock::from(Moments { mean: values(mean)?, var: values(var)? });
    let op = BatchNorm { eps, from_batch: false, moments: Arc::new(moments) };
    channels_last(x, format, |x| Ok(x.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?))
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

fn normalise<T: Float>(x: &[T], gamma: &[T], beta: &[T], moments: &Moments, eps: f64) -> Vec<T> {
    let channels = gamma.len();
    let mean: Vec<T> = moments.mean.iter().map(|&mean| T::from_f64(mean)).collect();
    let scale = gamma.iter().zip(&moments.var).map(|(gamma, var)| T::from_f64(gamma.to_f64() / (var + eps).sqrt()));
    let scale: Vec<T> = scale.collect();
    let mut y = vec![T::zero(); x.len()];
    for_rows(
        &mut y,
        channels,
        task_rows(channels),
        #[inline(always)]
        |first, y| {
            for (y, x) in y.chunks_exact_mut(channels).zip(x[first * channels..].chunks_exact(channels)) {
                for ((((y, &x), &mean), &scale), &beta) in y.iter_mut().zip(x).zip(&mean).zip(&scale).zip(beta) {
                    *y = (x - mean) * scale + beta;
                }
            }
        },
    );
    y
}

/// `gamma * rstd * (grad - mean(grad) - normalised * mean(grad * normalised))`; the two means, which come of the
/// statistics' own dependence on x, are left out where the statistics were given (`sums` is `None`).
fn input_gradient<T: Float>(
    x: &[T],
    gamma: &[T],
    grad: &[T],
    moments: &Moments,
    rstd: &[f64],
    sums: Option<&Sums>,
) -> Vec<T> {
    let channels = gamma.len();
    let count = (x.len() / channels) as f64;
    let scale: Vec<f64> = gamma.iter().zip(rstd).map(|(gamma, rstd)| gamma.to_f64() * rstd).collect();
    let typed = |of: &dyn Fn(usize) -> f64| -> Vec<T> { (0..channels).map(|c| T::from_f64(of(c))).collect() };
    let factor = typed(&|c| scale[c]);
    let mut dx = vec![T::zero(); x.len()];
    let Some(sums) = sums else {
        for_rows(
            &mut dx,
            channels,
            task_rows(channels),
            #[inline(always)]
            |first, dx| {
                for (dx, grad) in dx.chunks_exact_mut(channels).zip(grad[first * channels..].chunks_exact(channels)) {
                    for ((dx, &grad), &factor) in dx.iter_mut().zip(grad).zip(&factor) {
                        *dx = grad * factor;
                    }
                }
            },
        );
        return dx;
    };
    let mean = typed(&|c| moments.mean[c]);
    let shift = typed(&|c| -scale[c] * sums.plain[c] / count);
    let slope = typed(&|c| -scale[c] * sums.scaled[c] * rstd[c] / count);
    for_rows(
        &mut dx,
        channels,
        task_rows(channels),
        #[inline(always)]
        |first, dx| {
            let rows =
                x[first * channels..].chunks_exact(channels).zip(grad[first * channels..].chunks_exact(channels));
            for (dx, (x, grad)) in dx.chunks_exact_mut(channels).zip(rows) {
                let values = dx.iter_mut().zip(x).zip(grad);
                let constants = mean.iter().zip(&factor).zip(shift.iter().zip(&slope));
                for (((dx, &x), &grad), ((&mean, &factor), (&shift, &slope))) in values.zip(constants) {
                    *dx = grad * factor + (x - mean) * slope + shift;
                }
            }
        },
    );
    dx
}
