//! ReLUs.

mod common;

use std::slice::from_ref;

use c2f_ops::{relu, relu6};
use candle_core::{DType, Tensor, Var};
use common::{check_gradient, device, random, values};

#[test]
fn limits_and_nan() {
    let x = Tensor::new(&[-1.0f32, 0.0, 3.0, 6.0, 7.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN], &device()).unwrap();
    let y = relu(&x).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(y[..7], [0.0, 0.0, 3.0, 6.0, 7.0, f32::INFINITY, 0.0]);
    assert!(y[7].is_nan());
    let y = relu6(&x).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(y[..7], [0.0, 0.0, 3.0, 6.0, 6.0, 6.0, 0.0]);
    assert!(y[7].is_nan());
}

#[test]
fn gradient_is_zero_at_the_limits() {
    let x = Var::new(&[-1.0f32, 0.0, 3.0, 6.0, 7.0], &device()).unwrap();
    let gradient = |y: Tensor| values(y.sum_all().unwrap().backward().unwrap().get(&x).unwrap());
    assert_eq!(gradient(relu(&x).unwrap()), [0.0, 0.0, 1.0, 1.0, 1.0]);
    assert_eq!(gradient(relu6(&x).unwrap()), [0.0, 0.0, 1.0, 0.0, 0.0]);
}

#[test]
fn gradients_match_differences() {
    let x = (random((3, 5, 7), 1) * 10.0).unwrap();
    for f in [relu, relu6] {
        check_gradient(from_ref(&x), |x| f(&x[0]), 1e-6);
        check_gradient(from_ref(&x), |x| f(&x[0].transpose(0, 2)?), 1e-6);
        // A tensor used twice, and not a leaf.
        check_gradient(from_ref(&x), |x| Ok((f(&x[0].affine(0.5, 1.0)?)? * f(&x[0])?)?), 1e-6);
    }
}

#[test]
fn values_longer_than_a_task_are_all_done() {
    let x = random(3 * 16384 + 5, 2).to_dtype(DType::F32).unwrap();
    let expected: Vec<f64> = values(&x).into_iter().map(|x| x.max(0.0)).collect();
    assert_eq!(values(&relu(&x).unwrap()), expected);
}

#[test]
fn integers_are_refused() {
    assert!(relu(&Tensor::new(&[1u32, 2], &device()).unwrap()).is_err());
}
