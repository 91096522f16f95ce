//! A penalty on attention maps that look at the same place.

use candle_core::Tensor;

use crate::error::expect_values;
use crate::normalise::l2_normalise;
use crate::{Error, Result};

/// Mean cosine over the pairs of different attention maps of a picture, averaged over the pictures: 0 for maps on
/// disjoint places, 1 for equal ones. It is the overlap that MA-CNN's diversity loss penalises (Zheng et al. 2017),
/// measured as a cosine, which doesn't depend on the maps' scale (ours). `attention` is (B, M, h, w), not negative. A
/// map of zeros counts as different from all; a single map gives 0.
///
/// # Errors
/// If `attention` doesn't have four dimensions, or is empty.
pub fn attention_similarity(attention: &Tensor) -> Result<Tensor> {
    let &[batch, maps, _, _] = attention.dims() else {
        return Err(Error::shape("attention_similarity", "attention", attention, "(B, M, h, w)"));
    };
    expect_values("attention_similarity", "attention", attention)?;
    let unit = l2_normalise(&attention.flatten_from(2)?, 1e-6)?;
    // Sum over all pairs, m = n included, without the (M, M) table: |sum_m a_m|^2.
    let all_pairs = unit.sum(1)?.sqr()?.sum_all()?;
    let same = unit.sqr()?.sum_all()?;
    let pairs = (batch * maps * maps.saturating_sub(1)).max(1) as f64;
    Ok((all_pairs - same)?.affine(1.0 / pairs, 0.0)?)
}
