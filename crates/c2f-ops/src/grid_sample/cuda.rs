//! Sampling on a card.

use candle_core::Tensor;

use super::{GridPadding, NAME, Sampler};
use crate::Result;
use crate::cuda::{Card, launch};
use crate::kernel::{channels_first, with_float};

pub(super) fn grid_sample(x: &Tensor, grid: &Tensor, sampler: Sampler) -> Result<Tensor> {
    let (batch, height, width, _) = grid.dims4()?;
    let kernels = launch::Sampler {
        channels: sampler.channels,
        height: sampler.height,
        width: sampler.width,
        points: height * width,
        x: sampler.pixels(sampler.width),
        y: sampler.pixels(sampler.height),
        border: sampler.padding == GridPadding::Border,
    };
    channels_first(x, sampler.format, |x| {
        let card = Card::of(x)?;
        Ok(with_float!(NAME, x.dtype(), T => {
            let y = card.read::<T, _, 2>([x, grid], |[x, grid]| launch::grid_sample(&card, x, grid, &kernels))?;
            let shape = (batch, sampler.channels, height, width);
            card.record(NAME, &[x, grid], y, shape, move |inputs, _, g| {
                let &[x, grid] = inputs else { candle_core::bail!("{NAME}: {} inputs", inputs.len()) };
                let (card, wanted) = (Card::of(g)?, (x.track_op(), grid.track_op()));
                let (dx, dgrid) = card.read::<T, _, 3>([x, grid, g], |[x, grid, g]| {
                    launch::grid_sample_gradients(&card, x, grid, g, &kernels, wanted)
                })?;
                let dx = dx.map(|dx| card.tensor(dx, x.shape()));
                Ok(vec![dx, dgrid.map(|dgrid| card.tensor(dgrid, grid.shape()))])
            })
        })?)
    })
}
