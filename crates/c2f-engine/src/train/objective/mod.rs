//! The loss of each method.

mod crops;
mod looks;
mod mutual_channel;
mod pairs;
mod progressive;

pub(super) use looks::{coarse_objective, fine_loss};
pub(super) use progressive::objective as level_objective;

use c2f_attention::{LEVELS, Look};
use c2f_losses::{cross_entropy, soft_cross_entropy, weighted_cross_entropy};
use candle_core::Tensor;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::loss::Loss;
use crate::Inputs;
use crate::recipe::{ClassWeights, Method};
use crate::{Error, Network, Result, Stage};

/// What one batch gives.
pub(super) struct Objective {
    /// With its graph.
    pub loss: Loss,
    /// (B, K): the coarse look's logits, without a graph.
    pub logits: Tensor,
    /// (B, M*C): the coarse look's part features, without a graph, where centres are to follow them.
    pub parts: Option<Tensor>,
}

/// The loss of a batch; `batch` is its number in the whole run, which keys what is random in it.
pub(super) fn objective(network: &Network, inputs: &Inputs, stage: Stage, batch: u64) -> Result<Objective> {
    match (network.recipe.method, &network.pairs) {
        (Method::WsDan | Method::Cal, _) => crops::objective(network, inputs, batch),
        (Method::McLoss, _) => mutual_channel::objective(network, inputs, batch),
        (Method::Pmg, _) => level_objective(network, inputs, LEVELS, batch),
        (_, Some(interaction)) => pairs::objective(network, inputs, interaction, batch),
        _ => looks::objective(network, inputs, stage, batch),
    }
}

/// The cross entropy of logits (B, K) and what the pictures show.
fn classification(network: &Network, logits: &Tensor, inputs: &Inputs) -> Result<Tensor> {
    match &inputs.targets {
        Some(targets) => Ok(soft_cross_entropy(logits, targets, network.recipe.loss.label_smoothing)?),
        None => labelled(network, logits, &inputs.labels),
    }
}

/// The cross entropy of logits (N, K) and labels (N).
fn labelled(network: &Network, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let settings = &network.recipe.loss;
    Ok(match settings.class_weights {
        ClassWeights::Uniform => cross_entropy(logits, labels, settings.label_smoothing)?,
        ClassWeights::Balanced => {
            let weights = network.class_weights.as_ref().ok_or_else(|| {
                Error::field("loss.class_weights", "balanced", "Network::weigh_classes before the first batch")
            })?;
            weighted_cross_entropy(logits, labels, weights, settings.label_smoothing)?
        }
    })
}

/// Adds the centre loss of the coarse look, where the network has centres.
fn with_centers(network: &Network, inputs: &Inputs, mut loss: Loss, look: Look) -> Result<Objective> {
    let parts = look.parts.filter(|_| network.center.is_some());
    if let (Some(center), Some(parts)) = (&network.center, &parts) {
        loss.add("center", &center.loss(parts, &inputs.labels)?, network.recipe.loss.center_weight)?;
    }
    Ok(Objective { loss, logits: look.logits.detach(), parts: parts.map(|p| p.detach()) })
}

/// Keyed by seed, purpose and batch, so that a resumed run draws what the uninterrupted one did.
pub(super) fn batch_rng(seed: u64, purpose: [u8; 8], batch: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&batch.to_le_bytes());
    key[16..24].copy_from_slice(&purpose);
    ChaCha8Rng::from_seed(key)
}
