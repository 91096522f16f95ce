//! One look, or two: the whole picture and the region that an inverse mapping finds.

use c2f_attention::{Images, Look, Region};
use c2f_losses::{area_penalty, attention_correlation, attention_similarity, total_variation};
use c2f_ops::nn::Pass;

use super::{Objective, classification, with_centers};
use crate::train::loss::Loss;
use crate::train::probe::probe;
use crate::{Inputs, Network, Result, Stage};

/// The weighted sum of CE(coarse) and CE(fine), + centre + area and smoothness of the region + diversity of the attention.
pub(super) fn objective(network: &Network, inputs: &Inputs, stage: Stage, batch: u64) -> Result<Objective> {
    let settings = &network.recipe.loss;
    let (pass, images) = (Pass::train(), Images { coarse: &inputs.images, source: inputs.source() });
    let fine_pass = (stage == Stage::Fine).then(|| network.fine_pass(pass));
    let output = network.model.run(&images, &pass, fine_pass.as_ref())?;

    let coarse = classification(network, &output.coarse.logits, inputs)?;
    let mut loss = match &output.fine {
        Some(fine) => {
            let mut loss = Loss::of("coarse", coarse.affine(settings.coarse_weight, 0.0)?);
            loss.add("fine", &classification(network, &fine.logits, inputs)?, settings.fine_weight)?;
            loss
        }
        None => Loss::of("coarse", coarse),
    };
    if let Some(region) = &output.region {
        add_region(network, region, &mut loss)?;
        if let Some(term) = probe(network, inputs, region, batch)? {
            loss.add("probe", &term, 1.0)?;
        }
    }
    add_attention(network, &output.coarse, &mut loss)?;
    with_centers(network, inputs, loss, output.coarse)
}

/// Adds area and smoothness of the region, each with its weight.
fn add_region(network: &Network, region: &Region, loss: &mut Loss) -> Result<()> {
    let inverse = &network.recipe.inverse;
    // A fixed box has nothing to learn.
    if inverse.region.is_fixed() {
        return Ok(());
    }
    if inverse.area_weight > 0.0 {
        loss.add("area", &area_penalty(&region.area()?, inverse.area_target)?, inverse.area_weight)?;
    }
    if inverse.total_variation > 0.0 {
        loss.add("total_variation", &total_variation(&region.map)?, inverse.total_variation)?;
    }
    Ok(())
}

/// Adds how alike the coarse look's attention maps are, with its weights.
fn add_attention(network: &Network, coarse: &Look, loss: &mut Loss) -> Result<()> {
    let settings = &network.recipe.loss;
    let Some(attention) = &coarse.attention else { return Ok(()) };
    if settings.attention_similarity_weight > 0.0 {
        let term = attention_similarity(attention)?;
        loss.add("attention_similarity", &term, settings.attention_similarity_weight)?;
    }
    if settings.attention_correlation_weight > 0.0 {
        let term = attention_correlation(attention)?;
        loss.add("attention_correlation", &term, settings.attention_correlation_weight)?;
    }
    Ok(())
}

/// What the coarse look alone has to answer for: its weighted cross entropy, its attention, the centres.
pub(in crate::train) fn coarse_objective(network: &Network, inputs: &Inputs, look: Look) -> Result<Objective> {
    let settings = &network.recipe.loss;
    let term = classification(network, &look.logits, inputs)?.affine(settings.coarse_weight, 0.0)?;
    let mut loss = Loss::of("coarse", term);
    add_attention(network, &look, &mut loss)?;
    with_centers(network, inputs, loss, look)
}

/// What the fine look at the region that `coarse` gives has to answer for, and the region.
pub(in crate::train) fn fine_loss(network: &Network, inputs: &Inputs, coarse: &Look) -> Result<Loss> {
    let (settings, pass) = (&network.recipe.loss, Pass::train());
    let images = Images { coarse: &inputs.images, source: inputs.source() };
    let region = network.model.region(&images, coarse, &pass)?;
    let look = network.model.look(&network.model.fine_input(&images, &region)?, &network.fine_pass(pass))?;
    let term = classification(network, &look.logits, inputs)?.affine(settings.fine_weight, 0.0)?;
    let mut loss = Loss::of("fine", term);
    add_region(network, &region, &mut loss)?;
    Ok(loss)
}
