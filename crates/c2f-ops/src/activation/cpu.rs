//! The kernels of ReLU.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use super::NAME;
use crate::Result;
use crate::kernel::{TASK, dtype, for_rows, output, read, slice, with_float};
use crate::simd::{Float, clamp};

pub(super) fn relu(x: &Tensor, ceiling: f64) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Relu { ceiling })?)
}

struct Relu {
    /// Infinite for the plain ReLU.
    ceiling: f64,
}

impl CustomOp1 for Relu {
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
