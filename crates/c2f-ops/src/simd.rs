//! The processor's vector instructions, and the two element types on them.

use std::sync::OnceLock;

use candle_core::WithDType;
use pulp::{Simd, WithSimd};

use crate::conv::Slots;
use crate::{Error, Result};

/// An element type of the CPU kernels: f32, or f64 for gradient checks.
pub(crate) trait Float: WithDType {
    /// One register of values.
    type Lanes<S: Simd>: Copy;

    /// Where weights of this type are kept.
    fn slot(slots: &Slots) -> &OnceLock<Vec<Self>>;

    /// The value in every lane.
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Lanes<S>;

    /// a * b + c, rounded once where the instructions can.
    fn mul_add<S: Simd>(simd: S, a: Self::Lanes<S>, b: Self::Lanes<S>, c: Self::Lanes<S>) -> Self::Lanes<S>;

    /// a + b.
    fn plus<S: Simd>(simd: S, a: Self::Lanes<S>, b: Self::Lanes<S>) -> Self::Lanes<S>;
}

impl Float for f32 {
    type Lanes<S: Simd> = S::f32s;

    fn slot(slots: &Slots) -> &OnceLock<Vec<Self>> {
        &slots.f32
    }

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

    fn slot(slots: &Slots) -> &OnceLock<Vec<Self>> {
        &slots.f64
    }

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
/// if the processor has it ([`check_instruction_set`] says so if not). Results are the same bits for any number of threads,
/// but not for other instructions.
pub fn instruction_set() -> &'static str {
    instructions().name()
}

/// Whether the kernels of this process use the instruction set that `C2F_SIMD` asks for, if it asks for one. A program calls
/// it once, at its start: the kernels themselves take the best one where they can't have the one that was asked for.
///
/// # Errors
/// If it asks for none that there is, or for one that this processor lacks; lists those that it has.
pub fn check_instruction_set() -> Result<()> {
    let Some(wanted) = wanted() else { return Ok(()) };
    let there = available();
    if there.iter().any(|instructions| instructions.name() == wanted) {
        return Ok(());
    }
    let there: Vec<_> = there.iter().map(|instructions| instructions.name()).collect();
    let message = format!("{wanted:?} is no instruction set of this processor, expected {}", there.join(" or "));
    Err(Error::Config { op: VARIABLE, message })
}

const VARIABLE: &str = "C2F_SIMD";

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

impl Instructions {
    fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(not(target_arch = "x86_64"))]
            Self::Native => "native",
            Self::Portable => "portable",
        }
    }
}

fn instructions() -> Instructions {
    static CHOSEN: OnceLock<Instructions> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let (there, wanted) = (available(), wanted());
        let asked_for = there.iter().find(|instructions| wanted.as_deref() == Some(instructions.name()));
        asked_for.or(there.first()).copied().unwrap_or(Instructions::Portable)
    })
}

/// What the environment asks for. An empty text asks for nothing.
fn wanted() -> Option<String> {
    std::env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned()).filter(|name| !name.is_empty())
}

/// What this processor has, the best first.
fn available() -> Vec<Instructions> {
    #[cfg(target_arch = "x86_64")]
    let vectors =
        [pulp::x86::V4::try_new().map(Instructions::Avx512), pulp::x86::V3::try_new().map(Instructions::Avx2)];
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = [Some(Instructions::Native)];
    vectors.into_iter().flatten().chain([Instructions::Portable]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Continuous integration runs the tests once for each set: a name that isn't followed would test nothing new.
    #[test]
    fn the_set_asked_for_is_used_where_the_processor_has_it() {
        let there = available();
        match wanted() {
            Some(wanted) if there.iter().any(|instructions| instructions.name() == wanted) => {
                assert_eq!(instruction_set(), wanted);
            }
            _ => assert_eq!(instruction_set(), there[0].name()),
        }
    }
}
