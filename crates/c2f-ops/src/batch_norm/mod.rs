//! Batch normalisation (Ioffe and Szegedy 2015).

mod composed;
mod cpu;
#[cfg(feature = "cuda")]
mod cuda;
mod moments;
mod sums;

use candle_core::Tensor;

use crate::device::{by_device, on_card};
use crate::kernel::{expect_shape, expect_values};
use crate::{Error, Format, Result};
#[cfg(feature = "cuda")]
pub(crate) use cuda::batch_norm as batch_norm_on_card;
pub(crate) use moments::{Moments, join_moments, part_moments, task_rows};
pub(crate) use sums::{PartSums, Sums, join_sums, part_sums, sums};

const NAME: &str = "batch_norm";

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
    check(x, [("gamma", gamma), ("beta", beta)], format)?;
    check_count(format.dims(x)?)?;
    on_card!(x => cuda::batch_norm_train(x, gamma, beta, eps, format));
    by_device(
        x,
        || cpu::batch_norm_train(x, gamma, beta, eps, format),
        || composed::batch_norm_train(x, gamma, beta, eps, format),
    )
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
    on_card!(x => cuda::batch_norm_eval(x, (gamma, beta), (running_mean, running_var), eps, format));
    by_device(
        x,
        || cpu::batch_norm_eval(x, gamma, beta, running_mean, running_var, eps, format),
        || composed::batch_norm_eval(x, gamma, beta, running_mean, running_var, eps, format),
    )
}

fn check<const N: usize>(x: &Tensor, vectors: [(&'static str, &Tensor); N], format: Format) -> Result<()> {
    let (_, c, _, _) = format.dims(x)?;
    for (what, vector) in vectors {
        expect_shape(NAME, what, vector, &[c])?;
    }
    expect_values(NAME, "input", x)
}

/// Refuses to take statistics of one value, for input of these (batch, channels, height, width).
pub(crate) fn check_count((b, c, h, w): (usize, usize, usize, usize)) -> Result<()> {
    if b * h * w != 1 {
        return Ok(());
    }
    let expected = "more than 1 value per channel when training".to_owned();
    Err(Error::Shape { op: NAME, what: "input (B, C, H, W)", got: vec![b, c, h, w], expected })
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
            let (other, other_stats) = composed::batch_norm_train(&x, &gamma, &beta_row, 1e-3, format).unwrap();
            assert_same(&[&x, &gamma, &beta], &kernel, &other);
            assert_same(&[], &stats.mean, &other_stats.mean);
            assert_same(&[], &stats.var, &other_stats.var);
            assert_eq!(stats.count, other_stats.count);

            let (mean, var) = (stats.mean, stats.var);
            let kernel = batch_norm_eval(&x, &gamma, &beta_row, &mean, &var, 1e-3, format).unwrap();
            let other = composed::batch_norm_eval(&x, &gamma, &beta_row, &mean, &var, 1e-3, format).unwrap();
            assert_same(&[&x, &gamma, &beta], &kernel, &other);
        }
    }
}
