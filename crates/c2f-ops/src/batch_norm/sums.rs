//! What the gradient needs of each channel, found in parts.

use rayon::prelude::*;

use super::moments::task_rows;
use crate::epilogue::Epilogue;
use crate::simd::{Float, vectorize};

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
