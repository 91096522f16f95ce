//! A trained network's backbone, as other programs take it.

use std::collections::HashMap;
use std::path::Path;

use c2f_files::{Mark, Output};

use crate::checkpoint::Stored;
use crate::{Error, Network, Result};

/// How every file of ours begins, after the header's length.
const MARK: Mark = r#"{"__metadata__":{"c2f_backbone":"#;

/// Writes the backbone's weights to a safetensors file, f32, by the names that timm or torchvision have for them: what their
/// `load_state_dict(.., strict=False)` takes, and [`Network::load_pretrained`]. BatchNorm's statistics are the coarse look's. Layers behind
/// the endpoint (`features.endpoint`), and the classifier, aren't there. Gives the number of tensors.
///
/// # Errors
/// With the rules of [`Output`], or if the file can't be written.
pub fn export_backbone(network: &Network, path: &Path) -> Result<usize> {
    let output = Output::create(path, MARK)?;
    let mut tensors = Vec::new();
    for entry in network.params.at("backbone").entries() {
        let is_of_fine_look = crate::network::coarse_statistic(&entry.name).is_some();
        if let Some(name) = entry.name.strip_prefix("backbone.").filter(|_| !is_of_fine_look) {
            tensors.push((name.to_owned(), Stored::floats(entry.var.as_tensor())?));
        }
    }
    let count = tensors.len();
    let metadata = HashMap::from([("c2f_backbone".to_owned(), network.recipe.backbone.clone())]);
    let file = safetensors::serialize(tensors, Some(metadata))
        .map_err(|e| Error::io(path, std::io::Error::other(e.to_string())))?;
    output.finish_with(&file)?;
    Ok(count)
}
