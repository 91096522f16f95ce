//! Counterfactual attention: what a prediction owes to where the network looks.
//!
//! Counterfactual Attention Learning (CAL, Rao et al. 2021, arXiv 2108.08728) trains not the prediction alone but its difference
//! to what the same features would give under attention that is drawn at random.

use c2f_ops::nn::Pass;
use candle_core::Tensor;
use rand::Rng;

use crate::{Look, Model, Result};

/// Attention of the shape (B, M, h, w) of `attention`, each value drawn evenly from 0..2 as in the authors' code (the random
/// attention of section 3.2).
///
/// # Errors
/// If candle fails.
pub fn random_attention(attention: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
    let values: Vec<f32> = (0..attention.elem_count()).map(|_| rng.random_range(0.0..2.0)).collect();
    let drawn = Tensor::from_vec(values, attention.dims(), attention.device())?;
    Ok(drawn.to_dtype(attention.dtype())?)
}

/// The effect of a look's attention on its logits (B, K): these, less those of the same features under `counterfactual` attention
/// (B, M, h, w) (section 3.2). The gradient goes through both.
///
/// # Errors
/// If the model has no attention maps, or `counterfactual` isn't of their shape.
pub fn effect(model: &Model, look: &Look, counterfactual: Tensor, pass: &Pass) -> Result<Tensor> {
    let other = model.classify(look.features.clone(), Some(counterfactual), pass)?;
    Ok((&look.logits - other.logits)?)
}
