//! A trained network's backbone, as other programs take it.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use c2f_files::{Mark, Output};
use candle_core::{DType, Device, Tensor};

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
    let mut output = Output::create(path, MARK)?;
    let mut tensors = Vec::new();
    for entry in network.params.at("backbone").entries() {
        let is_of_fine_look = crate::network::coarse_statistic(&entry.name).is_some();
        if let Some(name) = entry.name.strip_prefix("backbone.").filter(|_| !is_of_fine_look) {
            let tensor = entry.var.as_tensor().to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
            tensors.push((name.to_owned(), bytes(&tensor)?, tensor.dims().to_vec()));
        }
    }
    let views = tensors.iter().map(|(name, bytes, shape)| {
        Ok((name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes)?))
    });
    let views: Vec<_> = views.collect::<Result<_, safetensors::SafeTensorError>>().map_err(|e| unwritable(path, &e))?;
    let metadata = HashMap::from([("c2f_backbone".to_owned(), network.recipe.backbone.clone())]);
    let file = safetensors::serialize(views, Some(metadata)).map_err(|e| unwritable(path, &e))?;
    output.write_all(&file).map_err(|e| output.error(e))?;
    output.finish()?;
    Ok(tensors.len())
}

fn bytes(tensor: &Tensor) -> Result<Vec<u8>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn unwritable(path: &Path, error: &safetensors::SafeTensorError) -> Error {
    Error::io(path, std::io::Error::other(error.to_string()))
}
