//! A separable map as two matrix products.

use candle_core::{DType, Device, Tensor};

use super::{Separable, Taps};
use crate::kernel::channels_first;
use crate::{Format, Result};

pub(crate) fn separable(map: &Separable, x: &Tensor, format: Format) -> Result<Tensor> {
    channels_first(x, format, |x| {
        let (b, c, h, w) = x.dims4()?;
        let rows = map.rows.matrix(x.dtype(), x.device())?;
        let columns = map.columns.matrix(x.dtype(), x.device())?;
        let (oh, ow) = (rows.dim(0)?, columns.dim(0)?);
        let y = x.reshape((b * c * h, w))?.matmul(&columns.t()?)?.reshape((b * c, h, ow))?;
        let y = y.transpose(1, 2)?.contiguous()?.reshape((b * c * ow, h))?.matmul(&rows.t()?)?;
        Ok(y.reshape((b, c, ow, oh))?.transpose(2, 3)?.contiguous()?)
    })
}

impl Taps {
    /// (outputs, inputs)
    fn matrix(&self, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut values = vec![0.0; self.outputs.len() * self.inputs];
        for (row, taps) in values.chunks_exact_mut(self.inputs).zip(&self.outputs) {
            for &(input, weight) in taps {
                row[input] += weight;
            }
        }
        Tensor::from_vec(values, (self.outputs.len(), self.inputs), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
    }
}
