//! PyTorch's `torch.save` files: the zip format (since 1.6) and the one before it.
//!
//! Layouts: `torch/serialization.py` (`_save`, `_legacy_save`).

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use candle_core::{DType, Tensor};
use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Pickle, Value, array, take};
use super::state_dict::{state_dict, storage};
use super::stored::Storages;

/// The tensors of a zip-format file.
pub(super) fn read_zip(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let folder = archive
        .file_names()
        .filter_map(Result::ok)
        .find_map(|name| name.strip_suffix("data.pkl").map(str::to_owned))
        .ok_or("the archive has no data.pkl")?;
    // Entries of a hostile archive may lie over each other.
    let mut left = bytes.len() as u64;
    let mut entry = |name: &str| -> Result<Vec<u8>, String> {
        let path = format!("{folder}{name}");
        let fail = |error: &dyn std::fmt::Display| format!("{path}: {error}");
        let entry = archive.by_name(&path).map_err(|error| fail(&error))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(fail(&"it is compressed, which torch.save never does"));
        }
        let mut bytes = Vec::new();
        entry.take(left + 1).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
        left = left.checked_sub(bytes.len() as u64).ok_or("its entries hold more than the file is long")?;
        Ok(bytes)
    };
    // Files of PyTorch before 2.0 don't say.
    if entry("byteorder").is_ok_and(|order| order == b"big") {
        return Err("its numbers are big-endian".into());
    }
    let pickle = Pickle::read(&mut entry("data.pkl")?.as_slice())?;
    let mut storages = Storages::new(bytes.len());
    let mut tensors = BTreeMap::new();
    for (name, stored) in state_dict(&pickle)? {
        let tensor = storages.tensor(stored, |key| entry(&format!("data/{key}")));
        tensors.insert(name.to_owned(), tensor.map_err(|error| format!("{name}: {error}"))?);
    }
    Ok(tensors)
}

/// The tensors of a file in the format before the zip one: pickles of a magic number, a version, a description of the
/// machine, the object and the keys of the storages; then each storage, its length before it.
pub(super) fn read_legacy(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let size = bytes.len();
    let bytes = &mut &*bytes;
    let magic = Pickle::read(bytes)?;
    if magic.get(magic.root()) != &Value::Int(0x1950_a86a_20f9_469c_fc6c) {
        return Err("it is a pickle, but not one of torch.save".into());
    }
    let _version = Pickle::read(bytes)?;
    let _machine = Pickle::read(bytes)?;
    let pickle = Pickle::read(bytes)?;

    let keys = Pickle::read(bytes)?;
    let Value::List(ids) = keys.get(keys.root()) else { return Err("it has no list of storages".into()) };
    // Also those of tensors outside the state dict, such as an optimiser's: their lengths are needed to pass them.
    let types: HashMap<&str, DType> =
        pickle.persistent().filter_map(|id| storage(&pickle, id).ok()).map(|s| (s.key, s.dtype)).collect();
    let mut contents = HashMap::new();
    for &id in ids {
        let key = keys.text(id).ok_or("a storage has no name")?;
        let dtype = types.get(key).ok_or_else(|| format!("storage {key} has no known type"))?;
        let count = u64::from_le_bytes(array(bytes)?);
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(dtype.size_in_bytes()));
        contents.insert(key, take(bytes, length.ok_or("the file ends too early")?)?);
    }
    let mut storages = Storages::new(size);
    let mut tensors = BTreeMap::new();
    for (name, stored) in state_dict(&pickle)? {
        let tensor =
            storages.tensor(stored, |key| contents.get(key).ok_or_else(|| "its storage is missing".to_owned()));
        tensors.insert(name.to_owned(), tensor.map_err(|error| format!("{name}: {error}"))?);
    }
    Ok(tensors)
}
