//! Running statistics, and moves of them that wait.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{Tensor, Var};

use crate::Result;

/// A move of a buffer towards what a batch has: the new value is `kept` times the old one, plus `share`.
#[derive(Clone, Debug)]
pub struct BufferUpdate {
    /// The buffer's full name.
    pub name: String,
    /// Share of the old value that stays, 0 to 1.
    pub kept: f64,
    /// What is added: the batch's value times its share; of the buffer's shape, without a graph.
    pub share: Tensor,
}

/// Where the buffers' moves of one network wait, while they are to; none: they are made at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<Mutex<Option<Vec<BufferUpdate>>>>);

impl Waiting {
    pub(super) fn replace(&self, updates: Option<Vec<BufferUpdate>>) -> Option<Vec<BufferUpdate>> {
        // A panic elsewhere can't leave the list half-changed.
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), updates)
    }

    /// Keeps the update, or gives it back to be made now.
    fn keep(&self, update: BufferUpdate) -> Option<BufferUpdate> {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(updates) => {
                updates.push(update);
                None
            }
            None => Some(update),
        }
    }
}

/// A buffer that follows the batches as an exponential moving average.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) name: String,
    pub(super) var: Var,
    pub(super) waiting: Waiting,
}

impl Running {
    /// Moves towards `factor * value`, whose share in the new value is `momentum`; later, if moves are to wait.
    pub(super) fn follow(&self, value: &Tensor, factor: f64, momentum: f64) -> Result<()> {
        let share = value.affine(momentum * factor, 0.0)?.detach();
        let update = BufferUpdate { name: self.name.clone(), kept: 1.0 - momentum, share };
        self.waiting.keep(update).map_or(Ok(()), |update| apply(&self.var, &update))
    }
}

pub(super) fn apply(var: &Var, update: &BufferUpdate) -> Result<()> {
    let kept = var.as_detached_tensor().affine(update.kept, 0.0)?;
    Ok(var.set(&(kept + &update.share)?)?)
}
