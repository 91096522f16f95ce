//! The losses of region and attention maps against PyTorch, finite differences and their limits.

mod common;

use c2f_losses::{area_penalty, attention_correlation, attention_similarity, total_variation};
use candle_core::{DType, Tensor, Var};
use common::{assert_matches, check_gradient, fixture, values};

/// The share of each picture that a mask keeps.
fn kept(region: &Tensor) -> c2f_losses::Result<Tensor> {
    Ok(region.flatten_from(1)?.mean(1)?)
}

#[test]
fn match_pytorch() {
    assert_matches(&fixture("area_penalty"), "region", 1e-12, |region| area_penalty(&kept(region)?, 0.25));
    assert_matches(&fixture("total_variation"), "region", 1e-12, total_variation);
    assert_matches(&fixture("attention_similarity"), "attention", 1e-10, attention_similarity);
    assert_matches(&fixture("attention_correlation"), "attention", 1e-10, attention_correlation);
}

#[test]
fn gradients_match_differences() {
    let region = &fixture("area_penalty")["region"];
    check_gradient(region, |region| area_penalty(&kept(region)?, 0.4));
    check_gradient(region, total_variation);
    let positive = fixture("attention_similarity")["attention"].affine(1.0, 0.1).unwrap();
    check_gradient(&positive, attention_similarity);
    check_gradient(&positive, attention_correlation);
}

#[test]
fn correlation_is_one_for_maps_in_step_and_zero_for_independent_ones() {
    let correlation = |maps: [[[f64; 4]; 1]; 2]| {
        let maps = Tensor::new(&[maps], &common::device()).unwrap();
        values(&attention_correlation(&maps).unwrap())[0]
    };
    assert!((correlation([[[0.0, 1.0, 0.0, 1.0]], [[5.0, 7.0, 5.0, 7.0]]]) - 1.0).abs() < 1e-6);
    assert!((correlation([[[0.0, 1.0, 0.0, 1.0]], [[7.0, 5.0, 7.0, 5.0]]]) - 1.0).abs() < 1e-6);
    assert!(correlation([[[0.0, 1.0, 0.0, 1.0]], [[0.0, 0.0, 1.0, 1.0]]]).abs() < 1e-9);
    // One that is the same everywhere.
    assert!(correlation([[[0.0, 1.0, 0.0, 1.0]], [[3.0; 4]]]).abs() < 1e-9);
}

#[test]
fn a_flat_region_has_no_variation_and_no_gradient() {
    let region = Var::ones((1, 1, 3, 3), DType::F64, &common::device()).unwrap();
    let loss = total_variation(&region).unwrap();
    assert_eq!(values(&loss), [0.0]);
    assert_eq!(values(loss.backward().unwrap().get(&region).unwrap()), [0.0; 9]);
}

#[test]
fn diversity_is_one_for_equal_maps_and_zero_for_disjoint_ones() {
    let diversity = |maps: [[[f64; 2]; 1]; 2]| {
        let maps = Tensor::new(&[maps], &common::device()).unwrap();
        values(&attention_similarity(&maps).unwrap())[0]
    };
    assert!((diversity([[[1.0, 2.0]], [[2.0, 4.0]]]) - 1.0).abs() < 1e-9);
    assert!(diversity([[[1.0, 0.0]], [[0.0, 3.0]]]).abs() < 1e-9);
}

#[test]
fn diversity_of_zero_maps_is_zero_with_a_finite_gradient() {
    let attention = Var::zeros((2, 3, 2, 2), DType::F32, &common::device()).unwrap();
    let loss = attention_similarity(&attention).unwrap();
    assert_eq!(values(&loss), [0.0]);
    assert!(values(loss.backward().unwrap().get(&attention).unwrap()).iter().all(|value| value.is_finite()));
}

#[test]
fn say_what_does_not_fit() {
    let two = Tensor::zeros((1, 2, 3, 3), DType::F32, &common::device()).unwrap();
    assert!(total_variation(&two).unwrap_err().to_string().contains("(B, 1, H, W)"));
    assert!(area_penalty(&two, 0.3).unwrap_err().to_string().contains("(B)"));
    let row = Tensor::zeros((1, 1, 1, 3), DType::F32, &common::device()).unwrap();
    assert!(total_variation(&row).unwrap_err().to_string().contains("two rows"));
    assert!(area_penalty(&kept(&row).unwrap(), 2.0).unwrap_err().to_string().contains("target"));
}
