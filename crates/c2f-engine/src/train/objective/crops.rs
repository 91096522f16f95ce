//! Crop and drop: the whole picture, and two that its attention makes of it.

use c2f_attention::{Look, counterfactual, ws_dan};
use c2f_ops::nn::Pass;
use candle_core::Tensor;
use rand::Rng;

use super::{Objective, batch_rng, classification, with_centers};
use crate::network::attention_of;
use crate::recipe::Method;
use crate::train::loss::Loss;
use crate::{Inputs, Network, Result};

/// WS-DAN, sections 3.2 and 3.3: the mean cross entropy of the raw, the cropped and the dropped picture, and the centre
/// loss of the raw one. In CAL (section 3.3, and the weights of its code) each picture's is the sum of that of its logits and that of its
/// attention's effect on them.
pub(super) fn objective(network: &Network, inputs: &Inputs, batch: u64) -> Result<Objective> {
    let (recipe, pass) = (&network.recipe, Pass::train());
    let raw = network.model.look(&inputs.images, &pass)?;
    let attention = attention_of(raw.attention.as_ref())?.detach();
    let pictures = crop_and_drop(network, inputs, &attention, &mut batch_rng(recipe.seed, *b"ws-dan  ", batch))?;

    let mut rng = batch_rng(recipe.seed, *b"cal     ", batch);
    let mut cost = |look: &Look| -> Result<Tensor> {
        let cost = classification(network, &look.logits, inputs)?;
        if recipe.method != Method::Cal {
            return Ok(cost);
        }
        let elsewhere = counterfactual::random_attention(attention_of(look.attention.as_ref())?, &mut rng)?;
        let effect = counterfactual::effect(&network.model, look, elsewhere, &pass)?;
        Ok((cost + classification(network, &effect, inputs)?)?)
    };
    let mut loss = Loss::of("raw", cost(&raw)?);
    for (name, picture) in ["crop", "drop"].into_iter().zip(pictures) {
        loss.add(name, &cost(&network.model.look(&picture, &pass)?)?, 1.0)?;
    }
    with_centers(network, inputs, loss.times(1.0 / 3.0)?, raw)
}

/// The pictures cropped to one of their attention maps (B, M, h, w), and with what another one shows left out.
fn crop_and_drop(network: &Network, inputs: &Inputs, attention: &Tensor, rng: &mut impl Rng) -> Result<[Tensor; 2]> {
    let settings = &network.recipe.ws_dan;
    let (pictures, _, height, width) = inputs.images.dims4()?;
    let size = (height, width);
    let crop_maps = ws_dan::select_maps(attention, &ws_dan::draw_maps(attention, rng)?)?;
    let drop_maps = ws_dan::select_maps(attention, &ws_dan::draw_maps(attention, rng)?)?;
    let mut thresholds =
        |[least, most]: [f32; 2]| -> Vec<f32> { (0..pictures).map(|_| rng.random_range(least..=most)).collect() };
    let crop_thresholds = thresholds(settings.crop_threshold);
    let boxes =
        ws_dan::crop_boxes(&network.registered(&crop_maps, size)?, size, &crop_thresholds, settings.crop_padding)?;
    let cropped = ws_dan::crop(inputs.source(), &boxes, size)?;
    let drop_thresholds = thresholds(settings.drop_threshold);
    let dropped = ws_dan::drop(&inputs.images, &network.registered(&drop_maps, size)?, &drop_thresholds)?;
    Ok([cropped, dropped])
}
