//! The names of EfficientNet-PyTorch (`efficientnet_pytorch/model.py`): blocks in one row, BatchNorms counted from 0.

use super::{Role, Scheme};
use crate::networks::efficientnet_lite::locate_blocks;

pub(super) const SCHEME: Scheme = Scheme {
    name: "EfficientNet-PyTorch",
    recognises: |name| name.starts_with("_conv_stem.") || name.starts_with("_blocks."),
    roles,
};

fn roles(names: &[&str]) -> Vec<Role> {
    let count = names.iter().filter_map(|name| block_of(name)).map(|(index, _)| index + 1).max().unwrap_or(0);
    let blocks = locate_blocks(count);
    let role = |name: &&str| {
        if name.starts_with("_fc.") {
            return Role::Ignored;
        }
        Role::Feature(
            outside_blocks(name).or_else(|| inside_block(name, &blocks)).unwrap_or_else(|| (*name).to_owned()),
        )
    };
    names.iter().map(role).collect()
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

/// The number of a block, and what in it has the name.
fn block_of(name: &str) -> Option<(usize, &str)> {
    let (index, rest) = name.strip_prefix("_blocks.")?.split_once('.')?;
    Some((index.parse().ok().filter(|&index: &usize| index < 1000)?, rest))
}

fn inside_block(name: &str, blocks: &[(usize, usize, bool)]) -> Option<String> {
    let (index, rest) = block_of(name)?;
    let (layer, rest) = rest.split_once('.')?;
    let &(row, block, expands) = blocks.get(index)?;
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
    Some(format!("blocks.{row}.{block}.{layer}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The role of a name in a file with this many blocks.
    fn rename(name: &str, blocks: usize) -> Role {
        roles(&[name, &format!("_blocks.{}._bn2.weight", blocks - 1)])[0].clone()
    }

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
            assert_eq!(rename(theirs, 16), Role::Feature(ours.into()));
        }
        assert_eq!(rename("_fc.weight", 16), Role::Ignored);
    }

    #[test]
    fn the_number_of_blocks_tells_which_network_it_is() {
        // tf_efficientnet_lite4: 1 + 4 + 4 + 6 + 6 + 8 + 1 blocks.
        assert_eq!(rename("_blocks.5._bn0.weight", 30), Role::Feature("blocks.2.0.bn1.weight".into()));
        assert_eq!(rename("_blocks.29._bn0.weight", 30), Role::Feature("blocks.6.0.bn1.weight".into()));
    }

    #[test]
    fn unknown_names_stay() {
        for name in ["_blocks.0._expand_conv.weight", "_blocks.x", "_blocks.99999999._bn0.weight", "_swish", "a.b"] {
            assert_eq!(rename(name, 16), Role::Feature(name.into()));
        }
        assert_eq!(rename("_blocks.3._bn0.weight", 17), Role::Feature("_blocks.3._bn0.weight".into()));
    }
}
