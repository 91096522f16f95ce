//! The backbones by name.

use c2f_ops::nn::Params;

use crate::{Backbone, BackboneInfo, Error, Result, efficientnet_lite, resnet, tiny};

struct Registered {
    info: BackboneInfo,
    build: fn(&Params) -> Result<Box<dyn Backbone>>,
}

/// One line per network.
const BACKBONES: [Registered; 4] = [
    Registered { info: tiny::C2F_TINY, build: tiny::c2f_tiny },
    Registered { info: resnet::RESNET18, build: resnet::resnet18 },
    Registered { info: resnet::RESNET50, build: resnet::resnet50 },
    Registered { info: efficientnet_lite::TF_EFFICIENTNET_LITE0, build: efficientnet_lite::tf_efficientnet_lite0 },
];

/// The registered names, sorted.
pub fn names() -> Vec<&'static str> {
    BACKBONES.iter().map(|backbone| backbone.info.name).collect()
}

/// The facts about a backbone.
///
/// # Errors
/// [`Error::UnknownBackbone`], with the near names.
pub fn info(name: &str) -> Result<BackboneInfo> {
    Ok(find(name)?.info.clone())
}

/// Makes a backbone, whose variables are named, initialised and kept by `params`.
///
/// # Errors
/// [`Error::UnknownBackbone`], with the near names; or if `params` has a variable of the same name and another shape.
pub fn build(name: &str, params: &Params) -> Result<Box<dyn Backbone>> {
    (find(name)?.build)(params)
}

fn find(name: &str) -> Result<&'static Registered> {
    BACKBONES.iter().find(|backbone| backbone.info.name == name).ok_or_else(|| Error::UnknownBackbone {
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
}
