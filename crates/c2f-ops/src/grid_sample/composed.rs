//! Sampling by candle's operations: a gather of each of the four corners.

use candle_core::{DType, Tensor};

use super::{GridPadding, NAME, Sampler};
use crate::activation::clamp;
use crate::kernel::channels_first;
use crate::{Error, Result};

pub(super) fn grid_sample(x: &Tensor, grid: &Tensor, sampler: Sampler) -> Result<Tensor> {
    let (batch, oh, ow, _) = grid.dims4()?;
    let place = |axis: usize, size: usize| -> Result<[(Tensor, Tensor, Tensor); 2]> {
        let (scale, offset) = sampler.pixels(size);
        let last = (size - 1) as f64;
        let position = grid.narrow(3, axis, 1)?.reshape((batch, oh * ow))?.affine(scale, offset)?;
        let constant = |value: f64| Tensor::new(value, x.device())?.to_dtype(x.dtype())?.broadcast_as(position.shape());
        // NaN equals nothing and lies nowhere; its weights, and those of infinity, would be NaN.
        let position = match sampler.padding {
            GridPadding::Border => {
                let position = clamp(&position, 0.0, last)?;
                position.eq(&position)?.where_cond(&position, &constant(0.0)?)?
            }
            GridPadding::Zeros => {
                let near = position.gt(-1.0)?.mul(&position.lt(size as f64)?)?;
                near.where_cond(&position, &constant(-2.0)?)?
            }
        };
        let low = position.detach().floor()?;
        let high_weight = (&position - &low)?;
        let corner = |at: Tensor, weight: Tensor| -> Result<(Tensor, Tensor, Tensor)> {
            let inside = at.ge(0.0)?.mul(&at.le(last)?)?;
            // Whole numbers: f32 has no odd ones above 2^24, which a pixel's index may be.
            Ok((at.clamp(0.0, last)?.to_dtype(DType::U32)?, weight, inside))
        };
        Ok([corner(low.clone(), high_weight.affine(-1.0, 1.0)?)?, corner((low + 1.0)?, high_weight)?])
    };
    let (columns, rows) = (place(0, sampler.width)?, place(1, sampler.height)?);
    channels_first(x, sampler.format, |x| {
        let x = x.reshape((batch, sampler.channels, sampler.height * sampler.width))?;
        let mut y: Option<Tensor> = None;
        for (row, row_weight, row_inside) in &rows {
            for (column, column_weight, column_inside) in &columns {
                let pixel = (row.affine(sampler.width as f64, 0.0)? + column)?;
                let inside = (row_inside * column_inside)?.to_dtype(x.dtype())?;
                let weight = ((row_weight * column_weight)? * inside)?.unsqueeze(1)?;
                let pixel = pixel.unsqueeze(1)?.broadcast_as((batch, sampler.channels, oh * ow))?.contiguous()?;
                let part = x.gather(&pixel, 2)?.broadcast_mul(&weight)?;
                y = Some(match y {
                    Some(y) => (y + part)?,
                    None => part,
                });
            }
        }
        let y = y.ok_or_else(|| Error::Config { op: NAME, message: "no corner".to_owned() })?;
        Ok(y.reshape((batch, sampler.channels, oh, ow))?)
    })
}
