//! timm's names of EfficientNets, ConvNeXts and vision transformers: those of this crate.

use super::{Scheme, keep_all_but};

pub(super) const SCHEME: Scheme = Scheme {
    name: "timm",
    recognises: |name| ["conv_stem.", "blocks.", "stages.", "patch_embed."].iter().any(|start| name.starts_with(start)),
    // A ConvNeXt's head begins with a normalisation of the pooled features.
    roles: |names| keep_all_but(names, &["classifier.", "head.", "fc_norm."]),
};
