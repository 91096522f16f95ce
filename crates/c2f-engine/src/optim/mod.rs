//! Optimisers whose whole state has a name, so that a checkpoint can hold it.

mod adamw;
mod clip;
mod groups;
mod sgd;

use std::collections::BTreeMap;

use c2f_ops::nn::Entry;
use candle_core::Tensor;

pub use adamw::AdamW;
pub use clip::{clip_global_norm, global_norm};
pub use groups::Member;
pub use sgd::Sgd;

use crate::Result;
use crate::recipe::{self, OptimizerKind};

/// Gradients by the full names of their variables; iterated in the order of the names.
pub type Gradients = BTreeMap<String, Tensor>;

/// Tensors of an optimiser's state, by the name of the variable, a dot, and PyTorch's name of the quantity.
pub type State = BTreeMap<String, Tensor>;

/// One of the optimisers.
#[derive(Clone, Debug)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
}

impl Optimizer {
    /// For the parameters among `entries`; buffers are left alone.
    pub fn new(settings: &recipe::Optimizer, entries: &[Entry]) -> Self {
        let members = groups::members(settings, entries);
        match settings.kind {
            OptimizerKind::Sgd => Self::Sgd(Sgd::new(members, settings.momentum, settings.nesterov)),
            OptimizerKind::Adamw => Self::AdamW(AdamW::new(members, settings.beta1, settings.beta2, settings.eps)),
        }
    }

    /// Moves the variables. `lr` is the head's learning rate; a variable without a gradient stays as it is.
    ///
    /// # Errors
    /// If a gradient has another shape than its variable.
    pub fn step(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        match self {
            Self::Sgd(sgd) => sgd.step(gradients, lr),
            Self::AdamW(adamw) => adamw.step(gradients, lr),
        }
    }

    /// The state, to be saved.
    pub fn state(&self) -> &State {
        match self {
            Self::Sgd(sgd) => sgd.state(),
            Self::AdamW(adamw) => adamw.state(),
        }
    }

    /// Takes a saved state up.
    pub fn set_state(&mut self, state: State) {
        match self {
            Self::Sgd(sgd) => sgd.set_state(state),
            Self::AdamW(adamw) => adamw.set_state(state),
        }
    }
}

#[cfg(test)]
mod tests;
