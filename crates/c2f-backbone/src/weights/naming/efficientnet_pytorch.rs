//! The names of EfficientNet-PyTorch (`efficientnet_pytorch/model.py`): blocks in one row, BatchNorms counted from 0.

use super::{Role, Scheme};
use crate::efficientnet_lite::locate_block;

pub(super) const SCHEME: Scheme =
    Scheme { recognises: |name| name.starts_with("_conv_stem.") || name.starts_with("_blocks."), rename };

fn rename(name: &str) -> Role {
    if name.starts_with("_fc.") {
        return Role::Ignored;
    }
    Role::Feature(outside_blocks(name).or_else(|| inside_block(name)).unwrap_or_else(|| name.to_owned()))
}

fn outside_blocks(name: &str) -> Option<String> {
    let (layer, rest) = name.split_once('.')?;
    let layer = match layer {
        "_conv_stem" => "conv_stem",
        "_bn0" => "bn1",
        "_conv_head" => "conv_head",
        "_bn1" => "bn2",
        _ => return None,
    };
    Some(format!("{layer}.{rest}"))
}

fn inside_block(name: &str) -> Option<String> {
    let (index, rest) = name.strip_prefix("_blocks.")?.split_once('.')?;
    let (layer, rest) = rest.split_once('.')?;
    let (stage, block, expands) = locate_block(index.parse().ok()?)?;
    // timm counts the layers that are there; EfficientNet-PyTorch leaves out the number of one that isn't.
    let layer = match (layer, expands) {
        ("_expand_conv", true) | ("_project_conv", false) => "conv_pw",
        ("_depthwise_conv", _) => "conv_dw",
        ("_project_conv", true) => "conv_pwl",
        ("_bn0", true) | ("_bn1", false) => "bn1",
        ("_bn1", true) | ("_bn2", false) => "bn2",
        ("_bn2", true) => "bn3",
        _ => return None,
    };
    Some(format!("blocks.{stage}.{block}.{layer}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_timms() {
        for (theirs, ours) in [
            ("_conv_stem.weight", "conv_stem.weight"),
            ("_bn1.running_var", "bn2.running_var"),
            ("_blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"),
            ("_blocks.0._bn1.bias", "blocks.0.0.bn1.bias"),
            ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
            ("_blocks.2._expand_conv.weight", "blocks.1.1.conv_pw.weight"),
            ("_blocks.3._bn0.weight", "blocks.2.0.bn1.weight"),
            ("_blocks.15._project_conv.weight", "blocks.6.0.conv_pwl.weight"),
            ("_blocks.15._bn2.weight", "blocks.6.0.bn3.weight"),
        ] {
            assert_eq!(rename(theirs), Role::Feature(ours.into()));
        }
        assert_eq!(rename("_fc.weight"), Role::Ignored);
    }

    #[test]
    fn unknown_names_stay() {
        for name in ["_blocks.16._bn0.weight", "_blocks.0._expand_conv.weight", "_blocks.x", "_swish", "a.b"] {
            assert_eq!(rename(name), Role::Feature(name.into()));
        }
    }
}
