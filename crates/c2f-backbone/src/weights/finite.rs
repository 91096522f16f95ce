//! Weights that aren't numbers: a network with them gives no answers, only NaN.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::Result;

/// The first of these floating-point tensors that holds NaN or infinity, as part of a sentence; `None` if they are all finite.
///
/// # Errors
/// If candle fails.
pub fn find_not_finite(tensors: &BTreeMap<String, Tensor>) -> Result<Option<String>> {
    for (name, tensor) in tensors {
        if !is_finite(tensor)? {
            return Ok(Some(not_finite(name)));
        }
    }
    Ok(None)
}

/// What an error says of such a tensor.
pub(super) fn not_finite(name: &str) -> String {
    format!("the tensor {name} holds NaN or infinity, so no network with it can answer")
}

/// Whether no value of a floating-point tensor is NaN or infinite.
pub(super) fn is_finite(tensor: &Tensor) -> Result<bool> {
    // 0 times any number is 0, but 0 times infinity or NaN is NaN; and so is every sum with it.
    Ok(tensor.affine(0.0, 0.0)?.sum_all()?.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()? == 0.0)
}
