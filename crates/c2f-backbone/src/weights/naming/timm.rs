//! timm's names of EfficientNets: those of this crate.

use super::{Role, Scheme};

pub(super) const SCHEME: Scheme =
    Scheme { recognises: |name| name.starts_with("conv_stem.") || name.starts_with("blocks."), rename };

fn rename(name: &str) -> Role {
    if name.starts_with("classifier.") { Role::Ignored } else { Role::Feature(name.to_owned()) }
}
