//! Optimisers whose whole state has a name, so that a checkpoint can hold it.

mod adamw;
mod clip;
mod each;
mod groups;
mod sgd;
mod variables;

use std::collections::BTreeMap;

use c2f_ops::nn::Entry;
use candle_core::Tensor;
use candle_nn::{Optimizer as _, ParamsAdamW};

pub use adamw::AdamW;
pub use clip::{clip_global_norm, global_norm};
pub use groups::Member;
use groups::{by_name, unnamed};
pub use sgd::{Sgd, SgdConfig};

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
            OptimizerKind::Sgd => Self::Sgd(Sgd::with_members(
                members,
                SgdConfig {
                    lr: settings.lr,
                    momentum: settings.momentum,
                    nesterov: settings.nesterov,
                    weight_decay: settings.weight_decay,
                },
            )),
            OptimizerKind::Adamw => Self::AdamW(AdamW::with_members(
                members,
                ParamsAdamW {
                    lr: settings.lr,
                    beta1: settings.beta1,
                    beta2: settings.beta2,
                    eps: settings.eps,
                    weight_decay: settings.weight_decay,
                },
            )),
        }
    }

    /// Moves the variables. `lr` is the head's learning rate; a variable without a gradient stays as it is.
    ///
    /// # Errors
    /// If a gradient has another shape than its variable.
    pub fn step(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        match self {
            Self::Sgd(sgd) => {
                sgd.set_learning_rate(lr);
                sgd.step_named(gradients)
            }
            Self::AdamW(adamw) => {
                adamw.set_learning_rate(lr);
                adamw.step_named(gradients)
            }
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
