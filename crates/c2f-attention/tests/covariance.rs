//! Covariance pooling and its square root, alone and against a PyTorch implementation of their definition
//! (fixtures/covariance.py).

mod common;

use c2f_attention::{CovarianceConfig, CovariancePooling, HeadConfig, square_root};
use c2f_losses::cross_entropy;
use c2f_ops::nn::Pass;
use candle_core::Tensor;
use common::{assert_close, assert_gradients, device, fixture, model_of, params, random, values};

#[test]
fn logits_loss_and_gradients_are_pytorchs() {
    let expected = fixture("covariance");
    let (model, features, params) = model_of(&expected, HeadConfig::Covariance(CovarianceConfig { channels: 4 }));
    let look = model.look(&random((2, 3, 8, 8), 0), &Pass::train()).unwrap();
    assert!(look.parts.is_none() && look.attention.is_none());
    assert_close("logits", &look.logits, &expected["logits"], 1e-9);
    let loss = cross_entropy(&look.logits, &expected["labels"], 0.0).unwrap();
    assert_close("loss", &loss, &expected["loss"], 1e-9);
    assert_gradients(&loss, &features, &params, &expected);
}

#[test]
fn the_square_of_the_root_is_the_covariance() {
    // Symmetric, with eigenvalues of which none is small beside their sum, so that five steps converge.
    let noise = random((2, 3, 3), 1);
    let noise = (&noise + noise.t().unwrap()).unwrap().affine(0.1, 0.0).unwrap();
    let identity = Tensor::eye(3, noise.dtype(), &device()).unwrap();
    let covariance = noise.broadcast_add(&identity.affine(4.0, 0.0).unwrap()).unwrap();
    let root = square_root(&covariance).unwrap();
    assert_close("square", &root.matmul(&root).unwrap(), &covariance, 1e-6);
}

#[test]
fn maps_without_variance_are_zero_and_a_single_place_is_refused() {
    let zeros = random((1, 3, 3), 2).zeros_like().unwrap();
    let leaf = candle_core::Var::from_tensor(&zeros).unwrap();
    let root = square_root(leaf.as_tensor()).unwrap();
    assert!(values(&root).iter().all(|value| *value == 0.0));
    let gradients = root.sum_all().unwrap().backward().unwrap();
    assert!(values(gradients.get(&leaf).unwrap()).iter().all(|value| value.is_finite()));

    let pooling = CovariancePooling::new(&params(0), 5, &CovarianceConfig { channels: 4 }).unwrap();
    assert_eq!(pooling.width(), 10);
    let error = pooling.run(&random((2, 5, 1, 1), 3), &Pass::eval()).unwrap_err().to_string();
    assert!(error.contains("h * w above 1"), "{error}");
}
