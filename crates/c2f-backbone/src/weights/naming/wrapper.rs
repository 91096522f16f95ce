//! What training scripts put before a network's names.

use super::{SCHEMES, Scheme};

/// Of `DataParallel`, `torch.compile`, Lightning and other modules that hold the network.
const WRAPPERS: [&str; 7] = ["module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder."];

/// The scheme that a file's names follow, if it is known, and the wrappers that stand before these names, in the order in
/// which they are there. Names without them are of what lies beside the network.
pub(in crate::weights) fn recognise(names: &[&str]) -> Option<(String, &'static Scheme)> {
    let mut wrapper = String::new();
    loop {
        let inside: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(&wrapper)).collect();
        if let Some(scheme) = inside.iter().find_map(|name| SCHEMES.iter().find(|scheme| (scheme.recognises)(name))) {
            return Some((wrapper, scheme));
        }
        let count = |next: &&str| inside.iter().filter(|name| name.starts_with(next)).count();
        let next = WRAPPERS.iter().copied().max_by_key(count).filter(|next| count(next) > 0)?;
        wrapper.push_str(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapper(names: &[&str]) -> Option<(String, &'static str)> {
        recognise(names).map(|(wrapper, scheme)| (wrapper, scheme.name))
    }

    #[test]
    fn wrappers_in_any_order_are_found() {
        for before in ["", "module.", "model.", "_orig_mod.module.", "module._orig_mod.model.backbone.", "model.net."] {
            let name = format!("{before}layer1.0.conv1.weight");
            assert_eq!(wrapper(&[&name, "head.bias"]), Some((before.to_owned(), "torchvision")), "{name}");
        }
    }

    #[test]
    fn most_names_decide() {
        let names = ["model.teacher.x", "net.fc.weight", "model.backbone.blocks.0.x", "model.backbone.norm.bias"];
        assert_eq!(wrapper(&names), Some(("model.backbone.".to_owned(), "timm")));
    }

    #[test]
    fn other_names_are_of_no_scheme() {
        for names in [&["resnet.layer1.weight"][..], &["model.", "module.x"], &["model.model.model."], &[]] {
            assert_eq!(wrapper(names), None, "{names:?}");
        }
    }
}
