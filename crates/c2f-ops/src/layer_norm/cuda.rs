//! Layer normalisation on a card.

use candle_core::Tensor;

use super::NAME;
use crate::Result;
use crate::cuda::launch::Machine;
use crate::cuda::{Card, launch};
use crate::kernel::with_float;

pub(super) fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor, eps: f64) -> Result<Tensor> {
    let card = Card::of(x)?;
    Ok(with_float!(NAME, x.dtype(), T => {
        let inputs = [x, gamma, beta];
        let (y, mean, rstd) = card
            .read::<T, _, 3>(inputs, |[x, gamma, beta]| launch::layer_norm(&card, x, gamma, beta, eps))?;
        card.record(NAME, &inputs, y, x.shape(), move |inputs, _, g| {
            let &[x, gamma, beta] = inputs else { candle_core::bail!("{NAME}: {} inputs", inputs.len()) };
            let card = Card::of(g)?;
            let wanted = (x.track_op(), gamma.track_op() || beta.track_op());
            let (dx, affine) = card.read::<T, _, 3>([x, g, gamma], |[x, g, gamma]| {
                let moments = (&card.input(&mean), &card.input(&rstd));
                launch::layer_norm_gradients(&card, x, g, gamma, moments, wanted)
            })?;
            let affine = affine.map(|affine| card.tensor(affine, (2, gamma.elem_count())));
            let part = |i: usize| affine.as_ref().map(|affine| affine.get(i)).transpose();
            Ok(vec![dx.map(|dx| card.tensor(dx, x.shape())), part(0)?, part(1)?])
        })
    })?)
}
