//! The state dict of a pickled checkpoint: names, and where their tensors lie.
//!
//! How tensors are pickled: `torch/_utils.py` (`_rebuild_tensor_v2`).

use candle_core::DType;

use super::pickle::{Id, Pickle, Value};
use super::stored::{Storage, Stored};

/// Names under which training scripts keep the weights beside their own things. The first one of these that holds tensors
/// counts: averages of the weights go before the weights, as in timm.
const STATE_DICT: [&str; 10] = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "module",
    "net",
    "network",
];
/// How many of these names may lead to it, one below the other.
const MOST_NESTED: usize = 2;
/// The most dimensions of a tensor. No layer's have more than five.
const MOST_DIMS: usize = 16;

type Items = [(Id, Id)];

/// The tensors of the pickled state dict, or of the one that it holds under a usual name, without the `module.` that
/// `DataParallel` puts before each name. What is no tensor is passed over.
pub(super) fn state_dict(pickle: &Pickle) -> Result<Vec<(&str, Stored<'_>)>, String> {
    let Value::Dict(items) = pickle.get(pickle.root()) else {
        return Err("it holds no state dict; of a whole model, save model.state_dict()".into());
    };
    let found = find(pickle, items, MOST_NESTED).ok_or_else(|| without_tensors(pickle, items))?;
    let mut tensors = Vec::new();
    for &(key, value) in found {
        let Some(name) = pickle.text(key) else { continue };
        let name = name.strip_prefix("module.").unwrap_or(name);
        if let Some(stored) = stored(pickle, value).map_err(|error| format!("{name}: {error}"))? {
            tensors.push((name, stored));
        }
    }
    Ok(tensors)
}

/// The items of the dictionary that holds the tensors.
fn find<'a>(pickle: &'a Pickle, items: &'a Items, nested: usize) -> Option<&'a Items> {
    let mut usual = [None; STATE_DICT.len()];
    if nested > 0 {
        for &(key, value) in items {
            let place = pickle.text(key).and_then(|key| STATE_DICT.iter().position(|name| *name == key));
            if let (Some(place), Value::Dict(items)) = (place, pickle.get(value)) {
                usual[place] = Some(items);
            }
        }
    }
    // Also one that can't be read, which is an error, later.
    let is_tensor = |&(_, value): &(Id, Id)| !matches!(stored(pickle, value), Ok(None));
    let below = usual.into_iter().flatten().find_map(|items| find(pickle, items, nested - 1));
    below.or_else(|| items.iter().any(is_tensor).then_some(items))
}

/// The error that says what is there instead.
fn without_tensors(pickle: &Pickle, items: &Items) -> String {
    let names: Vec<&str> = items.iter().filter_map(|&(key, _)| pickle.text(key)).take(10).collect();
    let (found, usual) = (names.join(", "), STATE_DICT.join(", "));
    format!("it has no tensors, neither at the top nor under {usual}; what it has is called {found}")
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
                shape: indices(pickle, shape)?,
                strides: indices(pickle, strides)?,
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

/// A shape or strides.
fn indices(pickle: &Pickle, id: Id) -> Result<Vec<usize>, String> {
    const NONE: &str = "its shape and strides are no tuples of sizes";
    let items = pickle.tuple(id).ok_or(NONE)?;
    if items.len() > MOST_DIMS {
        return Err(format!("it has {} dimensions, and {MOST_DIMS} is the most that is read", items.len()));
    }
    Ok(items.iter().map(|&item| pickle.index(item)).collect::<Option<_>>().ok_or(NONE)?)
}

/// What a persistent id names: ("storage", class, key, device, count), and in the legacy format None or a view.
pub(super) fn storage(pickle: &Pickle, id: Id) -> Result<Storage<'_>, String> {
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
