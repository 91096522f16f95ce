//! Stochastic gradient descent.

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};
use candle_nn::Optimizer;

use super::variables::Variables;
use super::{Gradients, Member, State, by_name, unnamed};
use crate::Result;

/// SGD as in PyTorch's `torch.optim.SGD` without dampening: the weight decay is part of the gradient, and the learning rate is
/// outside the momentum buffer.
///
/// It is one of candle's optimisers, too: what `candle_nn::SGD` lacks is momentum, Nesterov's, decay and groups.
#[derive(Clone, Debug)]
pub struct Sgd {
    variables: Variables,
    config: SgdConfig,
}

/// Settings of [`Sgd`], as PyTorch has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdConfig {
    /// Learning rate.
    pub lr: f64,
    /// Share of the last direction in the next, from 0; 0 for none.
    pub momentum: f64,
    /// Whether the momentum is Nesterov's.
    pub nesterov: bool,
    /// Decay of the weights that [`candle_nn::Optimizer::new`] is given; [`Sgd::with_members`] has it for each.
    pub weight_decay: f64,
}

impl Default for SgdConfig {
    /// 0.01, Nesterov's momentum 0.9, no decay.
    fn default() -> Self {
        Self { lr: 0.01, momentum: 0.9, nesterov: true, weight_decay: 0.0 }
    }
}

impl Sgd {
    /// For variables with settings of their own; with no momentum gathered yet.
    pub fn with_members(members: Vec<Member>, config: SgdConfig) -> Self {
        Self { variables: Variables::new(members), config }
    }

    /// Moves the variables by gradients that are given by name.
    ///
    /// # Errors
    /// If a gradient has another shape than its variable.
    pub fn step_named(&mut self, gradients: &Gradients) -> Result<()> {
        let config = self.config;
        self.variables.step(gradients, |member, gradient, state| config.move_one(member, gradient, state))
    }

    /// `NAME.momentum_buffer` for each variable that had a gradient.
    pub fn state(&self) -> &State {
        &self.variables.state
    }

    /// Takes a saved state up.
    pub fn set_state(&mut self, state: State) {
        self.variables.state = state;
    }
}

impl SgdConfig {
    /// Moves one variable, and gives its new momentum buffer, if it has one, by name.
    fn move_one(&self, member: &Member, gradient: &Tensor, state: &State) -> Result<Option<(String, Tensor)>> {
        let value = member.var.as_detached_tensor();
        let mut direction = gradient.clone();
        if member.weight_decay != 0.0 {
            direction = (direction + value.affine(member.weight_decay, 0.0)?)?;
        }
        let Self { lr, momentum, nesterov, .. } = *self;
        let mut kept = None;
        if momentum != 0.0 {
            let key = format!("{}.momentum_buffer", member.name);
            let buffer = match state.get(&key) {
                Some(buffer) => (buffer.affine(momentum, 0.0)? + &direction)?,
                None => direction.clone(),
            };
            direction = if nesterov { (direction + buffer.affine(momentum, 0.0)?)? } else { buffer.clone() };
            kept = Some((key, buffer));
        }
        member.var.set(&(value - direction.affine(lr * member.lr_factor, 0.0)?)?)?;
        Ok(kept)
    }
}

impl Optimizer for Sgd {
    type Config = SgdConfig;

    /// The variables are named by their place, from `0`.
    fn new(vars: Vec<Var>, config: SgdConfig) -> candle_core::Result<Self> {
        Ok(Self::with_members(unnamed(vars, config.weight_decay), config))
    }

    fn step(&mut self, gradients: &GradStore) -> candle_core::Result<()> {
        Ok(self.step_named(&by_name(&self.variables.members, gradients))?)
    }

    fn learning_rate(&self) -> f64 {
        self.config.lr
    }

    fn set_learning_rate(&mut self, lr: f64) {
        self.config.lr = lr;
    }
}
