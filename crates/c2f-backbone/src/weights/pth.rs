//! PyTorch's `torch.save` files: the zip format (since 1.6) and the one before it.
//!
//! Layouts: `torch/serialization.py` (`_save`, `_legacy_save`) and `torch/_utils.py` (`_rebuild_tensor_v2`).

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};

use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use super::pickle::{Id, Pickle, Value, array, take};

/// Names under which training scripts keep the state dict beside their own things.
const STATE_DICT: [&str; 2] = ["state_dict", "model"];

/// The tensors of a zip-format file.
pub(super) fn read_zip(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let folder = archive
        .file_names()
        .filter_map(Result::ok)
        .find_map(|name| name.strip_suffix("data.pkl").map(str::to_owned))
        .ok_or("the archive has no data.pkl")?;
    let mut entry = |name: &str| -> Result<Vec<u8>, String> {
        let path = format!("{folder}{name}");
        let mut bytes = Vec::new();
        let read = archive.by_name(&path).map_err(std::io::Error::from).and_then(|mut f| f.read_to_end(&mut bytes));
        read.map(|_| bytes).map_err(|error| format!("{path}: {error}"))
    };
    // Files of PyTorch before 2.0 don't say.
    if entry("byteorder").is_ok_and(|order| order == b"big") {
        return Err("its numbers are big-endian".into());
    }
    let pickle = Pickle::read(&mut entry("data.pkl")?.as_slice())?;
    let mut tensors = BTreeMap::new();
    for (name, stored) in state_dict(&pickle)? {
        let storage = entry(&format!("data/{}", stored.storage.key))?;
        let tensor = stored.tensor(&storage).map_err(|error| format!("{name}: {error}"))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// The tensors of a file in the format before the zip one: pickles of a magic number, a version, a description of the
/// machine, the object and the keys of the storages; then each storage, its length before it.
pub(super) fn read_legacy(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
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
    let mut storages = HashMap::new();
    for &id in ids {
        let key = keys.text(id).ok_or("a storage has no name")?;
        let dtype = types.get(key).ok_or_else(|| format!("storage {key} has no known type"))?;
        let count = u64::from_le_bytes(array(bytes)?);
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(dtype.size_in_bytes()));
        storages.insert(key, take(bytes, length.ok_or("the file ends too early")?)?);
    }
    let mut tensors = BTreeMap::new();
    for (name, stored) in state_dict(&pickle)? {
        let storage = storages.get(stored.storage.key).ok_or_else(|| format!("{name}: its storage is missing"))?;
        let tensor = stored.tensor(storage).map_err(|error| format!("{name}: {error}"))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// The tensors of the pickled state dict, or of the one that it holds under a usual name, without the `module.` that
/// `DataParallel` puts before each name. What is no tensor is passed over.
fn state_dict(pickle: &Pickle) -> Result<Vec<(&str, Stored<'_>)>, String> {
    let Value::Dict(items) = pickle.get(pickle.root()) else { return Err("it holds no state dict".into()) };
    let nested = items.iter().find_map(|&(key, value)| match pickle.get(value) {
        Value::Dict(items) if pickle.text(key).is_some_and(|key| STATE_DICT.contains(&key)) => Some(items),
        _ => None,
    });
    let mut tensors = Vec::new();
    for &(key, value) in nested.unwrap_or(items) {
        let Some(name) = pickle.text(key) else { continue };
        let name = name.strip_prefix("module.").unwrap_or(name);
        if let Some(stored) = stored(pickle, value).map_err(|error| format!("{name}: {error}"))? {
            tensors.push((name, stored));
        }
    }
    Ok(tensors)
}

/// Where a tensor's values lie. Offset and strides count elements.
struct Stored<'a> {
    storage: Storage<'a>,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

struct Storage<'a> {
    key: &'a str,
    dtype: DType,
}

/// `None` for a value that isn't a tensor.
fn stored(pickle: &Pickle, id: Id) -> Result<Option<Stored<'_>>, String> {
    let Some((mut function, mut arguments)) = call(pickle, id) else { return Ok(None) };
    if function == "torch._utils._rebuild_parameter" {
        let Some(plain) = arguments.first().and_then(|&tensor| call(pickle, tensor)) else { return Ok(None) };
        (function, arguments) = plain;
    }
    match (function, arguments) {
        ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2", &[place, offset, shape, strides, ..]) => {
            let Value::Persistent(place) = *pickle.get(place) else { return Err("it has no storage".into()) };
            Ok(Some(Stored {
                storage: storage(pickle, place)?,
                offset: pickle.index(offset).ok_or("its offset is no index")?,
                shape: indices(pickle, shape).ok_or("its shape is no tuple of sizes")?,
                strides: indices(pickle, strides).ok_or("its strides are no tuple of sizes")?,
            }))
        }
        _ => Ok(None),
    }
}

