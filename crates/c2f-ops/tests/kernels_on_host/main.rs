//! The kernels for NVIDIA's cards, run on the host and compared with the CPU's, in both types, with what launches them on a card.
//!
//! `C2F_SANITIZE` compiles them with g++'s sanitizers: see `host.rs`.

#[path = "../common/mod.rs"]
mod common;
mod each;
mod host;
#[path = "../../src/cuda/launch/mod.rs"]
mod launch;
mod norm;
mod pictures;
mod rows;
mod windows;

use c2f_ops::Result;
use candle_core::{DType, Device, Shape, Tensor, Var, WithDType};
use common::{random, values};
use launch::Element;

/// An element type, and how near the kernels' values are to the CPU's in f64: relative to the larger of 1 and the largest value.
trait Real: Element + WithDType {
    const NEAR: f64;
}

impl Real for f32 {
    const NEAR: f64 = 1e-6;
}

impl Real for f64 {
    const NEAR: f64 = 1e-12;
}

/// Random values of type `T` in -`scale`..`scale`.
fn numbers<T: Real>(shape: impl Into<Shape>, scale: f64, seed: u64) -> Tensor {
    let x = random(shape, seed).to_device(&Device::Cpu).unwrap();
    (x * scale).unwrap().to_dtype(T::DTYPE).unwrap()
}

/// What the CPU makes of the inputs in f64: the output, the inputs' gradients for a random gradient of the output, and that one, which is
/// of type `T`.
fn on_cpu<T: Real>(inputs: &[&Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> (Tensor, Vec<Tensor>, Tensor) {
    on_cpu_in::<T>(DType::F64, inputs, f)
}

/// [`on_cpu`] in another type than f64.
fn on_cpu_in<T: Real>(
    dtype: DType,
    inputs: &[&Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> (Tensor, Vec<Tensor>, Tensor) {
    let exact = |x: &Tensor| x.to_dtype(dtype).unwrap();
    let vars: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(&exact(input)).unwrap()).collect();
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&tracked).unwrap();
    let gradient = numbers::<T>(y.shape(), 1.0, 0x9ead);
    let store = (&y * exact(&gradient)).unwrap().sum_all().unwrap().backward().unwrap();
    (y, vars.iter().map(|var| store.get(var).unwrap().clone()).collect(), gradient)
}

/// Compares every value; NaN equals NaN, and infinity itself.
#[track_caller]
fn assert_near<T: Real>(what: &str, got: &[T], expected: &Tensor) {
    let expected = values(expected);
    assert_eq!(got.len(), expected.len(), "values of {what}");
    let finite = expected.iter().filter(|value| value.is_finite());
    let scale = finite.fold(1.0, |most: f64, value| most.max(value.abs()));
    for (i, (got, &expected)) in got.iter().zip(&expected).enumerate() {
        let got = got.to_f64();
        let same = (got.is_nan() && expected.is_nan()) || got == expected || (got - expected).abs() <= T::NEAR * scale;
        assert!(same, "{what}, element {i}: the kernel gives {got}, the CPU {expected}");
    }
}
