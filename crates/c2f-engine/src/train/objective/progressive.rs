//! One look at a time by each level of a progressive head.

use c2f_attention::{LEVELS, jigsaw};
use c2f_ops::nn::Pass;

use super::{Objective, batch_rng, classification};
use crate::train::loss::Loss;
use crate::{Inputs, Network, Result};

/// Along each side, into how many pieces the pictures of a level's step are cut; the last is that of all levels together.
const PIECES: [usize; LEVELS + 1] = [8, 4, 2, 1];

/// PMG: the cross entropy of one level, in the order of the data's way, at pictures whose pieces lie in another order, and, for the last of
/// [`PIECES`], twice that of all levels at the whole pictures. Each is a step of the optimiser.
pub(in crate::train) fn objective(network: &Network, inputs: &Inputs, level: usize, batch: u64) -> Result<Objective> {
    let purpose = [*b"pmg-8x8 ", *b"pmg-4x4 ", *b"pmg-2x2 ", *b"pmg     "][level];
    let pictures = match PIECES[level] {
        1 => inputs.images.clone(),
        pieces => jigsaw(&inputs.images, pieces, &mut batch_rng(network.recipe.seed, purpose, batch))?,
    };
    let logits = network.model.level_logits(&pictures, &Pass::train())?.swap_remove(level);
    let (name, weight) = [("pieces_8", 1.0), ("pieces_4", 1.0), ("pieces_2", 1.0), ("whole", 2.0)][level];
    let loss = Loss::of(name, classification(network, &logits, inputs)?.affine(weight, 0.0)?);
    Ok(Objective { loss, logits: logits.detach(), parts: None })
}
