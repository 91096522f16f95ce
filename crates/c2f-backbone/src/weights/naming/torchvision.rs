//! torchvision's names of ResNets, Inception and VGGs, which timm shares and which are those of this crate, also of
//! `c2f_tiny`; and torchvision's names of ConvNeXts, which become timm's.

use super::{Role, Scheme, keep_all_but};

pub(super) const SCHEME: Scheme = Scheme {
    name: "torchvision",
    recognises: |name| ["conv1.", "layer1.", "Conv2d_1a_3x3.", "features."].iter().any(|start| name.starts_with(start)),
    roles,
};

fn roles(names: &[&str]) -> Vec<Role> {
    // `pre_logits` and `head` are what timm's VGGs have for torchvision's `classifier`.
    let mut roles = keep_all_but(names, &["fc.", "AuxLogits.", "classifier.", "pre_logits.", "head."]);
    if names.iter().any(|name| name.ends_with(".layer_scale")) {
        for role in &mut roles {
            if let Role::Feature(name) = role
                && let Some(ours) = convnext(name)
            {
                *name = ours;
            }
        }
    }
    roles
}

/// `features` holds the stem, and then in turn a stage and the step to the next.
fn convnext(name: &str) -> Option<String> {
    let (index, rest) = name.strip_prefix("features.")?.split_once('.')?;
    let index: usize = index.parse().ok()?;
    if index == 0 {
        return Some(format!("stem.{rest}"));
    }
    if index.is_multiple_of(2) {
        return Some(format!("stages.{}.downsample.{rest}", index / 2));
    }
    let (block, rest) = rest.split_once('.')?;
    let layer = match rest.strip_prefix("block.").and_then(|rest| rest.split_once('.')) {
        Some(("0", what)) => format!("conv_dw.{what}"),
        Some(("2", what)) => format!("norm.{what}"),
        Some(("3", what)) => format!("mlp.fc1.{what}"),
        Some(("5", what)) => format!("mlp.fc2.{what}"),
        None if rest == "layer_scale" => "gamma".to_owned(),
        _ => return None,
    };
    Some(format!("stages.{}.blocks.{block}.{layer}", index / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn convnexts_names_become_timms() {
        for (theirs, ours) in [
            ("features.0.0.weight", "stem.0.weight"),
            ("features.0.1.bias", "stem.1.bias"),
            ("features.1.2.layer_scale", "stages.0.blocks.2.gamma"),
            ("features.5.8.block.0.weight", "stages.2.blocks.8.conv_dw.weight"),
            ("features.5.8.block.2.bias", "stages.2.blocks.8.norm.bias"),
            ("features.7.0.block.3.weight", "stages.3.blocks.0.mlp.fc1.weight"),
            ("features.7.0.block.5.weight", "stages.3.blocks.0.mlp.fc2.weight"),
            ("features.6.1.weight", "stages.3.downsample.1.weight"),
        ] {
            assert_eq!(roles(&[theirs, "x.layer_scale"])[0], Role::Feature(ours.into()));
        }
        for name in ["features.1.2.block.9.weight", "features.x.0.weight", "features.1.layer_scale"] {
            assert_eq!(roles(&[name, "x.layer_scale"])[0], Role::Feature(name.into()));
        }
    }

    #[test]
    fn the_layers_behind_the_features_are_ignored() {
        for name in ["fc.weight", "AuxLogits.conv0.conv.weight", "classifier.0.bias", "pre_logits.fc1.weight"] {
            assert_eq!(roles(&[name]), [Role::Ignored]);
        }
        assert_eq!(roles(&["features.40.weight"]), [Role::Feature("features.40.weight".into())]);
    }
}
