//! The processor's vector instructions, and the two element types on them.

use std::sync::OnceLock;

use candle_core::WithDType;
use pulp::{Simd, WithSimd};

/// An element type of the CPU kernels: f32, or f64 for gradient checks.
pub(crate) trait Float: WithDType {
    /// One register of values.
    type Lanes<S: Simd>: Copy;

    /// The value in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Lanes<S>;

    /// a * b + c, rounded once where the instructions can.
    fn mul_add<S: Simd>(simd: S, a: Self::Lanes<S>, b: Self::Lanes<S>, c: Self::Lanes<S>) -> Self::Lanes<S>;

    /// a + b.
    fn plus<S: Simd>(simd: S, a: Self::Lanes<S>, b: Self::Lanes<S>) -> Self::Lanes<S>;
}

impl Float for f32 {
    type Lanes<S: Simd> = S::f32s;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f32s {
        simd.splat_f32s(value)
    }

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, c)
    }

    #[inline(always)]
    fn plus<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.add_f32s(a, b)
    }
}

impl Float for f64 {
    type Lanes<S: Simd> = S::f64s;

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f64s {
        simd.splat_f64s(value)
    }

    #[inline(always)]
    fn mul_add<S: Simd>(simd: S, a: S::f64s, b: S::f64s, c: S::f64s) -> S::f64s {
        simd.mul_add_e_f64s(a, b, c)
    }

    #[inline(always)]
    fn plus<S: Simd>(simd: S, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.add_f64s(a, b)
    }
}

/// x within `low..=high`. Comparisons, as `max` and `min` would turn NaN into a number.
#[inline(always)]
pub(crate) fn clamp<T: Float>(x: T, low: T, high: T) -> T {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// Values of one register of `S`.
#[inline(always)]
pub(crate) const fn lanes<S: Simd, T: Float>() -> usize {
    size_of::<T::Lanes<S>>() / size_of::<T>()
}

/// Runs `op` with the best instructions of this processor, or with those that the environment variable `C2F_SIMD` asks
/// for.
#[inline(always)]
pub(crate) fn dispatch<Op: WithSimd>(op: Op) -> Op::Output {
    match instructions() {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(simd) => Simd::vectorize(simd, op),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(simd) => Simd::vectorize(simd, op),
        #[cfg(not(target_arch = "x86_64"))]
        Instructions::Native => pulp::Arch::new().dispatch(op),
        Instructions::Portable => Simd::vectorize(pulp::Scalar128b, op),
    }
}

/// Runs `f`, which should be marked `#[inline(always)]`, compiled with the best instructions of this processor.
///
/// The bound makes it an `FnOnce` and nothing more: of a closure that is an `Fn`, `call_once` would be a function of its
/// own, which the compiler may leave outside, compiled for any processor.
#[inline(always)]
pub(crate) fn vectorize<R>(f: impl FnOnce() -> R) -> R {
    struct Run<F>(F);
    impl<R, F: FnOnce() -> R> WithSimd for Run<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> R {
            (self.0)()
        }
    }
    dispatch(Run(f))
}

/// The instruction set that the CPU kernels of this process use: `avx512`, `avx2`, `native` (what pulp finds on other
/// processors) or `portable`.
///
/// It is the best one that the processor has; the environment variable `C2F_SIMD` chooses another one of these by name,
/// if the processor has it. Results are the same bits for any number of threads, but not for other instructions.
pub fn instruction_set() -> &'static str {
    match instructions() {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(_) => "avx512",
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(_) => "avx2",
        #[cfg(not(target_arch = "x86_64"))]
        Instructions::Native => "native",
        Instructions::Portable => "portable",
    }
}

#[derive(Clone, Copy)]
enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(not(target_arch = "x86_64"))]
    Native,
    /// Vectors of 128 bits, which the compiler turns into what every processor of this kind has.
    Portable,
}

fn instructions() -> Instructions {
    static CHOSEN: OnceLock<Instructions> = OnceLock::new();
    *CHOSEN.get_or_init(|| choose(std::env::var("C2F_SIMD").ok().as_deref()))
}

#[cfg(target_arch = "x86_64")]
fn choose(wanted: Option<&str>) -> Instructions {
    let (avx512, avx2) = (pulp::x86::V4::try_new(), pulp::x86::V3::try_new());
    match (wanted, avx512, avx2) {
        (Some("portable"), _, _) | (_, None, None) => Instructions::Portable,
        (Some("avx2"), _, Some(simd)) | (_, None, Some(simd)) => Instructions::Avx2(simd),
        (_, Some(simd), _) => Instructions::Avx512(simd),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn choose(wanted: Option<&str>) -> Instructions {
    if wanted == Some("portable") { Instructions::Portable } else { Instructions::Native }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Continuous integration runs the tests once for each set: a name that isn't followed would test nothing new.
    #[test]
    fn the_set_asked_for_is_used_where_the_processor_has_it() {
        let Ok(wanted) = std::env::var("C2F_SIMD") else { return };
        #[cfg(target_arch = "x86_64")]
        let there = match wanted.as_str() {
            "avx512" => pulp::x86::V4::try_new().is_some(),
            "avx2" => pulp::x86::V3::try_new().is_some(),
            name => name == "portable",
        };
        #[cfg(not(target_arch = "x86_64"))]
        let there = ["native", "portable"].contains(&wanted.as_str());
        assert!(!there || instruction_set() == wanted, "{wanted} was asked for, {} is used", instruction_set());
    }
}
