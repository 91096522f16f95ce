//! The kernels of softmax.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Shape, Tensor};

use super::NAME;
use crate::Result;
use crate::exp::Exp;
use crate::kernel::{dtype, for_rows, output, read, rows_per_task, slice, with_float};

pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Softmax)?)
}

struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let width = layout.dims().last().copied().unwrap_or(1);
        with_float!(NAME, dtype(storage), T => {
            Ok(output(forward::<T>(slice(NAME, storage, layout)?, width), layout.shape()))
        })
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let width = y.dim(D::Minus1)?;
        with_float!(NAME, y.dtype(), T => {
            let dx = read(NAME, [y, grad], |[y, grad]| backward::<T>(y, grad, width))?;
            Ok(Some(Tensor::from_vec(dx, y.shape(), y.device())?))
        })
    }
}

fn forward<T: Exp>(x: &[T], width: usize) -> Vec<T> {
    let mut y = x.to_vec();
    for_rows(
        &mut y,
        width,
        rows_per_task(width),
        #[inline(always)]
        |_, rows| {
            for row in rows.chunks_exact_mut(width) {
                let largest = row.iter().fold(row[0], |largest, &x| if x > largest { x } else { largest });
                let mut sum = T::zero();
                for x in &mut *row {
                    *x = T::exp_negative(*x - largest);
                    sum += *x;
                }
                let scale = T::one() / sum;
                for x in row {
                    *x *= scale;
                }
            }
        },
    );
    y
}

fn backward<T: Exp>(y: &[T], grad: &[T], width: usize) -> Vec<T> {
    let mut dx = vec![T::zero(); y.len()];
    for_rows(
        &mut dx,
        width,
        rows_per_task(width),
        #[inline(always)]
        |first, rows| {
            let range = first * width..first * width + rows.len();
            let both = y[range.clone()].chunks_exact(width).zip(grad[range].chunks_exact(width));
            for (dx, (y, grad)) in rows.chunks_exact_mut(width).zip(both) {
                let along = y.iter().zip(grad).fold(T::zero(), |sum, (&y, &grad)| sum + y * grad);
                for ((dx, &y), &grad) in dx.iter_mut().zip(y).zip(grad) {
                    *dx = y * (grad - along);
                }
            }
        },
    );
    dx
}
