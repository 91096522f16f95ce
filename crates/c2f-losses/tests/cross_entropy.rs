//! Cross-entropy against PyTorch, finite differences and its limits.

mod common;

use c2f_losses::{balanced_class_weights, cross_entropy, soft_cross_entropy, weighted_cross_entropy};
use c2f_ops::log_softmax;
use candle_core::{DType, Tensor, Var};
use common::{assert_matches, check_gradient, fixture, labels, values};

#[test]
fn matches_pytorch_with_and_without_smoothing() {
    for (name, smoothing) in [("cross_entropy_0.0", 0.0), ("cross_entropy_0.1", 0.1)] {
        let expected = fixture(name);
        let labels = labels(&expected["labels"]);
        assert_matches(&expected, "logits", 1e-12, |logits| cross_entropy(logits, &labels, smoothing));
    }
}

#[test]
fn gradient_matches_differences() {
    let expected = fixture("cross_entropy_0.1");
    check_gradient(&expected["logits"], |logits| cross_entropy(logits, &labels(&expected["labels"]), 0.3));
}

#[test]
fn weighted_classes_match_pytorch_and_differences() {
    for (name, smoothing) in [("weighted_cross_entropy_0.0", 0.0), ("weighted_cross_entropy_0.1", 0.1)] {
        let expected = fixture(name);
        let (labels, weights) = (labels(&expected["labels"]), &expected["weights"]);
        assert_matches(&expected, "logits", 1e-12, |logits| {
            weighted_cross_entropy(logits, &labels, weights, smoothing)
        });
        check_gradient(&expected["logits"], |logits| weighted_cross_entropy(logits, &labels, weights, smoothing));
    }
}

#[test]
fn balanced_classes_have_the_same_sum() {
    let weights = balanced_class_weights([0, 0, 0, 1, 3, 3], 4);
    assert_eq!(weights, [0.5, 1.5, 0.0, 0.75]);
    let even = balanced_class_weights([1, 0, 2], 3);
    assert_eq!(even, [1.0; 3]);
}

#[test]
fn soft_targets_match_pytorch_and_differences() {
    for (name, smoothing) in [("soft_cross_entropy_0.0", 0.0), ("soft_cross_entropy_0.1", 0.1)] {
        let expected = fixture(name);
        let targets = &expected["targets"];
        assert_matches(&expected, "logits", 1e-12, |logits| soft_cross_entropy(logits, targets, smoothing));
        check_gradient(&expected["logits"], |logits| soft_cross_entropy(logits, targets, smoothing));
    }
}

#[test]
fn one_class_alone_is_a_label() {
    let expected = fixture("cross_entropy_0.1");
    let labels = labels(&expected["labels"]);
    let classes = Tensor::arange(0u32, 7, &common::device()).unwrap().unsqueeze(0).unwrap();
    let targets = labels.unsqueeze(1).unwrap().broadcast_eq(&classes).unwrap().to_dtype(DType::F64).unwrap();
    let soft = soft_cross_entropy(&expected["logits"], &targets, 0.1).unwrap();
    let hard = cross_entropy(&expected["logits"], &labels, 0.1).unwrap();
    assert!((values(&soft)[0] - values(&hard)[0]).abs() < 1e-12);
}

#[test]
fn is_finite_for_extreme_logits() {
    let logits = Var::new(&[[1e30f32, -1e30, 0.0], [-1e30, -1e30, -1e30]], &common::device()).unwrap();
    let labels = Tensor::new(&[0u32, 1], &common::device()).unwrap();
    let loss = cross_entropy(&logits, &labels, 0.0).unwrap();
    assert!((values(&loss)[0] - 3f64.ln() / 2.0).abs() < 1e-6);
    let gradients = loss.backward().unwrap();
    assert!(values(gradients.get(&logits).unwrap()).iter().all(|value| value.is_finite()));
}

#[test]
fn an_impossible_class_costs_nothing_where_it_is_not_the_target() {
    let infinity = f64::NEG_INFINITY;
    let logits = Var::new(&[[1.0, infinity, 1.0], [infinity, 2.0, infinity]], &common::device()).unwrap();
    let labels = Tensor::new(&[0u32, 1], &common::device()).unwrap();
    let targets = Tensor::new(&[[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]], &common::device()).unwrap();
    for loss in [cross_entropy(&logits, &labels, 0.0), soft_cross_entropy(&logits, &targets, 0.0)] {
        let loss = loss.unwrap();
        assert!((values(&loss)[0] - 2f64.ln() / 2.0).abs() < 1e-12, "{loss}");
        let gradient = values(loss.backward().unwrap().get(&logits).unwrap());
        assert!(gradient.iter().all(|value| value.is_finite()), "{gradient:?}");
        assert_eq!((gradient[1], gradient[3]), (0.0, 0.0));
    }
    // PyTorch's cross_entropy gives the same.
    let gradient = cross_entropy(&logits, &labels, 0.0).unwrap().backward().unwrap();
    assert_eq!(values(gradient.get(&logits).unwrap()), [-0.25, 0.0, 0.25, 0.0, 0.0, 0.0]);
    let impossible = Tensor::new(&[1u32, 1], &common::device()).unwrap();
    for (labels, smoothing) in [(&labels, 0.1), (&impossible, 0.0)] {
        assert_eq!(values(&cross_entropy(&logits, labels, smoothing).unwrap()), [f64::INFINITY]);
    }
}

#[test]
fn log_softmax_is_normalised() {
    let x = Tensor::new(&[[1000.0f64, 1001.0, 999.0]], &common::device()).unwrap();
    let sum: f64 = values(&log_softmax(&x).unwrap()).iter().map(|value| value.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-12);
}

#[test]
fn says_what_does_not_fit() {
    let logits = Tensor::zeros((2, 3), DType::F32, &common::device()).unwrap();
    let labels = |values: &[u32]| Tensor::new(values, &common::device()).unwrap();
    let error = |labels: &Tensor, smoothing| cross_entropy(&logits, labels, smoothing).unwrap_err().to_string();
    assert!(error(&labels(&[0, 1, 2]), 0.0).contains("[3]"));
    assert!(error(&labels(&[0, 1]), 1.5).contains("1.5"));
    cross_entropy(&logits, &labels(&[0, 3]), 0.0).unwrap_err();
    let weights = Tensor::zeros(2, DType::F32, &common::device()).unwrap();
    let error = weighted_cross_entropy(&logits, &labels(&[0, 1]), &weights, 0.0).unwrap_err().to_string();
    assert!(error.contains("weights") && error.contains("(3)"), "{error}");
    let targets = Tensor::zeros((2, 4), DType::F32, &common::device()).unwrap();
    assert!(soft_cross_entropy(&logits, &targets, 0.0).unwrap_err().to_string().contains("[2, 4]"));
}
