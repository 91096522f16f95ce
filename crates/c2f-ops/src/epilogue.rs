//! What follows a convolution, per channel: batch normalisation and activation, applied by whoever reads the convolution's
//! output.

use crate::simd::{Float, clamp, vectorize};

/// `clamp(x * scale + shift, low, high)`, per channel: BatchNorm and ReLU.
#[derive(Debug, Clone)]
pub(crate) struct Epilogue<T> {
    pub scale: Vec<T>,
    pub shift: Vec<T>,
    pub low: T,
    pub high: T,
    /// Mean of x, which the gradient needs.
    pub mean: Vec<T>,
}

/// The gradient before an [`Epilogue`]: `g * scale + x * slope + offset` per channel, where g is the gradient after it, or
/// zero where it was clamped. Slope and offset come of the batch's statistics, which depend on x.
#[derive(Debug, Clone)]
pub(crate) struct EpilogueGradient<T> {
    pub epilogue: Epilogue<T>,
    pub slope: Vec<T>,
    pub offset: Vec<T>,
}

impl<T: Float> Epilogue<T> {
    /// The one that changes nothing and passes every gradient, of values with these means.
    pub fn identity(mean: &[f64]) -> Self {
        let (low, high) = (T::from_f64(f64::NEG_INFINITY), T::from_f64(f64::INFINITY));
        let constant = |value: T| vec![value; mean.len()];
        let mean = mean.iter().map(|&mean| T::from_f64(mean)).collect();
        Self { scale: constant(T::one()), shift: constant(T::zero()), low, high, mean }
    }

    #[inline(always)]
    fn value(&self, x: T, scale: T, shift: T) -> T {
        clamp(x * scale + shift, self.low, self.high)
    }

    /// Of one pixel.
    #[inline(always)]
    pub fn apply(&self, x: &[T], into: &mut [T]) {
        for ((into, &x), (&scale, &shift)) in into.iter_mut().zip(x).zip(self.scale.iter().zip(&self.shift)) {
            *into = self.value(x, scale, shift);
        }
    }

    /// Of whole pixels.
    pub fn apply_in_place(&self, pixels: &mut [T]) {
        vectorize(
            #[inline(always)]
            || {
                for pixel in pixels.chunks_exact_mut(self.scale.len()) {
                    for (x, (&scale, &shift)) in pixel.iter_mut().zip(self.scale.iter().zip(&self.shift)) {
                        *x = self.value(*x, scale, shift);
                    }
                }
            },
        );
    }

    /// Whether the gradient passes at x.
    #[inline(always)]
    #[allow(clippy::needless_bitwise_bool, reason = "a branch would keep AVX2 from vectorising the loop around it")]
    pub fn passes(&self, x: T, scale: T, shift: T) -> bool {
        let y = x * scale + shift;
        (y > self.low) & (y < self.high)
    }
}

impl<T: Float> EpilogueGradient<T> {
    /// Of one pixel.
    #[inline(always)]
    pub fn apply(&self, gradient: &[T], x: &[T], into: &mut [T]) {
        let after = &self.epilogue;
        let constants = after.scale.iter().zip(&after.shift).zip(self.slope.iter().zip(&self.offset));
        for (((into, &g), &x), ((&scale, &shift), (&slope, &offset))) in
            into.iter_mut().zip(gradient).zip(x).zip(constants)
        {
            let g = if after.passes(x, scale, shift) { g } else { T::zero() };
            *into = g * scale + (x * slope + offset);
        }
    }
}
