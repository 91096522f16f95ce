//! Adam with decoupled weight decay.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Optimizer, ParamsAdamW};

use super::variables::Variables;
use super::{Gradients, Member, State, by_name, unnamed};
use crate::Result;

/// AdamW (Loshchilov and Hutter 2019) as in PyTorch's `torch.optim.AdamW`: the decay multiplies the weight by
/// `1 - lr * weight_decay`, and the steps are counted for each variable.
///
/// It is one of candle's optimisers, too: what `candle_nn::AdamW` lacks are groups, and a state that can be saved. Its settings
/// are candle's.
#[derive(Clone, Debug)]
pub struct AdamW {
    variables: Variables,
    config: ParamsAdamW,
}

impl AdamW {
    /// For variables with settings of their own, whose decay `config` doesn't change; with no moments gathered yet.
    pub fn with_members(members: Vec<Member>, config: ParamsAdamW) -> Self {
        Self { variables: Variables::new(members), config }
    }

    /// Moves the variables by gradients that are given by name.
    ///
    /// # Errors
    /// If a gradient has another shape than its variable.
    pub fn step_named(&mut self, gradients: &Gradients) -> Result<()> {
        let config = &self.config;
        self.variables.step(gradients, |member, gradient, state| move_one(config, member, gradient, state))
    }

    /// `NAME.step`, `NAME.exp_avg` and `NAME.exp_avg_sq` for each variable that had a gradient.
    pub fn state(&self) -> &State {
        &self.variables.state
    }

    /// Takes a saved state up.
    pub fn set_state(&mut self, state: State) {
        self.variables.state = state;
    }
}

/// Moves one variable, and gives its new state by name.
fn move_one(config: &ParamsAdamW, member: &Member, gradient: &Tensor, state: &State) -> Result<[(String, Tensor); 3]> {
    let ParamsAdamW { lr, beta1, beta2, eps, .. } = *config;
    let lr = lr * member.lr_factor;
    let key = |quantity: &str| format!("{}.{quantity}", member.name);
    let steps = match state.get(&key("step")) {
        Some(steps) => steps.to_scalar::<f32>()? + 1.0,
        None => 1.0,
    };
    let follow = |quantity: &str, value: &Tensor, beta: f64| -> Result<Tensor> {
        let share = value.affine(1.0 - beta, 0.0)?;
        Ok(match state.get(&key(quantity)) {
            Some(average) => (average.affine(beta, 0.0)? + share)?,
            None => share,
        })
    };
    let mean = follow("exp_avg", gradient, beta1)?;
    let square = follow("exp_avg_sq", &gradient.sqr()?, beta2)?;
    let correct = |beta: f64| 1.0 - beta.powf(f64::from(steps));
    let root = square.affine(1.0 / correct(beta2), 0.0)?.sqrt()?.affine(1.0, eps)?;
    let change = (&mean / root)?.affine(lr / correct(beta1), 0.0)?;
    let kept = member.var.as_detached_tensor().affine(1.0 - lr * member.weight_decay, 0.0)?;
    member.var.set(&(kept - change)?)?;
    let steps = Tensor::new(steps, &Device::Cpu)?.to_dtype(DType::F32)?;
    Ok([(key("step"), steps), (key("exp_avg"), mean), (key("exp_avg_sq"), square)])
}

impl Optimizer for AdamW {
    type Config = ParamsAdamW;

    /// The variables are named by their place, from `0`.
    fn new(vars: Vec<Var>, config: ParamsAdamW) -> candle_core::Result<Self> {
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
