//! The loss of each method.

use c2f_attention::{Images, Look, Region, ws_dan};
use c2f_losses::{
    area_penalty, attention_correlation, attention_similarity, cross_entropy, soft_cross_entropy, total_variation,
    weighted_cross_entropy,
};
use c2f_ops::nn::Pass;
use candle_core::Tensor;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::probe::probe;
use crate::Inputs;
use crate::network::attention_of;
use crate::recipe::{ClassWeights, Loss, Method};
use crate::{Error, Network, Result, Stage};

/// What one batch gives.
pub(super) struct Objective {
    /// The sum of all terms, a scalar with its graph.
    pub loss: Tensor,
    /// (B, K): the coarse look's logits, without a graph.
    pub logits: Tensor,
    /// (B, M*C): the coarse look's part features, without a graph, where centres are to follow them.
    pub parts: Option<Tensor>,
}

/// The loss of a batch; `batch` is its number in the whole run, which keys what is random in it.
pub(super) fn objective(network: &Network, inputs: &Inputs, stage: Stage, batch: u64) -> Result<Objective> {
    match network.recipe.method {
        Method::WsDan => ws_dan_objective(network, inputs, batch),
        _ => looks_objective(network, inputs, stage, batch),
    }
}

/// The cross entropy of logits (B, K) and what the pictures show.
fn classification(network: &Network, logits: &Tensor, inputs: &Inputs) -> Result<Tensor> {
    let Loss { label_smoothing, class_weights, .. } = &network.recipe.loss;
    Ok(match (&inputs.targets, class_weights) {
        (Some(targets), _) => soft_cross_entropy(logits, targets, *label_smoothing)?,
        (None, ClassWeights::Uniform) => cross_entropy(logits, &inputs.labels, *label_smoothing)?,
        (None, ClassWeights::Balanced) => {
            let weights = network.class_weights.as_ref().ok_or_else(|| {
                Error::field("loss.class_weights", "balanced", "Network::weigh_classes before the first batch")
            })?;
            weighted_cross_entropy(logits, &inputs.labels, weights, *label_smoothing)?
        }
    })
}

/// The weighted sum of CE(coarse) and CE(fine), + centre + area and smoothness of the region + diversity of the attention.
fn looks_objective(network: &Network, inputs: &Inputs, stage: Stage, batch: u64) -> Result<Objective> {
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

/// `loss` and `weight` times `term`.
fn plus(loss: &Tensor, term: &Tensor, weight: f64) -> Result<Tensor> {
    Ok((loss + term.affine(weight, 0.0)?)?)
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
pub(super) fn coarse_objective(network: &Network, inputs: &Inputs, look: Look) -> Result<Objective> {
    let settings = &network.recipe.loss;
    let loss = classification(network, &look.logits, inputs)?.affine(settings.coarse_weight, 0.0)?;
    let loss = with_attention(network, &look, loss)?;
    with_centers(network, inputs, loss, look)
}

/// What the fine look at the region that `coarse` gives has to answer for, and the region: a scalar.
pub(super) fn fine_loss(network: &Network, inputs: &Inputs, coarse: &Look) -> Result<Tensor> {
    let (settings, pass) = (&network.recipe.loss, Pass::train());
    let images = Images { coarse: &inputs.images, source: inputs.source() };
    let region = network.model.region(&images, coarse, &pass)?;
    let look = network.model.look(&network.model.fine_input(&images, &region)?, &network.fine_pass(pass))?;
    let loss = classification(network, &look.logits, inputs)?.affine(settings.fine_weight, 0.0)?;
    with_region(network, &region, loss)
}

/// Adds the centre loss of the coarse look, where the network has centres.
fn with_centers(network: &Network, inputs: &Inputs, mut loss: Tensor, look: Look) -> Result<Objective> {
    let parts = look.parts.filter(|_| network.center.is_some());
    if let (Some(center), Some(parts)) = (&network.center, &parts) {
        let weight = network.recipe.loss.center_weight;
        loss = (loss + center.loss(parts, &inputs.labels)?.affine(weight, 0.0)?)?;
    }
    Ok(Objective { loss, logits: look.logits.detach(), parts: parts.map(|p| p.detach()) })
}

/// WS-DAN, sections 3.2 and 3.3: the mean cross entropy of the raw, the cropped and the dropped picture, and the centre
/// loss of the raw one.
fn ws_dan_objective(network: &Network, inputs: &Inputs, batch: u64) -> Result<Objective> {
    let (recipe, pass) = (&network.recipe, Pass::train());
    let mut rng = batch_rng(recipe.seed, *b"ws-dan  ", batch);
    let raw = network.model.look(&inputs.images, &pass)?;
    let attention = attention_of(raw.attention.as_ref())?.detach();

    let (pictures, _, height, width) = inputs.images.dims4()?;
    let size = (height, width);
    let crop_maps = ws_dan::select_maps(&attention, &ws_dan::draw_maps(&attention, &mut rng)?)?;
    let drop_maps = ws_dan::select_maps(&attention, &ws_dan::draw_maps(&attention, &mut rng)?)?;
    let mut thresholds =
        |[least, most]: [f32; 2]| -> Vec<f32> { (0..pictures).map(|_| rng.random_range(least..=most)).collect() };
    let crop_thresholds = thresholds(recipe.ws_dan.crop_threshold);
    let boxes =
        ws_dan::crop_boxes(&network.registered(&crop_maps, size)?, size, &crop_thresholds, recipe.ws_dan.crop_padding)?;
    let cropped = ws_dan::crop(inputs.source(), &boxes, size)?;
    let dropped = ws_dan::drop(
        &inputs.images,
        &network.registered(&drop_maps, size)?,
        &thresholds(recipe.ws_dan.drop_threshold),
    )?;

    let cross_entropy = |logits: &Tensor| classification(network, logits, inputs);
    let mut loss = cross_entropy(&raw.logits)?;
    for picture in [cropped, dropped] {
        loss = (loss + cross_entropy(&network.model.look(&picture, &pass)?.logits)?)?;
    }
    loss = loss.affine(1.0 / 3.0, 0.0)?;
    with_centers(network, inputs, loss, raw)
}

/// Keyed by seed, purpose and batch, so that a resumed run draws what the uninterrupted one did.
pub(super) fn batch_rng(seed: u64, purpose: [u8; 8], batch: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&batch.to_le_bytes());
    key[16..24].copy_from_slice(&purpose);
    ChaCha8Rng::from_seed(key)
}
