//! Clipping by the global norm.

use super::Gradients;
use crate::Result;

/// The L2 norm of all gradients together, summed in the order of their names. NaN or infinite where a gradient is.
///
/// # Errors
/// If candle fails.
pub fn global_norm(gradients: &Gradients) -> Result<f64> {
    let mut sum = 0.0;
    for gradient in gradients.values() {
        sum += f64::from(gradient.sqr()?.sum_all()?.to_dtype(candle_core::DType::F32)?.to_scalar::<f32>()?);
    }
    Ok(sum.sqrt())
}

/// Scales all gradients so that their global norm, which is `norm`, becomes at most `largest` (PyTorch's
/// `clip_grad_norm_`, its 1e-6 in the denominator included).
///
/// # Errors
/// If candle fails.
pub fn clip_global_norm(gradients: &mut Gradients, norm: f64, largest: f64) -> Result<()> {
    let factor = largest / (norm + 1e-6);
    if factor < 1.0 {
        for gradient in gradients.values_mut() {
            *gradient = gradient.affine(factor, 0.0)?;
        }
    }
    Ok(())
}
