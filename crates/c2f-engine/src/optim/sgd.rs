//! Stochastic gradient descent.

use candle_core::Tensor;
use rayon::prelude::*;

use super::{Gradients, Member, State};
use crate::Result;

/// SGD as in PyTorch's `torch.optim.SGD` without dampening: the weight decay is part of the gradient, and the learning rate is
/// outside the momentum buffer.
#[derive(Clone, Debug)]
pub struct Sgd {
    members: Vec<Member>,
    momentum: f64,
    nesterov: bool,
    state: State,
}

impl Sgd {
    /// With no momentum gathered yet.
    pub fn new(members: Vec<Member>, momentum: f64, nesterov: bool) -> Self {
        Self { members, momentum, nesterov, state: State::new() }
    }

    /// See [`Optimizer::step`](super::Optimizer::step).
    ///
    /// # Errors
    /// If a gradient has another shape than its variable.
    pub fn step(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        let buffers: Vec<_> = self.members.par_iter().map(|member| self.move_one(member, gradients, lr)).collect();
        for buffer in buffers {
            self.state.extend(buffer?);
        }
        Ok(())
    }

    /// Moves one variable, and gives its new momentum buffer, if it has one, by name.
    fn move_one(&self, member: &Member, gradients: &Gradients, lr: f64) -> Result<Option<(String, Tensor)>> {
        let Some(gradient) = gradients.get(&member.name) else { return Ok(None) };
        let value = member.var.as_detached_tensor();
        let mut direction = gradient.clone();
        if member.weight_decay != 0.0 {
            direction = (direction + value.affine(member.weight_decay, 0.0)?)?;
        }
        let mut kept = None;
        if self.momentum != 0.0 {
            let key = format!("{}.momentum_buffer", member.name);
            let buffer = match self.state.get(&key) {
                Some(buffer) => (buffer.affine(self.momentum, 0.0)? + &direction)?,
                None => direction.clone(),
            };
            direction = if self.nesterov { (direction + buffer.affine(self.momentum, 0.0)?)? } else { buffer.clone() };
            kept = Some((key, buffer));
        }
        member.var.set(&(value - direction.affine(lr * member.lr_factor, 0.0)?)?)?;
        Ok(kept)
    }

    /// `NAME.momentum_buffer` for each variable that had a gradient.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes a saved state up.
    pub fn set_state(&mut self, state: State) {
        self.state = state;
    }
}
