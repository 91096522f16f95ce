//! The safetensors format.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

/// The tensors of a file.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(|error| error.to_string())?;
    Ok(tensors.into_iter().collect())
}
