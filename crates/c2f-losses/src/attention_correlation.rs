//! A penalty on attention maps that respond together.

use candle_core::Tensor;

use crate::error::expect_values;
use crate::normalise::l2_normalise;
use crate::{Error, Result};

/// Mean over the pairs of different maps of their squared correlation, over all pictures and places of the batch: the part of
/// |corr(A) - I|^2 beside the diagonal, where it is zero (ours; Barlow Twins, Zbontar et al. 2021, has it of two views'
/// features). `attention` is (B, M, h, w). A map that is the same everywhere correlates with none; a single map gives 0.
///
/// # Errors
/// If `attention` doesn't have four dimensions, or is empty.
pub fn attention_correlation(attention: &Tensor) -> Result<Tensor> {
    let &[_, maps, _, _] = attention.dims() else {
        return Err(Error::shape("attention_correlation", "attention", attention, "(B, M, h, w)"));
    };
    expect_values("attention_correlation", "attention", attention)?;
    let responses = attention.transpose(0, 1)?.flatten_from(1)?;
    let centred = responses.broadcast_sub(&responses.mean_keepdim(1)?)?;
    let unit = l2_normalise(&centred, 1e-6)?;
    let correlation = unit.matmul(&unit.t()?)?;
    let all = correlation.sqr()?.sum_all()?;
    // The diagonal as it is: a map without any response has 0 there.
    let same = unit.sqr()?.sum(1)?.sqr()?.sum_all()?;
    let pairs = (maps * maps.saturating_sub(1)).max(1) as f64;
    Ok((all - same)?.affine(1.0 / pairs, 0.0)?)
}
