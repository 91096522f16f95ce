//! What the tests of the losses share.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "../../../c2f-ops/tests/common/device.rs"]
mod device;

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Tensor, Var};
pub use device::device;

/// The tensors of `tests/fixtures/losses.safetensors` whose names start with `prefix` and a dot, without it.
pub fn fixture(prefix: &str) -> HashMap<String, Tensor> {
    let all = fixture_file("losses");
    let strip = |(name, tensor): (String, Tensor)| Some((name.strip_prefix(prefix)?.strip_prefix('.')?.into(), tensor));
    all.into_iter().filter_map(strip).collect()
}

/// The tensors of `tests/fixtures/NAME.safetensors`.
pub fn fixture_file(name: &str) -> HashMap<String, Tensor> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.safetensors"));
    candle_core::safetensors::load(file, &device()).unwrap()
}

/// Labels as the losses take them.
pub fn labels(of: &Tensor) -> Tensor {
    of.to_dtype(DType::U32).unwrap()
}

/// The values in reading order.
pub fn values(x: &Tensor) -> Vec<f64> {
    x.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[track_caller]
pub fn assert_close(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    let (got, expected) = (values(got), values(expected));
    assert_eq!(got.len(), expected.len(), "size of {what}");
    for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
        assert!((g - e).abs() <= tolerance, "{what}, element {i}: got {g}, expected {e}");
    }
}

/// Compares the loss and its gradient at `input` with the fixture's.
#[track_caller]
pub fn assert_matches(
    expected: &HashMap<String, Tensor>,
    input: &str,
    tolerance: f64,
    loss: impl Fn(&Tensor) -> c2f_losses::Result<Tensor>,
) {
    let var = Var::from_tensor(&expected[input]).unwrap();
    let got = loss(&var).unwrap();
    assert_close("loss", &got, &expected["loss"], tolerance);
    let gradients = got.backward().unwrap();
    assert_close("gradient", gradients.get(&var).unwrap(), &expected[&format!("{input}.grad")], tolerance);
}

/// Compares the gradient of `loss` at `input` (f64) with central differences.
#[track_caller]
pub fn check_gradient(input: &Tensor, loss: impl Fn(&Tensor) -> c2f_losses::Result<Tensor>) {
    let var = Var::from_tensor(input).unwrap();
    let gradient = values(loss(&var).unwrap().backward().unwrap().get(&var).unwrap());
    let start = values(input);
    for (i, &gradient) in gradient.iter().enumerate() {
        let moved = |step: f64| {
            let mut at = start.clone();
            at[i] += step;
            let at = Tensor::from_vec(at, input.shape(), &device()).unwrap();
            loss(&at).unwrap().to_scalar::<f64>().unwrap()
        };
        let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((gradient - difference).abs() < 1e-7, "element {i}: gradient {gradient}, differences {difference}");
    }
}
