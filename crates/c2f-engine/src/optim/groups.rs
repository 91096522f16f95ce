//! Which variable is trained how.

use c2f_ops::nn::{Entry, Kind};
use candle_core::Var;

use crate::recipe;

/// A trained variable with the settings of its group.
#[derive(Clone, Debug)]
pub struct Member {
    /// Full name.
    pub name: String,
    /// The variable.
    pub var: Var,
    /// Learning rate, as a factor of the head's.
    pub lr_factor: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

/// The backbone has a learning rate of its own; biases and norm weights, which are all that has one dimension, don't
/// decay (timm, `optim/_param_groups.py`).
pub(super) fn members(settings: &recipe::Optimizer, entries: &[Entry]) -> Vec<Member> {
    let trained = entries.iter().filter(|entry| entry.kind == Kind::Parameter);
    let member = |entry: &Entry| Member {
        name: entry.name.clone(),
        var: entry.var.clone(),
        lr_factor: if entry.name.starts_with("backbone.") { settings.backbone_factor } else { 1.0 },
        weight_decay: if entry.var.dims().len() > 1 { settings.weight_decay } else { 0.0 },
    };
    trained.map(member).collect()
}
