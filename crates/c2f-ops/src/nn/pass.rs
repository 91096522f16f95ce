//! How one forward pass treats the network's state.

use candle_core::{Tensor, Var};

/// What BatchNorm does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormMode {
    /// Normalise by the batch, and move the running statistics.
    Train,
    /// Normalise by the running statistics; scale and shift are constants.
    Frozen,
    /// Normalise by the running statistics.
    Eval,
}

/// How the parameters enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// As variables: gradients flow to them.
    Tracked,
    /// As constants. Without a tracked input no graph is kept, so this is also what evaluation uses.
    Detached,
    /// The same, and they no longer change: what a layer makes of a weight on its first pass, such as the order in which the kernels
    /// read it, it keeps. A pass after a change would still see what was there before.
    Kept,
}

/// The settings of one forward pass, handed down to every layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// What BatchNorm does.
    pub norm: NormMode,
    /// How the parameters enter.
    pub weights: Weights,
    /// Which set of running statistics BatchNorm reads and moves: 0, or 1 in a network whose
    /// [`Params::with_statistics`](super::Params::with_statistics) made two.
    pub statistics: usize,
}

impl Pass {
    /// Batch statistics, tracked weights.
    pub fn train() -> Self {
        Self { norm: NormMode::Train, weights: Weights::Tracked, statistics: 0 }
    }

    /// Running statistics, tracked weights, constant BatchNorm parameters: fine-tuning with small batches.
    pub fn frozen() -> Self {
        Self { norm: NormMode::Frozen, ..Self::train() }
    }

    /// Running statistics, detached weights: prediction.
    pub fn eval() -> Self {
        Self { norm: NormMode::Eval, weights: Weights::Detached, statistics: 0 }
    }

    /// The same of a network that is no longer trained: its packed weights are kept.
    pub fn finished() -> Self {
        Self { weights: Weights::Kept, ..Self::eval() }
    }

    /// Running statistics, tracked weights: candle's evaluation, in which gradients still flow.
    pub fn tracked() -> Self {
        Self { norm: NormMode::Eval, ..Self::train() }
    }

    /// What candle's `forward_t` means: [`train`](Self::train), or else [`tracked`](Self::tracked).
    pub fn of(train: bool) -> Self {
        if train { Self::train() } else { Self::tracked() }
    }

    /// The same pass with another set of running statistics.
    #[must_use]
    pub fn with_statistics(self, statistics: usize) -> Self {
        Self { statistics, ..self }
    }

    /// The same pass with tracked or detached weights.
    #[must_use]
    pub fn with_weights(self, weights: Weights) -> Self {
        Self { weights, ..self }
    }

    /// A parameter as this pass sees it.
    pub fn weight(&self, var: &Var) -> Tensor {
        match self.weights {
            Weights::Tracked => var.as_tensor().clone(),
            Weights::Detached | Weights::Kept => var.as_detached_tensor(),
        }
    }
}
