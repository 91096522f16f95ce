//! Which variable is trained how.

use c2f_ops::nn::{Entry, Kind};
use candle_core::Var;
use candle_core::backprop::GradStore;

use super::Gradients;
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

/// The backbone and the attention have learning rates of their own; biases and norm weights, which are all that has one dimension, don't
/// decay (timm, `optim/_param_groups.py`).
pub(super) fn members(settings: &recipe::Optimizer, entries: &[Entry]) -> Vec<Member> {
    let trained = entries.iter().filter(|entry| entry.kind == Kind::Parameter);
    let member = |entry: &Entry| Member {
        name: entry.name.clone(),
        var: entry.var.clone(),
        lr_factor: match entry.name.split('.').next() {
            Some("backbone") => settings.backbone_lr_scale,
            Some("attention") => settings.attention_lr_scale,
            _ => 1.0,
        },
        weight_decay: if entry.var.dims().len() > 1 { settings.weight_decay } else { 0.0 },
    };
    trained.map(member).collect()
}

/// Variables without names of their own, all trained alike.
pub(super) fn unnamed(vars: Vec<Var>, weight_decay: f64) -> Vec<Member> {
    let member = |(index, var): (usize, Var)| Member { name: index.to_string(), var, lr_factor: 1.0, weight_decay };
    vars.into_iter().filter(|var| var.dtype().is_float()).enumerate().map(member).collect()
}

/// What candle's `backward` gave for the members.
pub(super) fn by_name(members: &[Member], gradients: &GradStore) -> Gradients {
    let of = |member: &Member| Some((member.name.clone(), gradients.get(member.var.as_tensor())?.detach()));
    members.iter().filter_map(of).collect()
}
