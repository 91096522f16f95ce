//! torchvision's names of ResNets, which timm shares: those of this crate, also of `c2f_tiny`.

use super::{Role, Scheme};

pub(super) const SCHEME: Scheme =
    Scheme { recognises: |name| name.starts_with("conv1.") || name.starts_with("layer1."), rename };

fn rename(name: &str) -> Role {
    if name.starts_with("fc.") { Role::Ignored } else { Role::Feature(name.to_owned()) }
}
