//! What the tests of the operations share.
#![allow(dead_code, reason = "each test file uses a part of it")]

mod device;

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Shape, Tensor, Var};
pub use device::device;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Half the distance of the central differences.
const STEP: f64 = 1e-5;

/// Uniform values in -1..1, f64.
pub fn random(shape: impl Into<Shape>, seed: u64) -> Tensor {
    let shape = shape.into();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let values: Vec<f64> = (0..shape.elem_count()).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_vec(values, shape, &device()).unwrap()
}

/// The values in reading order.
pub fn values(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The values' bits, to compare runs exactly.
pub fn bits(x: &Tensor) -> Vec<u64> {
    values(x).into_iter().map(f64::to_bits).collect()
}

/// Compares every value, to `tolerance` relative to the larger of 1 and the largest expected value.
#[track_caller]
pub fn assert_close(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(got.dims(), expected.dims(), "shape of {what}");
    let (got, expected) = (values(got), values(expected));
    let scale = expected.iter().fold(1.0f64, |largest, value| largest.max(value.abs()));
    for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
        assert!((g - e).abs() <= tolerance * scale, "{what}, element {i}: got {g}, expected {e}");
    }
}

/// The gradients at `inputs` of `f`'s output projected on a fixed random direction.
pub fn gradients(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> c2f_ops::Result<Tensor>) -> Vec<Tensor> {
    sum_gradients(inputs, |inputs| Ok(project(&f(inputs)?)))
}

/// The gradients at `inputs` of the sum of `f`'s output.
pub fn sum_gradients(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> c2f_ops::Result<Tensor>) -> Vec<Tensor> {
    let vars: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let store = f(&tracked).unwrap().sum_all().unwrap().backward().unwrap();
    vars.iter().map(|var| store.get(var).expect("a gradient for every input").clone()).collect()
}

/// Compares the gradients that backpropagation gives with central differences, for every element of every input.
///
/// `inputs` are f64; the output of `f` is projected on a fixed random direction. The tolerance is relative to the larger
/// of 1 and the gradient's size. Non-contiguous arguments are tested by transposing inside of `f`.
#[track_caller]
pub fn check_gradient(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> c2f_ops::Result<Tensor>, tolerance: f64) {
    let analytic = gradients(inputs, &f);
    for (i, input) in inputs.iter().enumerate() {
        assert_eq!(analytic[i].dims(), input.dims(), "shape of the gradient of input {i}");
        let (start, analytic) = (values(input), values(&analytic[i]));
        for (j, &gradient) in analytic.iter().enumerate() {
            let moved = |step: f64| {
                let mut at = start.clone();
                at[j] += step;
                let mut inputs = inputs.to_vec();
                inputs[i] = Tensor::from_vec(at, input.shape(), &device()).unwrap();
                project(&f(&inputs).unwrap()).to_scalar::<f64>().unwrap()
            };
            let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            let scale = gradient.abs().max(difference.abs()).max(1.0);
            assert!(
                (gradient - difference).abs() <= tolerance * scale,
                "input {i}, element {j}: backpropagation gives {gradient}, differences give {difference}"
            );
        }
    }
}

fn project(output: &Tensor) -> Tensor {
    let direction = random(output.shape(), 0x5eed).to_dtype(output.dtype()).unwrap();
    (output * direction).unwrap().sum_all().unwrap()
}

/// The tensors of `tests/fixtures/NAME.safetensors`.
pub fn fixture(name: &str) -> HashMap<String, Tensor> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.safetensors"));
    candle_core::safetensors::load(file, &device()).unwrap()
}
