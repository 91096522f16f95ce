//! A gradient of the fine look's box that comes from looking, not from the pixels at its edges.
//!
//! The gradient of a sampled picture with respect to its box holds for a pixel or two. Two boxes on either side along a random
//! direction, whose losses are compared, say how the loss changes over the distance between them (Spall 1992, simultaneous
//! perturbation).

use c2f_attention::{Images, Region};
use c2f_ops::log_softmax;
use c2f_ops::nn::{Pass, Weights};
use candle_core::Tensor;
use rand::Rng;
use rand::seq::SliceRandom;

use super::objective::batch_rng;
use crate::recipe::Probe;
use crate::{Inputs, Network, Result};

/// A term, a scalar of no value of its own, whose gradient with respect to the boxes is what the probe found; none where the recipe has
/// no probe, at every second batch, and where there is no box.
pub(super) fn probe(network: &Network, inputs: &Inputs, region: &Region, batch: u64) -> Result<Option<Tensor>> {
    let settings = &network.recipe.inverse;
    let Some(boxes) = region.boxes().filter(|_| settings.probe != Probe::Off && batch.is_multiple_of(2)) else {
        return Ok(None);
    };
    let (pictures, _) = boxes.dims2()?;
    let mut rng = batch_rng(network.recipe.seed, *b"probe   ", batch);
    let signs: Vec<f32> = (0..4 * pictures).map(|_| if rng.random::<bool>() { 1.0 } else { -1.0 }).collect();
    let direction = Tensor::from_vec(signs, (pictures, 4), boxes.device())?;
    let step = direction.affine(settings.probe_step, 0.0)?;
    let losses = |boxes: Tensor| losses(network, inputs, &region.with_boxes(boxes));
    // What is looked at there is nothing for the running statistics.
    let (probed, _) = network.params.deferred(|| -> Result<_> {
        let boxes = boxes.detach();
        Ok((losses((&boxes + &step)?)?, losses((&boxes - &step)?)?))
    });
    let (more, less) = probed?;
    // Of signs the reciprocal is the sign itself.
    let mut slopes = (more - less)?.affine(0.5 / settings.probe_step, 0.0)?;
    if settings.probe == Probe::Shuffled {
        let mut order: Vec<u32> = (0..pictures as u32).collect();
        order.shuffle(&mut rng);
        slopes = slopes.index_select(&Tensor::from_vec(order, pictures, boxes.device())?, 0)?;
    }
    let gradient = direction.broadcast_mul(&slopes.unsqueeze(1)?)?.affine(1.0 / pictures as f64, 0.0)?;
    let constant = boxes.detach();
    Ok(Some(((boxes - constant)? * gradient.detach())?.sum_all()?))
}

/// The cross entropy (B) of each picture at these boxes, without a graph.
fn losses(network: &Network, inputs: &Inputs, region: &Region) -> Result<Tensor> {
    let pass = network.fine_pass(Pass::train().with_weights(Weights::Detached));
    let images = Images { coarse: &inputs.images, source: inputs.source() };
    let logits = network.model.look(&network.model.fine_input(&images, region)?.detach(), &pass)?.logits;
    Ok(log_softmax(&logits)?.gather(&inputs.labels.unsqueeze(1)?, 1)?.squeeze(1)?.neg()?.detach())
}
