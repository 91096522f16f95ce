//! The CPU kernels of batch normalisation, over rows of one value per channel.

use rayon::prelude::*;

use crate::epilogue::Epilogue;
use crate::kernel::{for_rows, rows_per_task};
use crate::simd::{Float, vectorize};

/// Mean and biased variance of each channel.
pub(crate) struct Moments {
    pub mean: Vec<f64>,
    pub var: Vec<f64>,
}

/// Rows of one task. In f32 the sums of a task stay short enough to be exact to a few units in the last place; the sums
/// of tasks are joined in f64.
pub(crate) fn task_rows(channels: usize) -> usize {
    rows_per_task(channels).clamp(16, 256)
}

/// What one task finds of each channel: the number of rows, their mean, and the sum of the squared deviations from it.
pub(crate) struct PartMoments<T> {
    rows: usize,
    mean: Vec<T>,
    squares: Vec<T>,
}

/// The moments of a few hundred rows at most: their sums are kept in the element type.
pub(crate) fn part_moments<T: Float>(x: &[T], channels: usize) -> PartMoments<T> {
    let rows = x.len() / channels;
    let (mut mean, mut squares) = (vec![T::zero(); channels], vec![T::zero(); channels]);
    vectorize(
        #[inline(always)]
        || {
            for row in x.chunks_exact(channels) {
                for (sum, &x) in mean.iter_mut().zip(row) {
                    *sum += x;
                }
            }
            let factor = T::from_f64(1.0 / rows as f64);
            for sum in &mut mean {
                *sum *= factor;
            }
            for row in x.chunks_exact(channels) {
                for ((sum, &x), &mean) in squares.iter_mut().zip(row).zip(&mean) {
                    *sum += (x - mean) * (x - mean);
                }
            }
        },
    );
    PartMoments { rows, mean, squares }
}

/// Joins parts by the formula of Chan, Golub and LeVeque (1979), which loses no digits where the mean is large.
pub(crate) fn join_moments<T: Float>(parts: impl IntoIterator<Item = PartMoments<T>>, channels: usize) -> Moments {
    let (mut mean, mut squares, mut total) = (vec![0.0; channels], vec![0.0; channels], 0.0);
    for part in parts {
        let count = part.rows as f64;
        let (share, weight) = (count / (total + count), count * total / (total + count));
        total += count;
        let values = part.mean.into_iter().zip(part.squares);
        for ((mean, squares), (part_mean, part_squares)) in mean.iter_mut().zip(&mut squares).zip(values) {
            let delta = part_mean.to_f64() - *mean;
            *mean += delta * share;
            *squares += part_squares.to_f64() + delta * delta * weight;
        }
    }
    Moments { mean, var: squares.into_iter().map(|sum| sum / total).collect() }
}

pub(super) fn moments<T: Float>(x: &[T], channels: usize) -> Moments {
    let parts = x.par_chunks(task_rows(channels) * channels).map(|x| part_moments(x, channels));
    join_moments(parts.collect::<Vec<_>>(), channels)
}

pub(super) fn normalise<T: Float>(x: &[T], gamma: &[T], beta: &[T], moments: &Moments, eps: f64) -> Vec<T> {
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

/// Sums over all rows, per channel.
pub(crate) struct Sums {
    /// Of the gradient: the gradient of beta.
    pub plain: Vec<f64>,
    /// Of the gradient times the normalised input: the gradient of gamma.
    pub scaled: Vec<f64>,
}

/// What one task adds to [`Sums`]: the sums of the gradient and of the gradient times `x - mean`.
#[derive(Debug)]
pub(crate) struct PartSums<T> {
    plain: Vec<T>,
    scaled: Vec<T>,
}

/// The sums of a few hundred rows at most. The gradient counts where `epilogue` passes it on.
pub(crate) fn part_sums<T: Float>(x: &[T], grad: &[T], epilogue: &Epilogue<T>) -> PartSums<T> {
    let channels = epilogue.scale.len();
    let (mut plain, mut scaled) = (vec![T::zero(); channels], vec![T::zero(); channels]);
    vectorize(
        #[inline(always)]
        || {
            for (x, grad) in x.chunks_exact(channels).zip(grad.chunks_exact(channels)) {
                let values = x.iter().zip(grad).zip(plain.iter_mut().zip(&mut scaled));
                let constants = epilogue.mean.iter().zip(epilogue.scale.iter().zip(&epilogue.shift));
                for (((&x, &grad), (plain, scaled)), (&mean, (&scale, &shift))) in values.zip(constants) {
                    let grad = if epilogue.passes(x, scale, shift) { grad } else { T::zero() };
                    *plain += grad;
                    *scaled += grad * (x - mean);
                }
            }
        },
    );
    PartSums { plain, scaled }
}

/// Adds parts up, in order.
pub(crate) fn join_sums<T: Float>(parts: Vec<PartSums<T>>, rstd: &[f64]) -> Sums {
    let mut sums = Sums { plain: vec![0.0; rstd.len()], scaled: vec![0.0; rstd.len()] };
    for part in parts {
        sums.plain.iter_mut().zip(part.plain).for_each(|(sum, part)| *sum += part.to_f64());
        sums.scaled.iter_mut().zip(part.scaled).for_each(|(sum, part)| *sum += part.to_f64());
    }
    sums.scaled.iter_mut().zip(rstd).for_each(|(sum, rstd)| *sum *= rstd);
    sums
}

pub(crate) fn sums<T: Float>(x: &[T], grad: &[T], epilogue: &Epilogue<T>, rstd: &[f64]) -> Sums {
    let step = task_rows(rstd.len()) * rstd.len();
    let parts = x.par_chunks(step).zip(grad.par_chunks(step)).map(|(x, grad)| part_sums(x, grad, epilogue));
    join_sums(parts.collect(), rstd)
}

/// `gamma * rstd * (grad - mean(grad) - normalised * mean(grad * normalised))`; the two means, which come of the
/// statistics' own dependence on x, are left out where the statistics were given (`sums` is `None`).
pub(super) fn input_gradient<T: Float>(
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
