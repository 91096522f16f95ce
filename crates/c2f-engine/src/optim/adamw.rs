//! Adam with decoupled weight decay.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Optimizer, ParamsAdamW};

use super::each::each;
use super::{Gradients, Member, State, by_name, unnamed};
use crate::Result;

/// AdamW (Loshchilov and Hutter 2019) as in PyTorch's `torch.optim.AdamW`: the decay multiplies the weight by
/// `1 - lr * weight_decay`, and the steps are counted for each variable.
///
/// It is one of candle's optimisers, too: what `candle_nn::AdamW` lacks are groups, and a state that can be saved. Its settings
/// are candle's.
#[derive(Clone, Debug)]
pub struct AdamW {
    members: Vec<Member>,
    config: ParamsAdamW,
    state: State,
}

impl AdamW {
    /// For variables with settings of their own, whose decay `config` doesn't change; with no moments gathered yet.
    pub fn with_members(members: Vec<Member>, config: ParamsAdamW) -> Self {
        Self { members, config, state: State::new() }
    }

    /// Moves the variables by gradients that are given by name.
    ///
    /// # Errors
    /// If a gradient has another shape than its variable.
    pub fn step_named(&mut self, gradients: &Gradients) -> Result<()> {
        let Some(first) = self.members.first() else { return Ok(()) };
        let moved = each(&self.members, first.var.device(), |member| self.move_one(member, gradients));
        for state in moved {
            self.state.extend(state?);
        }
        Ok(())
    }

    /// Moves one variable, and gives its new state by name.
    fn move_one(&self, member: &Member, gradients: &Gradients) -> Result<Vec<(String, Tensor)>> {
        let Some(gradient) = gradients.get(&member.name) else { return Ok(Vec::new()) };
        let ParamsAdamW { lr, beta1, beta2, eps, .. } = self.config;
        let lr = lr * member.lr_factor;
        let key = |quantity: &str| format!("{}.{quantity}", member.name);
        let steps = match self.state.get(&key("step")) {
            Some(steps) => steps.to_scalar::<f32>()? + 1.0,
            None => 1.0,
        };
        let mean = self.follow(&key("exp_avg"), gradient, beta1)?;
        let square = self.follow(&key("exp_avg_sq"), &gradient.sqr()?, beta2)?;
        let correct = |beta: f64| 1.0 - beta.powf(f64::from(steps));
        let root = square.affine(1.0 / correct(beta2), 0.0)?.sqrt()?.affine(1.0, eps)?;
        let change = (&mean / root)?.affine(lr / correct(beta1), 0.0)?;
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

impl Optimizer for AdamW {
    type Config = ParamsAdamW;

    /// The variables are named by their place, from `0`.
    fn new(vars: Vec<Var>, config: ParamsAdamW) -> candle_core::Result<Self> {
        Ok(Self::with_members(unnamed(vars, config.weight_decay), config))
    }

    fn step(&mut self, gradients: &GradStore) -> candle_core::Result<()> {
        Ok(self.step_named(&by_name(&self.members, gradients))?)
    }

    fn learning_rate(&self) -> f64 {
        self.config.lr
    }

    fn set_learning_rate(&mut self, lr: f64) {
        self.config.lr = lr;
    }
}
