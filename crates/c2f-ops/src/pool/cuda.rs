//! Max pooling on a card.

use candle_core::Tensor;

use super::{MAX, Windows};
use crate::cuda::launch::Machine;
use crate::cuda::{Card, launch};
use crate::kernel::{channels_first, with_float};
use crate::{Format, Result};

pub(super) fn max_pool2d(x: &Tensor, windows: Windows, format: Format) -> Result<Tensor> {
    let (rows, columns) = windows.outputs();
    let windows = windows.for_kernels();
    channels_first(x, format, |x| {
        let (card, (batch, channels, _, _)) = (Card::of(x)?, x.dims4()?);
        Ok(with_float!(MAX, x.dtype(), T => {
            let (y, winners) = card.read::<T, _, 1>([x], |[x]| launch::max_pool(&card, x, &windows))?;
            card.record(MAX, &[x], y, (batch, channels, rows, columns), move |inputs, _, g| {
                let card = Card::of(g)?;
                let winners = card.input(&winners);
                let dx = card.read::<T, _, 1>([g], |[g]| launch::max_pool_gradient(&card, &winners, g, &windows))?;
                Ok(vec![Some(card.tensor(dx, inputs[0].shape()))])
            })
        })?)
    })
}

impl Windows {
    fn for_kernels(self) -> launch::Windows {
        let axis = |axis: super::Axis| launch::Axis {
            kernel: axis.kernel,
            stride: axis.stride,
            dilation: 1,
            padding: axis.padding,
            input: axis.size,
            output: axis.outputs,
        };
        launch::Windows { rows: axis(self.rows), columns: axis(self.columns) }
    }
}
