//! Batches whose two looks go backward one after the other.
//!
//! The graph of the coarse look is cut behind its feature maps and attention maps: what the fine look sends back ends there, and
//! is then left out (`inverse.steps = "alternate"`) or given a length of its own (`inverse.gradient_budget`).

use c2f_attention::Look;
use c2f_ops::nn::Pass;
use candle_core::backprop::GradStore;
use candle_core::{D, Tensor, Var};

use super::objective::{Objective, coarse_objective, fine_loss};
use crate::network::attention_of;
use crate::{Error, Inputs, Network, Result};

/// The coarse look's objective, and the look without its graph, for [`fine_loss`].
pub(super) fn coarse(network: &Network, inputs: &Inputs) -> Result<(Objective, Look)> {
    let look = network.model.look(&inputs.images, &Pass::train())?;
    let constant = Look {
        logits: look.logits.detach(),
        parts: None,
        features: look.features.detach(),
        attention: look.attention.as_ref().map(Tensor::detach),
    };
    Ok((coarse_objective(network, inputs, look)?, constant))
}

/// What a batch with a budget gives.
pub(super) struct Budgeted {
    /// The coarse look's part, the loss being the sum of both looks'; without a graph.
    pub objective: Objective,
    /// The gradients, of which each variable's are to be summed up; none if the loss isn't finite.
    pub gradients: Vec<GradStore>,
}

/// Both looks, where each picture's attended features (its feature maps and attention maps) get from the fine look a gradient that
/// is `share` times as long as the coarse look's.
pub(super) fn budgeted(network: &Network, inputs: &Inputs, share: f64) -> Result<Budgeted> {
    let pass = Pass::train();
    let features = network.model.backbone().run(&inputs.images, &pass)?;
    let attention = network.model.attend(&features, &pass)?;
    let attention = attention_of(attention.as_ref())?;
    let leaves = || -> Result<(Var, Var)> {
        Ok((Var::from_tensor(&features.detach())?, Var::from_tensor(&attention.detach())?))
    };

    let first = leaves()?;
    let look = network.model.classify(first.0.as_tensor().clone(), Some(first.1.as_tensor().clone()), &pass)?;
    let coarse = coarse_objective(network, inputs, look)?;
    let second = leaves()?;
    let look = Look {
        logits: coarse.logits.clone(),
        parts: None,
        features: second.0.as_tensor().clone(),
        attention: Some(second.1.as_tensor().clone()),
    };
    let fine = fine_loss(network, inputs, &look)?;
    let sums = (coarse.loss.sum.clone(), fine.sum.clone());
    let objective = Objective { loss: coarse.loss.plus(fine)?.detach(), ..coarse };
    if !f64::from(objective.loss.sum.to_scalar::<f32>()?).is_finite() {
        return Ok(Budgeted { objective, gradients: Vec::new() });
    }
    let (coarse, fine) = (sums.0.backward()?, sums.1.backward()?);
    let of = |gradients: &GradStore, leaf: &Var| -> Result<Tensor> {
        let gradient = gradients.get(leaf.as_tensor());
        Ok(gradient.ok_or_else(|| Error::field("loss.coarse_weight", 0, "a gradient to compare with"))?.detach())
    };
    let classification = [of(&coarse, &first.0)?, of(&coarse, &first.1)?];
    // A box of a region that fills its picture is clamped, and passes nothing.
    let path = [(&second.0, &features), (&second.1, attention)].map(|(leaf, like)| match fine.get(leaf.as_tensor()) {
        Some(gradient) => Ok(gradient.detach()),
        None => like.detach().zeros_like(),
    });
    let [path_features, path_attention] = path;
    let path = [path_features?, path_attention?];
    let factor = (lengths(&classification)? / lengths(&path)?.affine(1.0, 1e-12)?)?.affine(share, 0.0)?;
    let [to_features, to_attention] = [0, 1].map(|i| -> Result<Tensor> {
        let factor = factor.reshape(((), 1, 1, 1))?;
        Ok((&classification[i] + path[i].broadcast_mul(&factor)?)?)
    });
    // The gradient of this sum is what was made out for either.
    let rest = ((features * to_features?)?.sum_all()? + (attention * to_attention?)?.sum_all()?)?;
    Ok(Budgeted { objective, gradients: vec![coarse, fine, rest.backward()?] })
}

/// The Euclidean lengths (B) of each picture's gradients, (B, ..) each.
fn lengths(gradients: &[Tensor; 2]) -> Result<Tensor> {
    let [a, b] = gradients.each_ref().map(|gradient| gradient.flatten_from(1)?.sqr()?.sum(D::Minus1));
    Ok((a? + b?)?.sqrt()?)
}

/// The share of the budget at a moment of the training, from 0 to 1: none in its first third, all in its last.
pub(super) fn ramp(progress: f64) -> f64 {
    (3.0 * progress - 1.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_comes_in_the_second_third() {
        assert_eq!([0.0, 0.3, 0.5, 0.7, 1.0].map(ramp), [0.0, 0.0, 0.5, 1.0, 1.0]);
    }
}
