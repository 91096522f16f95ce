//! Pretrained weights: one reader per file format, one renaming per naming scheme.

mod load;
mod naming;
mod pickle;
mod pth;
mod safetensors;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;

pub use load::{Inspection, LoadReport, Mismatch, NamedShape, inspect_weights, load_weights};

use crate::{Error, Result};

/// The tensors of a weight file on the CPU, by the names that the file has for them.
///
/// The format is found from the content: safetensors, or a state dict written by PyTorch's `torch.save` (the zip format
/// or the one before it), plain or under `state_dict` or `model`; `module.` before its names is dropped. Nothing in a
/// file is ever executed.
///
/// # Errors
/// [`Error::Read`] if the file can't be read, [`Error::Malformed`] if it is cut off or of another format.
pub fn read_weights(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let tensors = match bytes.as_slice() {
        [b'P', b'K', 3, 4, ..] => pth::read_zip(&bytes),
        // The opcode that says the version of the pickle protocol.
        [0x80, 2..=5, ..] => pth::read_legacy(&bytes),
        // The length of the header, and the brace that opens it.
        [_, _, _, _, _, _, _, _, b'{', ..] => safetensors::read(&bytes),
        _ => Err("it is neither a safetensors file nor one of torch.save".into()),
    };
    tensors.map_err(|message| Error::Malformed { path: path.to_owned(), message })
}
