//! The exponential function in loops that the compiler can vectorise.

use crate::simd::Float;

pub(crate) trait Exp: Float {
    /// e^x for x of 0 or less.
    fn exp_negative(x: Self) -> Self;
}

impl Exp for f64 {
    #[inline(always)]
    fn exp_negative(x: Self) -> Self {
        x.exp()
    }
}

impl Exp for f32 {
    /// To 2e-7 of the value: 2^n times a polynomial on [-ln(2)/2, ln(2)/2], by Cody and Waite's reduction. What would be
    /// smaller than 1e-38 becomes that. NaN stays NaN.
    #[inline(always)]
    fn exp_negative(x: Self) -> Self {
        /// Added to a number below 2^22 it leaves the nearest whole number in the lowest bits.
        const ROUND: f32 = 12_582_912.0;
        /// ln(2) in two parts, the first of which times a small whole number is exact.
        const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
        // A comparison, as `max` would turn NaN into a number.
        let x = if x < -87.0 { -87.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (x - n * LN_2.0) - n * LN_2.1;
        let polynomial = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
        let mut y = polynomial[0];
        for coefficient in &polynomial[1..] {
            y = y * r + coefficient;
        }
        y * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_precision_is_near_the_true_value() {
        for i in 0..=8700 {
            let x = -(i as f32) / 100.0;
            let (y, expected) = (f32::exp_negative(x) as f64, (x as f64).exp());
            assert!((y - expected).abs() <= 3e-7 * expected, "{x}: {y} instead of {expected}");
        }
        assert_eq!(f32::exp_negative(0.0), 1.0);
        assert!(f32::exp_negative(f32::NEG_INFINITY) < 1e-37);
        assert!(f32::exp_negative(f32::NAN).is_nan());
    }
}
