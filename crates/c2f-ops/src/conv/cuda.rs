//! Depthwise convolution on a card, where candle would run one convolution per channel.

use candle_core::Tensor;

use super::NAME;
use super::geometry::{Axis, Geometry};
use crate::cuda::{Card, launch};
use crate::kernel::{channels_first, with_float};
use crate::{Format, Result};

pub(super) fn depthwise(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    g: &Geometry,
    format: Format,
) -> Result<Tensor> {
    let (channels, windows) = (g.c_in, g.for_kernels());
    channels_first(x, format, |x| {
        let card = Card::of(x)?;
        let shape = (g.batch, g.c_out, g.rows.output, g.columns.output);
        let y = with_float!(NAME, x.dtype(), T => {
            let inputs = [x, weight];
            let y = card.read::<T, _, 2>(inputs, |[x, weight]| launch::depthwise(&card, x, weight, channels, &windows))?;
            card.record(NAME, &inputs, y, shape, move |inputs, _, g| {
                let &[x, weight] = inputs else { candle_core::bail!("{NAME}: {} inputs", inputs.len()) };
                let card = Card::of(g)?;
                let dx = x.track_op().then(|| {
                    card.read::<T, _, 2>([g, weight], |[g, weight]| {
                        launch::depthwise_input(&card, g, weight, channels, &windows)
                    })
                });
                let dw = weight.track_op().then(|| {
                    card.read::<T, _, 2>([x, g], |[x, g]| launch::depthwise_weight(&card, x, g, channels, &windows))
                });
                let dx = dx.transpose()?.map(|dx| card.tensor(dx, x.shape()));
                Ok(vec![dx, dw.transpose()?.map(|dw| card.tensor(dw, weight.shape()))])
            })
        })?;
        match bias {
            Some(bias) => Ok(y.broadcast_add(&bias.reshape((1, (), 1, 1))?)?),
            None => Ok(y),
        }
    })
}

impl Geometry {
    fn for_kernels(&self) -> launch::Windows {
        let axis = |axis: &Axis, kernel: usize| launch::Axis {
            kernel,
            stride: axis.stride,
            dilation: axis.dilation,
            padding: axis.padding.0,
            input: axis.input,
            output: axis.output,
        };
        launch::Windows { rows: axis(&self.rows, self.kernel.0), columns: axis(&self.columns, self.kernel.1) }
    }
}
