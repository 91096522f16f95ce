//! Rectifiers.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use crate::Result;
use crate::kernel::{TASK, dtype, expect_values, for_rows, output, read, slice, with_float};
use crate::simd::{Float, clamp};

/// max(x, 0), of a tensor of any shape. NaN stays NaN; the gradient at 0 is 0, as in PyTorch.
///
/// # Errors
/// If `x` is empty, its type isn't a float, or candle fails.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    rectify(x, f64::INFINITY)
}

/// min(max(x, 0), 6), of a tensor of any shape (MobileNet's rectifier, Howard et al. 2017; it is PyTorch's `ReLU6`).
/// The gradient at 0 and at 6 is 0.
///
/// # Errors
/// If `x` is empty, its type isn't a float, or candle fails.
pub fn relu6(x: &Tensor) -> Result<Tensor> {
    rectify(x, 6.0)
}

fn rectify(x: &Tensor, ceiling: f64) -> Result<Tensor> {
    expect_values(NAME, "input", x)?;
    if x.device().is_cpu() { Ok(x.contiguous()?.apply_op1(Rectify { ceiling })?) } else { limit(x, 0.0, ceiling) }
}

/// min(max(x, low), high) by candle's operations, with no gradient where x isn't inside of (low, high). candle's own
/// `clamp` and `relu` let half of it or all of it through at the limits.
pub(crate) fn limit(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    let constant = |value: f64| Tensor::new(value, x.device())?.to_dtype(x.dtype())?.broadcast_as(x.shape());
    let mut y = x.le(low)?.where_cond(&constant(low)?, x)?;
    if high.is_finite() {
        y = y.ge(high)?.where_cond(&constant(high)?, &y)?;
    }
    Ok(y)
}

const NAME: &str = "relu";

struct Rectify {
    /// Infinite for the plain rectifier.
    ceiling: f64,
}

impl CustomOp1 for Rectify {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_float!(NAME, dtype(storage), T => {
            let y = forward::<T>(slice(NAME, storage, layout)?, self.ceiling);
            Ok(output(y, layout.shape()))
        })
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        with_float!(NAME, y.dtype(), T => {
            let dx = read(NAME, [y, grad], |[y, grad]| backward::<T>(y, grad, self.ceiling))?;
            Ok(Some(Tensor::from_vec(dx, y.shape(), y.device())?))
        })
    }
}

fn forward<T: Float>(x: &[T], ceiling: f64) -> Vec<T> {
    let ceiling = T::from_f64(ceiling);
    let mut y = vec![T::zero(); x.len()];
    for_rows(
        &mut y,
        1,
        TASK,
        #[inline(always)]
        |first, y| {
            for (y, &x) in y.iter_mut().zip(&x[first..]) {
                *y = clamp(x, T::zero(), ceiling);
            }
        },
    );
    y
}

/// The output tells as well as the input where it was cut off.
#[allow(clippy::needless_bitwise_bool, reason = "a branch would keep AVX2 from vectorising the loop")]
fn backward<T: Float>(y: &[T], grad: &[T], ceiling: f64) -> Vec<T> {
    let ceiling = T::from_f64(ceiling);
    let mut dx = vec![T::zero(); y.len()];
    for_rows(
        &mut dx,
        1,
        TASK,
        #[inline(always)]
        |first, dx| {
            for ((dx, &y), &grad) in dx.iter_mut().zip(&y[first..]).zip(&grad[first..]) {
                *dx = if (y <= T::zero()) | (y >= ceiling) { T::zero() } else { grad };
            }
        },
    );
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let x = var((3, 5));
        // Whole numbers, the limits among them, with the gradient of x.
        let rounding = ((x.as_detached_tensor() * 8.0).unwrap().round().unwrap() - x.as_detached_tensor()).unwrap();
        let y = (x.as_tensor() + rounding).unwrap();
        assert_same(&[&x], &relu(&y).unwrap(), &limit(&y, 0.0, f64::INFINITY).unwrap());
        assert_same(&[&x], &relu6(&y).unwrap(), &limit(&y, 0.0, 6.0).unwrap());
    }
}
