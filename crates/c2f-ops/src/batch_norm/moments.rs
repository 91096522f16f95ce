//! Mean and variance of each channel, found in parts.

use rayon::prelude::*;

use crate::kernel::rows_per_task;
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
