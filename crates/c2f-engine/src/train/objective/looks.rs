//! One look, or two: the whole picture and the region that an inverse mapping finds.

use c2f_attention::{Images, Look, Region};
use c2f_losses::{area_penalty, attention_correlation, attention_similarity, total_variation};
use c2f_ops::nn::Pass;
use candle_core::Tensor;

use super::{Objective, classification, plus, with_centers};
use crate::train::probe::probe;
use crate::{Inputs, Network, Result, Stage};

/// The weighted sum of CE(coarse) and CE(fine), + centre + area and smoothness of the region + diversity of the attention.
pub(super) fn objective(network: &Network, inputs: &Inputs, stage: Stage, batch: u64) -> Result<Objective> {
    let settings = &network.recipe.loss;
    let (pass, images) = (Pass::train(), Images { coarse: &inputs.images, source: inputs.source() });
    let fine_pass = (stage == Stage::Fine).then(|| network.fine_pass(pass));
    let output = network.model.run(&images, &pass, fine_pass.as_ref())?;

    let mut loss = classification(network, &output.coarse.logits, inputs)?;
    if let Some(fine) = &output.fine {
        let fine = classification(network, &fine.logits, inputs)?;
        loss = (loss.affine(settings.coarse_weight, 0.0)? + fine.affine(settings.fine_weight, 0.0)?)?;
    }
    if let Some(region) = &output.region {
        loss = with_region(network, region, loss)?;
        if let Some(term) = probe(network, inputs, region, batch)? {
            loss = plus(&loss, &term, 1.0)?;
        }
    }
    loss = with_attention(network, &output.coarse, loss)?;
    with_centers(network, inputs, loss, output.coarse)
}

/// Adds area and smoothness of the region, each with its weight.
fn with_region(network: &Network, region: &Region, mut loss: Tensor) -> Result<Tensor> {
    let inverse = &network.recipe.inverse;
    // A fixed box has nothing to learn.
    if inverse.region.is_fixed() {
        return Ok(loss);
    }
    if inverse.area_weight > 0.0 {
        loss = plus(&loss, &area_penalty(&region.area()?, inverse.area_target)?, inverse.area_weight)?;
    }
    if inverse.total_variation > 0.0 {
        loss = plus(&loss, &total_variation(&region.map)?, inverse.total_variation)?;
    }
    Ok(loss)
}

/// Adds how alike the coarse look's attention maps are, with its weights.
fn with_attention(network: &Network, coarse: &Look, mut loss: Tensor) -> Result<Tensor> {
    let settings = &network.recipe.loss;
    let Some(attention) = &coarse.attention else { return Ok(loss) };
    if settings.attention_similarity_weight > 0.0 {
        loss = plus(&loss, &attention_similarity(attention)?, settings.attention_similarity_weight)?;
    }
    if settings.attention_correlation_weight > 0.0 {
        loss = plus(&loss, &attention_correlation(attention)?, settings.attention_correlation_weight)?;
    }
    Ok(loss)
}

/// What the coarse look alone has to answer for: its weighted cross entropy, its attention, the centres.
pub(in crate::train) fn coarse_objective(network: &Network, inputs: &Inputs, look: Look) -> Result<Objective> {
    let settings = &network.recipe.loss;
    let loss = classification(network, &look.logits, inputs)?.affine(settings.coarse_weight, 0.0)?;
    let loss = with_attention(network, &look, loss)?;
    with_centers(network, inputs, loss, look)
}

/// What the fine look at the region that `coarse` gives has to answer for, and the region: a scalar.
pub(in crate::train) fn fine_loss(network: &Network, inputs: &Inputs, coarse: &Look) -> Result<Tensor> {
    let (settings, pass) = (&network.recipe.loss, Pass::train());
    let images = Images { coarse: &inputs.images, source: inputs.source() };
    let region = network.model.region(&images, coarse, &pass)?;
    let look = network.model.look(&network.model.fine_input(&images, &region)?, &network.fine_pass(pass))?;
    let loss = classification(network, &look.logits, inputs)?.affine(settings.fine_weight, 0.0)?;
    with_region(network, &region, loss)
}
