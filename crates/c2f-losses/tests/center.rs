//! The centre loss against PyTorch, finite differences and a hand-computed case.

mod common;

use c2f_losses::CenterLoss;
use c2f_ops::nn::{Kind, Params};
use candle_core::{DType, Tensor};
use common::{assert_close, assert_matches, check_gradient, fixture, labels, values};

fn center(classes: usize, dim: usize, rate: f64) -> (CenterLoss, Params) {
    let params = Params::new(&common::device(), DType::F64, 0);
    (CenterLoss::new(&params.at("center"), classes, dim, rate).unwrap(), params)
}

#[test]
fn loss_and_centres_match_the_public_implementation() {
    let (center, _) = center(4, 6, 0.05);
    let labels = labels(&fixture("center")["labels"]);
    for step in ["center_0", "center_1"] {
        let expected = fixture(step);
        assert_matches(&expected, "parts", 1e-12, |parts| center.loss(parts, &labels));
        center.update(&expected["parts"], &labels).unwrap();
        assert_close("centres", center.centers(), &expected["centers"], 1e-12);
    }
}

#[test]
fn gradient_matches_differences() {
    let (center, _) = center(4, 6, 0.5);
    let parts = &fixture("center_0")["parts"];
    let labels = labels(&fixture("center")["labels"]);
    center.update(&parts.affine(1.0, 0.3).unwrap(), &labels).unwrap();
    check_gradient(parts, |parts| center.loss(parts, &labels));
}

#[test]
fn a_class_with_two_pictures_moves_by_their_mean() {
    let (center, _) = center(2, 2, 0.5);
    let parts = Tensor::new(&[[1.0f64, 0.0], [0.0, 1.0]], &common::device()).unwrap();
    center.update(&parts, &Tensor::new(&[1u32, 1], &common::device()).unwrap()).unwrap();
    assert_eq!(values(center.centers()), [0.0, 0.0, 0.25, 0.25]);
}

#[test]
fn centres_are_a_buffer_of_the_store() {
    let (center, params) = center(2, 3, 0.05);
    let entry = params.get("center.weight").unwrap();
    assert_eq!(entry.kind, Kind::Buffer);
    assert_eq!(entry.var.id(), center.centers().id());
}

#[test]
fn says_what_does_not_fit() {
    let (center, params) = center(2, 3, 0.05);
    let parts = Tensor::zeros((2, 4), DType::F64, &common::device()).unwrap();
    let error = center.loss(&parts, &Tensor::new(&[0u32, 1], &common::device()).unwrap()).unwrap_err();
    assert!(error.to_string().contains("(B, 3)"), "{error}");
    let parts = Tensor::zeros((2, 3), DType::F64, &common::device()).unwrap();
    center.loss(&parts, &Tensor::new(&[0u32, 2], &common::device()).unwrap()).unwrap_err();
    assert!(CenterLoss::new(&params, 2, 3, f64::NAN).unwrap_err().to_string().contains("rate"));
}
