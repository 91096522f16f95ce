//! Pictures of a batch that are compared with each other.

use c2f_attention::{PairInteraction, nearest_pairs};
use c2f_losses::score_ranking;
use c2f_ops::nn::Pass;
use c2f_ops::{Format, global_avg_pool};
use candle_core::Tensor;
use rand::Rng;

use super::{Objective, batch_rng, classification, labelled, with_centers};
use crate::train::loss::Loss;
use crate::{Inputs, Network, Result};

/// By how much a picture's score under its own gate is to exceed that under the other's; API-Net's.
const MARGIN: f64 = 0.05;

/// API-Net: each picture with its nearest of the same class and its nearest of another in the batch, both by both gates: the mean cross entropy,
/// and the ranking of the scores. A picture whose class appears once has no pair within it; one that is alone in its batch has none at all,
/// and its plain cross entropy.
pub(super) fn objective(
    network: &Network,
    inputs: &Inputs,
    interaction: &PairInteraction,
    batch: u64,
) -> Result<Objective> {
    let pass = Pass::train();
    let look = network.model.look(&inputs.images, &pass)?;
    let vectors = global_avg_pool(&look.features, Format::ChannelsFirst)?;
    let pairs = nearest_pairs(&vectors, &inputs.labels.to_vec1()?)?;
    if pairs.is_empty() {
        let loss = Loss::of("coarse", classification(network, &look.logits, inputs)?);
        return with_centers(network, inputs, loss, look);
    }
    let (one, two): (Vec<u32>, Vec<u32>) = pairs.into_iter().unzip();
    let [one, two] = [one, two].map(|places| Tensor::new(places, vectors.device()));
    let (one, two) = (one?, two?);

    let mut rng = batch_rng(network.recipe.seed, *b"api-net ", batch);
    let mut drop = |x: &Tensor| dropout(x, &mut rng);
    let [of_one, of_two] = [&one, &two].map(|places| vectors.index_select(places, 0));
    let gated = interaction.run(&of_one?, &of_two?, &mut drop, &pass)?;
    let mut score = |vectors: &Tensor| -> Result<Tensor> { Ok(network.model.score(&drop(vectors)?, &pass)?) };
    // The order of the authors' code, which decides what is dropped where.
    let (one_own, one_other) = (score(&gated.one[0])?, score(&gated.one[1])?);
    let (two_own, two_other) = (score(&gated.two[0])?, score(&gated.two[1])?);
    let own = Tensor::cat(&[one_own, two_own], 0)?;
    let other = Tensor::cat(&[one_other, two_other], 0)?;

    let labels = inputs.labels.index_select(&Tensor::cat(&[one, two], 0)?, 0)?;
    let of_both = Tensor::cat(&[&labels, &labels], 0)?;
    let mut loss = Loss::of("pairs", labelled(network, &Tensor::cat(&[&own, &other], 0)?, &of_both)?);
    loss.add("ranking", &score_ranking(&own, &other, &labels, MARGIN)?, 1.0)?;
    with_centers(network, inputs, loss, look)
}

/// Half of the values, each with a probability of a half, become 0, and the others twice as large.
fn dropout(x: &Tensor, rng: &mut impl Rng) -> candle_core::Result<Tensor> {
    let factors: Vec<f32> = (0..x.elem_count()).map(|_| if rng.random::<bool>() { 2.0 } else { 0.0 }).collect();
    x * Tensor::from_vec(factors, x.dims(), x.device())?
}