fn call(pickle: &Pickle, id: Id) -> Option<(&str, &[Id])> {
    let Value::Call { callable, arguments } = pickle.get(id) else { return None };
    let Value::Global(name) = pickle.get(*callable) else { return None };
    Some((name, pickle.tuple(*arguments)?))
}

fn indices(pickle: &Pickle, id: Id) -> Option<Vec<usize>> {
    pickle.tuple(id)?.iter().map(|&item| pickle.index(item)).collect()
}

/// What a persistent id names: ("storage", class, key, device, count), and in the legacy format None or a view.
fn storage(pickle: &Pickle, id: Id) -> Result<Storage<'_>, String> {
    let Some(&[_, class, key, _, _, ref view @ ..]) = pickle.tuple(id) else {
        return Err("its storage isn't described".into());
    };
    if view.first().is_some_and(|&view| pickle.get(view) != &Value::Other) {
        return Err("its storage is a view of another, which this reader doesn't know".into());
    }
    let Value::Global(class) = pickle.get(class) else { return Err("its storage has no type".into()) };
    let dtype = match class.as_str() {
        "torch.FloatStorage" => DType::F32,
        "torch.DoubleStorage" => DType::F64,
        "torch.HalfStorage" => DType::F16,
        "torch.BFloat16Storage" => DType::BF16,
        "torch.LongStorage" => DType::I64,
        "torch.IntStorage" => DType::I32,
        "torch.ShortStorage" => DType::I16,
        "torch.ByteStorage" | "torch.BoolStorage" => DType::U8,
        _ => return Err(format!("its values are a {class}, which this reader doesn't know")),
    };
    Ok(Storage { key: pickle.text(key).ok_or("its storage has no name")?, dtype })
}

impl Stored<'_> {
    /// The tensor, contiguous on the CPU, from the bytes of its storage.
    fn tensor(&self, storage: &[u8]) -> Result<Tensor, String> {
        let size = self.storage.dtype.size_in_bytes();
        let outside = || {
            let Self { offset, shape, strides, .. } = self;
            let stored = storage.len() / size;
            format!("shape {shape:?}, strides {strides:?} and offset {offset} don't fit its {stored} stored values")
        };
        // A tensor larger than its storage repeats values; no weights do, but a small file could ask for any memory.
        let count = self.shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n)).ok_or_else(outside)?;
        if self.shape.len() != self.strides.len() || count > storage.len() / size {
            return Err(outside());
        }
        let mut bytes = Vec::with_capacity(count * size);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let steps = index
                .iter()
                .zip(&self.strides)
                .try_fold(self.offset, |at: usize, (&i, &stride): (&usize, _)| at.checked_add(i.checked_mul(stride)?));
            let start = steps.and_then(|at| at.checked_mul(size)).ok_or_else(outside)?;
            bytes.extend(start.checked_add(size).and_then(|end| storage.get(start..end)).ok_or_else(outside)?);
            for (i, n) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        Tensor::from_raw_buffer(&bytes, self.storage.dtype, &self.shape, &Device::Cpu)
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(offset: usize, shape: &[usize], strides: &[usize]) -> Stored<'static> {
        let storage = Storage { key: "0", dtype: DType::U8 };
        Stored { storage, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    #[test]
    fn strides_are_followed() {
        let tensor = stored(1, &[2, 3], &[1, 2]).tensor(&[9, 0, 1, 2, 3, 4, 5]).unwrap();
        assert_eq!(tensor.to_vec2::<u8>().unwrap(), [[0, 2, 4], [1, 3, 5]]);
    }

    #[test]
    fn a_scalar_and_an_empty_tensor() {
        assert_eq!(stored(1, &[], &[]).tensor(&[7, 8]).unwrap().to_scalar::<u8>().unwrap(), 8);
        assert_eq!(stored(0, &[0, 3], &[3, 1]).tensor(&[]).unwrap().dims(), [0, 3]);
    }

    #[test]
    fn values_outside_the_storage_are_an_error() {
        for bad in [
            stored(0, &[2, 3], &[3, 2]),
            stored(2, &[6], &[1]),
            stored(0, &[7], &[0]),
            stored(0, &[2], &[]),
            stored(usize::MAX, &[2], &[1]),
            stored(0, &[2], &[usize::MAX]),
            stored(0, &[usize::MAX, 2], &[1, 1]),
        ] {
            let error = bad.tensor(&[0; 6]).unwrap_err();
            assert!(error.contains("6 stored values"), "{error}");
        }
    }
}
