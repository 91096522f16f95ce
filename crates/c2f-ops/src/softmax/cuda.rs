//! Softmax and its logarithm on a card.

use candle_core::{D, Tensor};

use super::NAME;
use crate::Result;
use crate::cuda::{Card, launch};
use crate::kernel::with_float;

pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    let (card, width) = (Card::of(x)?, x.dim(D::Minus1)?);
    Ok(with_float!(NAME, x.dtype(), T => {
        let y = card.read::<T, _, 1>([x], |[x]| launch::softmax(&card, x, width))?;
        card.record(NAME, &[x], y, x.shape(), move |_, y, g| {
            let card = Card::of(y)?;
            let dx = card.read::<T, _, 2>([y, g], |[y, g]| launch::softmax_gradient(&card, y, g, width))?;
            Ok(vec![Some(card.tensor(dx, y.shape()))])
        })
    })?)
}

pub(super) fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let (card, width) = (Card::of(x)?, x.dim(D::Minus1)?);
    Ok(with_float!(NAME, x.dtype(), T => {
        let y = card.read::<T, _, 1>([x], |[x]| launch::log_softmax(&card, x, width))?;
        card.record("log_softmax", &[x], y, x.shape(), move |_, y, g| {
            let card = Card::of(y)?;
            let dx = card.read::<T, _, 2>([y, g], |[y, g]| launch::log_softmax_gradient(&card, y, g, width))?;
            Ok(vec![Some(card.tensor(dx, y.shape()))])
        })
    })?)
}
