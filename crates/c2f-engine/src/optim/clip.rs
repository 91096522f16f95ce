//! Clipping by the global norm.

use candle_core::Tensor;

use super::Gradients;
use super::each::each;
use crate::Result;

/// The L2 norm of all gradients together, summed in the order of their names. NaN or infinite where a gradient is.
///
/// # Errors
/// If candle fails.
pub fn global_norm(gradients: &Gradients) -> Result<f64> {
    let square = |gradient: &&Tensor| {
        Ok(f64::from(gradient.sqr()?.sum_all()?.to_dtype(candle_core::DType::F32)?.to_scalar::<f32>()?))
    };
    let gradients: Vec<&Tensor> = gradients.values().collect();
    let Some(first) = gradients.first() else { return Ok(0.0) };
    let squares = each(&gradients, first.device(), square).into_iter().collect::<Result<Vec<f64>>>()?;
    Ok(squares.iter().sum::<f64>().sqrt())
}

/// Scales all gradients so that their global norm, which is `norm`, becomes at most `largest` (PyTorch's
/// `clip_grad_norm_`, its 1e-6 in the denominator included).
///
/// # Errors
/// If candle fails.
pub fn clip_global_norm(gradients: &mut Gradients, norm: f64, largest: f64) -> Result<()> {
    let factor = largest / (norm + 1e-6);
    if factor < 1.0 {
        let named: Vec<(&String, &Tensor)> = gradients.iter().collect();
        let Some((_, first)) = named.first() else { return Ok(()) };
        let scaled = |(name, gradient): &(&String, &Tensor)| Ok(((*name).clone(), gradient.affine(factor, 0.0)?));
        *gradients = each(&named, first.device(), scaled).into_iter().collect::<Result<_>>()?;
    }
    Ok(())
}
