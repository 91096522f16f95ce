//! The kernels of layer normalisation.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Shape, Tensor};

use super::NAME;
use crate::Result;
use crate::kernel::{dtype, for_rows, output, read, rows_per_task, slice, task_sums, with_float};
use crate::simd::Float;

pub(super) fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    let op = LayerNorm { eps, moments: OnceLock::new() };
    Ok(x.contiguous()?.apply_op3(&gamma.contiguous()?, &beta.contiguous()?, op)?)
}

struct LayerNorm {
    eps: f64,
    /// Mean and 1 / sqrt(variance + eps) of each row, left by the forward pass for the backward pass.
    moments: OnceLock<Vec<(f64, f64)>>,
}

impl CustomOp3 for LayerNorm {
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
            let affine = (slice(NAME, gamma, gamma_layout)?, slice(NAME, beta, beta_layout)?);
            let (y, moments) = forward::<T>(slice(NAME, x, x_layout)?, affine, self.eps);
            self.moments.get_or_init(|| moments);
            Ok(output(y, x_layout.shape()))
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
        with_float!(NAME, x.dtype(), T => {
            let tensor = |values: Vec<T>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
            let dx = x.track_op().then(|| {
                let dx = read(NAME, [x, gamma, grad], |[x, gamma, grad]| input_gradient::<T>(x, gamma, grad, moments))?;
                tensor(dx, x)
            });
            let (dgamma, dbeta) = if gamma.track_op() || beta.track_op() {
                let channels = gamma.elem_count();
                let both = read(NAME, [x, grad], |[x, grad]| affine_gradients::<T>(x, grad, moments, channels))?;
                (Some(tensor(both.0, gamma)?), Some(tensor(both.1, beta)?))
            } else {
                (None, None)
            };
            Ok((dx.transpose()?, dgamma, dbeta))
        })
    }
}

fn forward<T: Float>(x: &[T], (gamma, beta): (&[T], &[T]), eps: f64) -> (Vec<T>, Vec<(f64, f64)>) {
    let channels = gamma.len();
    let mut moments = vec![(0.0, 0.0); x.len() / channels];
    for_rows(
        &mut moments,
        1,
        rows_per_task(channels),
        #[inline(always)]
        |first, moments| {
            for (row, moments) in x[first * channels..].chunks_exact(channels).zip(moments) {
                let count = channels as f64;
                let mean = sum(row, |x| x) / count;
                let typed = T::from_f64(mean);
                let var = sum(row, |x| (x - typed) * (x - typed)) / count;
                *moments = (mean, 1.0 / (var + eps).sqrt());
            }
        },
    );
    let mut y = vec![T::zero(); x.len()];
    for_rows(
        &mut y,
        channels,
        rows_per_task(channels),
        #[inline(always)]
        |first, y| {
            let rows = x[first * channels..].chunks_exact(channels).zip(&moments[first..]);
            for (y, (x, &(mean, rstd))) in y.chunks_exact_mut(channels).zip(rows) {
                let (mean, rstd) = (T::from_f64(mean), T::from_f64(rstd));
                for ((y, &x), (&gamma, &beta)) in y.iter_mut().zip(x).zip(gamma.iter().zip(beta)) {
                    *y = (x - mean) * rstd * gamma + beta;
                }
            }
        },
    );
    (y, moments)
}

/// The sum of `f` over a row, in sixteen running sums, which the compiler can keep in one register.
#[inline(always)]
fn sum<T: Float>(row: &[T], f: impl Fn(T) -> T) -> f64 {
    let mut sums = [T::zero(); 16];
    let (chunks, rest) = row.as_chunks::<16>();
    for chunk in chunks {
        for (sum, &x) in sums.iter_mut().zip(chunk) {
            *sum += f(x);
        }
    }
    sums.iter().map(|&sum| sum.to_f64()).sum::<f64>() + rest.iter().map(|&x| f(x).to_f64()).sum::<f64>()
}

/// With n the normalised row and g = grad * gamma: rstd * (g - mean(g) - n * mean(g * n)).
fn input_gradient<T: Float>(x: &[T], gamma: &[T], grad: &[T], moments: &[(f64, f64)]) -> Vec<T> {
    let channels = gamma.len();
    let mut dx = vec![T::zero(); x.len()];
    for_rows(
        &mut dx,
        channels,
        rows_per_task(channels),
        #[inline(always)]
        |first, dx| {
            let rows =
                x[first * channels..].chunks_exact(channels).zip(grad[first * channels..].chunks_exact(channels));
            for ((dx, (x, grad)), &(mean, rstd)) in dx.chunks_exact_mut(channels).zip(rows).zip(&moments[first..]) {
                let (mean, scale) = (T::from_f64(mean), T::from_f64(rstd));
                for ((dx, &grad), &gamma) in dx.iter_mut().zip(grad).zip(gamma) {
                    *dx = grad * gamma;
                }
                let plain = sum(dx, |g| g) / channels as f64;
                let mut products = T::zero();
                for (&g, &x) in dx.iter().zip(x) {
                    products += g * (x - mean);
                }
                let along = products.to_f64() * rstd / channels as f64;
                let (plain, along) = (T::from_f64(plain), T::from_f64(along * rstd));
                for (dx, &x) in dx.iter_mut().zip(x) {
                    *dx = scale * (*dx - plain - (x - mean) * along);
                }
            }
        },
    );
    dx
}

/// The gradients of gamma and beta.
fn affine_gradients<T: Float>(x: &[T], grad: &[T], moments: &[(f64, f64)], channels: usize) -> (Vec<T>, Vec<T>) {
    let mut dgamma = task_sums(
        moments.len(),
        channels,
        2 * channels,
        #[inline(always)]
        |rows, sums| {
            let (dgamma, dbeta) = sums.split_at_mut(channels);
            let values = rows.start * channels..rows.end * channels;
            let both = x[values.clone()].chunks_exact(channels).zip(grad[values].chunks_exact(channels));
            for ((x, grad), &(mean, rstd)) in both.zip(&moments[rows]) {
                let (mean, rstd) = (T::from_f64(mean), T::from_f64(rstd));
                let sums = dgamma.iter_mut().zip(&mut *dbeta);
                for ((dgamma, dbeta), (&x, &grad)) in sums.zip(x.iter().zip(grad)) {
                    *dgamma += grad * (x - mean) * rstd;
                    *dbeta += grad;
                }
            }
        },
    );
    let dbeta = dgamma.split_off(channels);
    (dgamma, dbeta)
}
