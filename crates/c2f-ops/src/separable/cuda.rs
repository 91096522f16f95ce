//! A separable map on a card.

use candle_core::{Tensor, WithDType};

use super::Separable;
use crate::cuda::{Card, launch};
use crate::kernel::{channels_first, with_float};

use crate::{Format, Result};

pub(super) fn separable(map: &Separable, x: &Tensor, format: Format) -> Result<Tensor> {
    channels_first(x, format, |x| {
        let (card, transposed) = (Card::of(x)?, map.transposed());
        let (batch, channels, _, _) = x.dims4()?;
        let (height, width) = map.outputs();
        Ok(with_float!(map.name, x.dtype(), T => {
            let run = |card: &Card, map: &Separable, x: &Tensor| {
                let (rows, columns) = ((map.rows.inputs, &*map.rows.outputs), (map.columns.inputs, &*map.columns.outputs));
                card.read::<T, _, 1>([x], |[x]| launch::separable(card, x, rows, columns, T::from_f64))
            };
            let y = run(&card, map, x)?;
            card.record(map.name, &[x], y, (batch, channels, height, width), move |inputs, _, g| {
                let card = Card::of(g)?;
                Ok(vec![Some(card.tensor(run(&card, &transposed, g)?, inputs[0].shape()))])
            })
        })?)
    })
}
