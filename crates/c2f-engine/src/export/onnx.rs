//! A trained network as an ONNX file.

use std::path::Path;

use c2f_files::Output;
use serde_json::json;

use crate::describe::GraphInputs;
use crate::{Network, Result};

/// Writes what [`Network::predict`] computes as an ONNX file: see [`Network::describe`] and [`onnx`].
///
/// # Errors
/// With the rules of [`Output`], if the file can't be written, or as [`Network::describe`].
pub fn export_onnx(network: &Network, inputs: GraphInputs, path: &Path) -> Result<()> {
    let output = Output::create(path, c2f_onnx::HEAD)?;
    Ok(output.finish_with(&onnx(network, inputs)?)?)
}

/// The bytes of that file. Its metadata are `c2f_classes` (a list, in JSON), `c2f_crop` ([`Network::crop`], in JSON),
/// `c2f_mean` and `c2f_std` (lists; the graph normalises by itself), `c2f_backbone`, and `c2f_recipe` (TOML).
///
/// # Errors
/// As [`Network::describe`].
pub fn onnx(network: &Network, inputs: GraphInputs) -> Result<Vec<u8>> {
    let info = network.model.backbone().info();
    let metadata = [
        ("c2f_classes", json!(network.classes).to_string()),
        ("c2f_crop", json!(network.crop()).to_string()),
        ("c2f_mean", json!(info.mean).to_string()),
        ("c2f_std", json!(info.std).to_string()),
        ("c2f_backbone", network.recipe.backbone.clone()),
        ("c2f_recipe", network.recipe.to_toml()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    Ok(c2f_onnx::encode(network.describe(inputs)?, &network.recipe.backbone, &metadata))
}
