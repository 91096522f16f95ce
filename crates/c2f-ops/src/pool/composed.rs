//! Max pooling by candle's operations.

use candle_core::Tensor;

use super::MAX;
use super::windows::{Axis, Windows};
use crate::kernel::channels_first;
use crate::{Error, Format, Result};

/// The largest of shifted copies, along the rows and then along the columns. A tap that falls on the padding reads the
/// nearest pixel of the map instead, which lies in the same window.
pub(super) fn max_pool2d(x: &Tensor, windows: Windows, format: Format) -> Result<Tensor> {
    let along = |x: &Tensor, axis: Axis, dim: usize| -> Result<Tensor> {
        let mut largest: Option<Tensor> = None;
        for tap in 0..axis.kernel {
            let index =
                |output: usize| (output * axis.stride + tap).saturating_sub(axis.padding).min(axis.size - 1) as u32;
            let indices: Vec<u32> = (0..axis.outputs).map(index).collect();
            let shifted = x.index_select(&Tensor::new(indices, x.device())?, dim)?;
            largest = Some(match largest {
                Some(largest) => largest.maximum(&shifted)?,
                None => shifted,
            });
        }
        largest.ok_or_else(|| Error::Config { op: MAX, message: "kernel 0".to_owned() })
    };
    channels_first(x, format, |x| along(&along(x, windows.rows, 2)?, windows.columns, 3))
}
