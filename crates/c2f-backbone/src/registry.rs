//! The backbones by name.

use c2f_ops::nn::Params;

use crate::networks::{Network, c2f_tiny, convnext, efficientnet_lite, inception_v3, resnet, vgg, vision_transformer};
use crate::{Backbone, BackboneInfo, Endpoint, Error, FeatureConfig, Result};

/// One line per network.
static BACKBONES: [&Network; 19] = [
    &c2f_tiny::C2F_TINY,
    &convnext::CONVNEXT_BASE,
    &convnext::CONVNEXT_SMALL,
    &convnext::CONVNEXT_TINY,
    &inception_v3::INCEPTION_V3,
    &resnet::RESNET101,
    &resnet::RESNET152,
    &resnet::RESNET18,
    &resnet::RESNET34,
    &resnet::RESNET50,
    &efficientnet_lite::TF_EFFICIENTNET_LITE0,
    &efficientnet_lite::TF_EFFICIENTNET_LITE1,
    &efficientnet_lite::TF_EFFICIENTNET_LITE2,
    &efficientnet_lite::TF_EFFICIENTNET_LITE3,
    &efficientnet_lite::TF_EFFICIENTNET_LITE4,
    &vgg::VGG16_BN,
    &vgg::VGG19_BN,
    &vision_transformer::VIT_BASE_PATCH16_224,
    &vision_transformer::VIT_SMALL_PATCH16_224,
];

/// The registered names, sorted.
pub fn names() -> Vec<&'static str> {
    BACKBONES.iter().map(|backbone| backbone.info.name).collect()
}

/// The facts about a backbone.
///
/// # Errors
/// [`Error::UnknownBackbone`], with the near names.
pub fn info(name: &str) -> Result<&'static BackboneInfo> {
    Ok(&find(name)?.info)
}

/// Makes a backbone, or the part of it that `config` says; its variables are named, initialised and kept by `params`.
///
/// # Errors
/// [`Error::UnknownBackbone`], with the near names; [`Error::UnknownEndpoint`], with those that there are;
/// [`Error::FrozenBeyond`]; or if `params` has a variable of the same name and another shape.
pub fn build(name: &str, params: &Params, config: &FeatureConfig) -> Result<Box<dyn Backbone>> {
    let Network { info, config: network } = find(name)?;
    network.build(info, params, config)
}

/// The facts about a backbone's endpoint where `config` ends.
///
/// # Errors
/// As [`build`]'s.
pub fn endpoint(name: &str, config: &FeatureConfig) -> Result<Endpoint> {
    let info = info(name)?;
    Ok(*config.plan(info)?.endpoint(info))
}

fn find(name: &str) -> Result<&'static Network> {
    BACKBONES.into_iter().find(|backbone| backbone.info.name == name).ok_or_else(|| Error::UnknownBackbone {
        name: name.to_owned(),
        near: near(name),
        known: names(),
    })
}

/// The two nearest names, if they are near at all. Half of the letters in common in the right order is where the
/// suggestions stop to make sense.
fn near(name: &str) -> Vec<&'static str> {
    let mut near: Vec<_> = names()
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|&(likeness, _)| likeness >= 0.5)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.into_iter().map(|(_, known)| known).take(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(names().is_sorted(), "{:?}", names());
    }

    #[test]
    fn an_unknown_name_lists_near_ones() {
        let message = info("resnet-50").unwrap_err().to_string();
        assert!(message.contains("did you mean resnet50"), "{message}");
        let message = info("efficientnet_lite0").unwrap_err().to_string();
        assert!(message.contains("did you mean tf_efficientnet_lite0"), "{message}");
        let message = info("swin").unwrap_err().to_string();
        assert!(!message.contains("did you mean") && message.contains("c2f_tiny"), "{message}");
    }

    #[test]
    fn endpoints_and_strides_rise_and_names_differ() {
        for name in names() {
            let endpoints = info(name).unwrap().endpoints;
            assert!(endpoints.windows(2).all(|pair| pair[0].stride <= pair[1].stride), "{name}");
            assert!(
                endpoints.iter().enumerate().all(|(i, a)| endpoints[..i].iter().all(|b| a.name != b.name)),
                "{name}"
            );
        }
    }
}
