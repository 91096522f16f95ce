//! The centre loss.

use c2f_ops::nn::Params;
use candle_core::{Tensor, Var};

use crate::error::expect_values;
use crate::normalise::l2_normalise;
use crate::{Error, Result};

/// Pulls the part features of a picture towards the running centre of its class.
///
/// The loss is Wen et al. 2016; centres that are L2-normalised before use, and this update, are WS-DAN's
/// (Hu et al. 2019, and its public implementation in PyTorch).
#[derive(Clone, Debug)]
pub struct CenterLoss {
    centers: Var,
    rate: f64,
}

impl CenterLoss {
    /// Makes the buffer `weight` (classes, dim), zero at first, in `params` (`params.at("center")` in a checkpoint's
    /// names). `rate` is the share of a new picture in its class's centre, 0.05 in WS-DAN.
    ///
    /// # Errors
    /// If `rate` isn't in 0..=1, or `weight` exists with another shape.
    pub fn new(params: &Params, classes: usize, dim: usize, rate: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&rate) {
            let (setting, expected) = ("rate", "a number from 0 to 1");
            return Err(Error::Setting { loss: "center", setting, value: rate, expected });
        }
        Ok(Self { centers: params.buffer("weight", (classes, dim), 0.0)?, rate })
    }

    /// Mean over the batch of |parts - c|^2, where `parts` (B, dim) are L2-normalised part features and c the
    /// normalised centre of each picture's class, a constant. `labels` (B) are u32. Call before
    /// [`update`](Self::update).
    ///
    /// # Errors
    /// If the shapes don't fit, or a label has no centre.
    pub fn loss(&self, parts: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let distance = (parts - self.of(parts, labels)?)?;
        Ok(distance.sqr()?.sum_all()?.affine(1.0 / parts.dims()[0] as f64, 0.0)?)
    }

    /// Moves each centre by `rate` times the mean of (parts - normalised centre) over the pictures of its class. Where
    /// a class has several pictures in a batch, WS-DAN's public code keeps the last one; a mean doesn't depend on the
    /// order.
    ///
    /// # Errors
    /// If the shapes don't fit, or a label has no centre.
    pub fn update(&self, parts: &Tensor, labels: &Tensor) -> Result<()> {
        let parts = parts.detach();
        let step = (&parts - self.of(&parts, labels)?)?;
        let classes: Vec<u32> = labels.to_vec1()?;
        let share = |class: &u32| self.rate / classes.iter().filter(|other| *other == class).count() as f64;
        let shares: Vec<f64> = classes.iter().map(share).collect();
        let shares = Tensor::from_vec(shares, (classes.len(), 1), parts.device())?.to_dtype(parts.dtype())?;
        let moved = self.centers.as_detached_tensor().index_add(labels, &step.broadcast_mul(&shares)?, 0)?;
        Ok(self.centers.set(&moved)?)
    }

    /// The centres (classes, dim), not normalised.
    pub fn centers(&self) -> &Var {
        &self.centers
    }

    /// (B, dim): the normalised centre of each picture's class.
    fn of(&self, parts: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let dim = self.centers.dims()[1];
        let &[batch, got] = parts.dims() else {
            return Err(Error::shape("center", "parts", parts, format!("(B, {dim})")));
        };
        expect_values("center", "parts", parts)?;
        if got != dim {
            return Err(Error::shape("center", "parts", parts, format!("(B, {dim})")));
        }
        if labels.dims() != [batch] {
            return Err(Error::shape("center", "labels", labels, format!("({batch})")));
        }
        l2_normalise(&self.centers.as_detached_tensor().index_select(labels, 0)?, 1e-12)
    }
}
