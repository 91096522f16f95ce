//! The kernels of GELU.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

use super::NAME;
use crate::Result;
use crate::exp::Exp;
use crate::kernel::{TASK, dtype, for_rows, output, read, slice, with_float};

pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    Ok(x.contiguous()?.apply_op1(Gelu)?)
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        with_float!(NAME, dtype(storage), T => {
            let x = slice::<T>(NAME, storage, layout)?;
            let mut y = vec![0.0; x.len()];
            for_rows(&mut y, 1, TASK, #[inline(always)] |first, y| {
                for (y, &x) in y.iter_mut().zip(&x[first..]) {
                    *y = x * Normal::<T>::of(x).below;
                }
            });
            Ok(output(y, layout.shape()))
        })
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        with_float!(NAME, x.dtype(), T => {
            let dx = read(NAME, [x, grad], |[x, grad]: [&[T]; 2]| {
                let mut dx = vec![0.0; x.len()];
                for_rows(&mut dx, 1, TASK, #[inline(always)] |first, dx| {
                    for ((dx, &x), &grad) in dx.iter_mut().zip(&x[first..]).zip(&grad[first..]) {
                        let normal = Normal::<T>::of(x);
                        *dx = grad * (normal.below + x * normal.density);
                    }
                });
                dx
            })?;
            Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
        })
    }
}

/// The normal distribution at a point.
struct Normal<T> {
    /// Probability of a smaller value.
    below: T,
    density: T,
}

impl Normal<f64> {
    #[inline(always)]
    fn of(x: f64) -> Self {
        Self { below: 0.5 * libm::erfc(-x * FRAC_1_SQRT_2), density: (-0.5 * x * x).exp() / TAU.sqrt() }
    }
}

impl Normal<f32> {
    /// Abramowitz and Stegun, 7.1.26, whose error is below 1.5e-7: erfc(z) = polynomial(1 / (1 + p z)) e^(-z^2).
    #[inline(always)]
    fn of(x: f32) -> Self {
        let z = x.abs() * FRAC_1_SQRT_2 as f32;
        let power = f32::exp_negative(-z * z);
        let t = 1.0 / (1.0 + 0.327_591_1 * z);
        let polynomial = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
        let mut sum = 0.0;
        for coefficient in polynomial {
            sum = (sum + coefficient) * t;
        }
        let tail = 0.5 * sum * power;
        Self { below: if x < 0.0 { tail } else { 1.0 - tail }, density: power * (1.0 / TAU.sqrt()) as f32 }
    }
}
