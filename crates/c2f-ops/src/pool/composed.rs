//! Max pooling by candle's operations.

use candle_core::Tensor;

use super::MAX;
use super::windows::{Axis, Windows};
use crate::kernel::channels_first;
use crate::{Error, Format, Result};

/// The largest of shifted copies, in each row and then over the rows, so that of equal values the first in reading order wins. A
/// tap that falls on the padding reads the nearest pixel of the map instead, which lies in the same window.
pub(super) fn max_pool2d(x: &Tensor, windows: Windows, format: Format) -> Result<Tensor> {
    let along = |x: &Tensor, axis: Axis, dim: usize| -> Result<Tensor> {
        let mut largest: Option<Tensor> = None;
        for tap in 0..axis.kernel {
            let index =
                |output: usize| (output * axis.stride + tap).saturating_sub(axis.padding).min(axis.size - 1) as u32;
            let indices: Vec<u32> = (0..axis.outputs).map(index).collect();
            let shifted = x.index_select(&Tensor::new(indices, x.device())?, dim)?;
            largest = Some(match largest {
                Some(largest) => later_if_larger(&largest, &shifted)?,
                None => shifted,
            });
        }
        largest.ok_or_else(|| Error::Config { op: MAX, message: "kernel 0".to_owned() })
    };
    channels_first(x, format, |x| along(&along(x, windows.columns, 3)?, windows.rows, 2))
}

/// `later` where it is larger or NaN, else `first`. (candle's `maximum` halves the gradient of equal values, and drops NaN.)
fn later_if_larger(first: &Tensor, later: &Tensor) -> Result<Tensor> {
    let wins = (later.gt(first)? + later.ne(later)?)?;
    Ok(wins.where_cond(later, first)?)
}
