//! The safetensors format.

use std::collections::BTreeMap;

use candle_core::safetensors::{Load, SliceSafetensors};
use candle_core::{DType, Device, Tensor};

use super::stored::elements;

/// The longest header that is read, in bytes: room for a hundred thousand tensors. What it turns into takes several times its
/// length.
const LONGEST_HEADER: u64 = 16 << 20;

/// The tensors of a file.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let header = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
    if header > LONGEST_HEADER {
        return Err(format!("its header claims {header} bytes, and {LONGEST_HEADER} is the most that is read"));
    }
    let file = SliceSafetensors::new(bytes).map_err(|error| error.to_string())?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let dtype = DType::try_from(view.dtype());
        if !dtype.is_ok_and(is_known) {
            return Err(format!("{name}: its values are {:?}, which this reader doesn't know", view.dtype()));
        }
        if elements(view.shape()).is_none() {
            return Err(format!("{name}: it has a shape of more values than there can be"));
        }
        let tensor = view.load(&Device::Cpu).map_err(|error| format!("{name}: {error}"))?;
        tensors.insert(name, tensor);
    }
    Ok(tensors)
}

/// candle has types for small floats that it can't calculate with.
fn is_known(dtype: DType) -> bool {
    use DType::{BF16, F16, F32, F64, I16, I32, I64, U8, U32};
    matches!(dtype, U8 | U32 | I16 | I32 | I64 | BF16 | F16 | F32 | F64)
}
