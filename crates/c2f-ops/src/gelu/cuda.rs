//! GELU on a card.

use candle_core::Tensor;

use super::NAME;
use crate::Result;
use crate::cuda::{Card, launch};
use crate::kernel::with_float;

pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    let card = Card::of(x)?;
    Ok(with_float!(NAME, x.dtype(), T => {
        let y = card.read::<T, _, 1>([x], |[x]| launch::gelu(&card, x))?;
        card.record(NAME, &[x], y, x.shape(), |inputs, _, g| {
            let card = Card::of(g)?;
            let dx = card.read::<T, _, 2>([inputs[0], g], |[x, g]| launch::gelu_gradient(&card, x, g))?;
            Ok(vec![Some(card.tensor(dx, g.shape()))])
        })
    })?)
}
