//! Pretrained weights: one reader per file format, one renaming per naming scheme.

mod finite;
mod load;
mod naming;
mod pickle;
mod pth;
mod safetensors;
mod state_dict;
mod stored;

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;

pub use finite::find_not_finite;
pub use load::{Inspection, LoadReport, Mismatch, NamedShape, inspect_weights, load_weights};

use crate::{Error, Result};

/// The longest name of a tensor, in bytes. Errors repeat names.
const LONGEST_NAME: usize = 512;
/// The longest message about a file, in characters: it may repeat anything that the file holds.
const LONGEST_MESSAGE: usize = 600;

/// The tensors of a weight file on the CPU, by the names that the file has for them.
///
/// The format is found from the content: safetensors, or a state dict written by PyTorch's `torch.save` (the zip format
/// or the one before it), plain or under `state_dict` or `model`; `module.` before its names is dropped. Nothing in a
/// file is ever executed.
///
/// # Errors
/// [`Error::Read`] if the file can't be read, [`Error::Malformed`] if it is cut off, of another format, or made to take more
/// memory than it should.
pub fn read_weights(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = read_file(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let tensors = match bytes.as_slice() {
        [b'P', b'K', 3, 4, ..] => pth::read_zip(&bytes),
        // The opcode that says the version of the pickle protocol.
        [0x80, 2..=5, ..] => pth::read_legacy(&bytes),
        // The length of the header, and the brace that opens it.
        [_, _, _, _, _, _, _, _, b'{', ..] => safetensors::read(&bytes),
        _ => Err("it is neither a safetensors file nor one of torch.save".into()),
    };
    let tensors = tensors.and_then(|tensors| match tensors.keys().find(|name| name.len() > LONGEST_NAME) {
        Some(name) => Err(format!("the name of one of its tensors has {} bytes", name.len())),
        None => Ok(tensors),
    });
    tensors.map_err(|message| {
        let message = message.chars().take(LONGEST_MESSAGE).collect();
        Error::Malformed { path: path.to_owned(), message }
    })
}

/// Devices and pipes may never end.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    std::fs::read(path)
}
