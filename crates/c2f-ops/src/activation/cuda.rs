//! ReLU on a card.

use candle_core::Tensor;

use super::NAME;
use crate::Result;
use crate::cuda::{Card, launch};
use crate::kernel::with_float;

pub(super) fn relu(x: &Tensor, ceiling: f64) -> Result<Tensor> {
    let card = Card::of(x)?;
    Ok(with_float!(NAME, x.dtype(), T => {
        let y = card.read::<T, _, 1>([x], |[x]| launch::limited(&card, x, 0.0, ceiling))?;
        card.record(NAME, &[x], y, x.shape(), move |_, y, g| Ok(vec![Some(before(y, g, (0.0, ceiling))?)]))
    })?)
}

/// `min(max(a + b, low), high)`, limits being (low, high).
pub(crate) fn add(a: &Tensor, b: &Tensor, limits: (f64, f64)) -> Result<Tensor> {
    let card = Card::of(a)?;
    Ok(with_float!(NAME, a.dtype(), T => {
        let y = card.read::<T, _, 2>([a, b], |[a, b]| launch::add_limited(&card, a, b, limits.0, limits.1))?;
        card.record(NAME, &[a, b], y, a.shape(), move |inputs, y, g| {
            let d = before(y, g, limits)?;
            Ok(inputs.iter().map(|input| input.track_op().then(|| d.clone())).collect())
        })
    })?)
}

/// The gradient before the limits, from the output and the gradient after them.
fn before(y: &Tensor, g: &Tensor, (low, high): (f64, f64)) -> candle_core::Result<Tensor> {
    let card = Card::of(y)?;
    with_float!(NAME, y.dtype(), T => {
        let dx = card.read::<T, _, 2>([y, g], |[y, g]| launch::limited_gradient(&card, y, g, low, high))?;
        Ok(card.tensor(dx, y.shape()))
    })
}
