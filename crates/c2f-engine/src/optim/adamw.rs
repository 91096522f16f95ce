//! Adam with decoupled weight decay.

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use super::{Gradients, Member, State};
use crate::Result;

/// AdamW (Loshchilov and Hutter 2019) as in PyTorch's `torch.optim.AdamW`: the decay multiplies the weight by
/// `1 - lr * weight_decay`, and the steps are counted for each variable.
#[derive(Clone, Debug)]
pub struct AdamW {
    members: Vec<Member>,
    beta1: f64,
    beta2: f64,
    eps: f64,
    state: State,
}

impl AdamW {
    /// With no moments gathered yet.
    pub fn new(members: Vec<Member>, beta1: f64, beta2: f64, eps: f64) -> Self {
        Self { members, beta1, beta2, eps, state: State::new() }
    }

    /// See [`Optimizer::step`](super::Optimizer::step).
    ///
    /// # Errors
    /// If a gradient has another shape than its variable.
    pub fn step(&mut self, gradients: &Gradients, lr: f64) -> Result<()> {
        let moved: Vec<_> = self.members.par_iter().map(|member| self.move_one(member, gradients, lr)).collect();
        for state in moved {
            self.state.extend(state?);
        }
        Ok(())
    }

    /// Moves one variable, and gives its new state by name.
    fn move_one(&self, member: &Member, gradients: &Gradients, lr: f64) -> Result<Vec<(String, Tensor)>> {
        let Some(gradient) = gradients.get(&member.name) else { return Ok(Vec::new()) };
        let lr = lr * member.lr_factor;
        let key = |quantity: &str| format!("{}.{quantity}", member.name);
        let steps = match self.state.get(&key("step")) {
            Some(steps) => steps.to_scalar::<f32>()? + 1.0,
            None => 1.0,
        };
        let mean = self.follow(&key("exp_avg"), gradient, self.beta1)?;
        let square = self.follow(&key("exp_avg_sq"), &gradient.sqr()?, self.beta2)?;
        let correct = |beta: f64| 1.0 - beta.powf(f64::from(steps));
        let root = square.affine(1.0 / correct(self.beta2), 0.0)?.sqrt()?.affine(1.0, self.eps)?;
        let change = (&mean / root)?.affine(lr / correct(self.beta1), 0.0)?;
        let kept = member.var.as_detached_tensor().affine(1.0 - lr * member.weight_decay, 0.0)?;
        member.var.set(&(kept - change)?)?;
        let steps = Tensor::new(steps, &Device::Cpu)?.to_dtype(DType::F32)?;
        Ok(vec![(key("step"), steps), (key("exp_avg"), mean), (key("exp_avg_sq"), square)])
    }

    /// `NAME.step`, `NAME.exp_avg` and `NAME.exp_avg_sq` for each variable that had a gradient.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes a saved state up.
    pub fn set_state(&mut self, state: State) {
        self.state = state;
    }

    fn follow(&self, key: &str, value: &Tensor, beta: f64) -> Result<Tensor> {
        let share = value.affine(1.0 - beta, 0.0)?;
        Ok(match self.state.get(key) {
            Some(average) => (average.affine(beta, 0.0)? + share)?,
            None => share,
        })
    }
}
