//! Softmax, and the attention of transformers, whose weights it makes.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Shape, Tensor};

use crate::cost;
use crate::exp::Exp;
use crate::kernel::{dtype, expect_values, for_rows, output, read, rows_per_task, slice, with_float};
use crate::{Error, Result};

/// e^x over its sum, along the last axis of a tensor of any shape.
///
/// # Errors
/// If `x` has no axis or is empty, the type isn't a float, or candle fails.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 0 {
        let expected = "one dimension or more".to_owned();
        return Err(Error::Shape { op: NAME, what: "input", got: Vec::new(), expected });
    }
    expect_values(NAME, "input", x)?;
    if x.device().is_cpu() { Ok(x.contiguous()?.apply_op1(Softmax)?) } else { composed(x) }
}

/// Logarithm of the softmax along the last axis of a tensor of any shape, without overflow.
///
/// # Errors
/// If `x` has no axis or is empty, or candle fails.
pub fn log_softmax(x: &Tensor) -> Result<Tensor> {
    expect_values("log_softmax", "input", x)?;
    // The largest value is only a shift that cancels out, so it needs no gradient.
    let largest = x.detach().max_keepdim(D::Minus1)?;
    let shifted = x.broadcast_sub(&largest)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    Ok(shifted.broadcast_sub(&log_sum)?)
}

/// `softmax(q k^T / sqrt(d)) v`, for queries (.., N, d), keys (.., M, d) and values (.., M, e) with the same leading axes
/// (Vaswani et al. 2017, section 3.2.1; PyTorch's `scaled_dot_product_attention`).
///
/// # Errors
/// If the shapes don't fit each other, a tensor is empty, or candle fails.
pub fn scaled_dot_product_attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    for (what, tensor) in [("queries", q), ("keys", k), ("values", v)] {
        expect_values("attention", what, tensor)?;
    }
    let width = q.dim(D::Minus1)?;
    let scores =
        q.affine(1.0 / (width as f64).sqrt(), 0.0)?.contiguous()?.matmul(&k.transpose(D::Minus2, D::Minus1)?)?;
    cost::report(scores.elem_count() * (width + v.dim(D::Minus1)?));
    Ok(softmax(&scores)?.matmul(&v.contiguous()?)?)
}

const NAME: &str = "softmax";

fn composed(x: &Tensor) -> Result<Tensor> {
    let powers = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?;
    Ok(powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let x = var((2, 3, 5));
        assert_same(&[&x], &softmax(&x).unwrap(), &composed(&x).unwrap());
    }
}
