//! One look whose feature channels belong to classes.

use c2f_losses::ChannelGroups;
use c2f_ops::nn::Pass;
use candle_core::Tensor;

use super::{Objective, batch_rng, classification, with_centers};
use crate::train::loss::Loss;
use crate::{Inputs, Network, Result};

/// MC-Loss (section III): the look's cross entropy, that of its channels' responses, and how alike the channels of a class are.
pub(super) fn objective(network: &Network, inputs: &Inputs, batch: u64) -> Result<Objective> {
    let settings = &network.recipe.mc_loss;
    let groups = ChannelGroups::new(network.model.backbone().endpoint().channels, network.classes.len())?;
    let look = network.model.look(&inputs.images, &Pass::train())?;
    let mut rng = batch_rng(network.recipe.seed, *b"mc-loss ", batch);
    let factors = Tensor::new(groups.draw(&mut rng), look.features.device())?;
    let responses = groups.responses(&look.features, &factors)?;
    let mut loss = Loss::of("coarse", classification(network, &look.logits, inputs)?);
    loss.add("discriminality", &classification(network, &responses, inputs)?, settings.discriminality_weight)?;
    loss.add("diversity", &groups.diversity(&look.features)?, settings.diversity_weight)?;
    with_centers(network, inputs, loss, look)
}
