//! Bilinear attention pooling and the normalisation of part features.

mod common;

use c2f_attention::{bilinear_attention_pooling, normalise_parts};
use candle_core::{DType, Tensor, Var};
use common::{assert_close, random, values};

/// einsum("bmhw,bchw->bmc") / (h w), by its definition.
fn naive(features: &Tensor, attention: &Tensor) -> Tensor {
    let (b, c, h, w) = features.dims4().unwrap();
    let m = attention.dims()[1];
    let (f, a) = (values(features), values(attention));
    let mut out = Vec::new();
    for bi in 0..b {
        for mi in 0..m {
            for ci in 0..c {
                let places = 0..h * w;
                let product = |place| a[(bi * m + mi) * h * w + place] * f[(bi * c + ci) * h * w + place];
                out.push(places.map(product).sum::<f64>() / (h * w) as f64);
            }
        }
    }
    Tensor::from_vec(out, (b, m * c), &common::device()).unwrap()
}

#[test]
fn pooling_equals_the_naive_sum() {
    let (features, attention) = (random((2, 5, 3, 4), 1), random((2, 3, 3, 4), 2));
    let pooled = bilinear_attention_pooling(&features, &attention).unwrap();
    assert_close("pooled", &pooled, &naive(&features, &attention), 1e-14);
}

#[test]
fn pooling_takes_views() {
    let (features, attention) = (random((2, 3, 4, 5), 1), random((2, 3, 4, 3), 2));
    let (features, attention) = (features.permute((0, 3, 1, 2)).unwrap(), attention.permute((0, 3, 1, 2)).unwrap());
    let pooled = bilinear_attention_pooling(&features, &attention).unwrap();
    let expected = naive(&features.contiguous().unwrap(), &attention.contiguous().unwrap());
    assert_close("pooled", &pooled, &expected, 1e-14);
}

#[test]
fn normalised_parts_keep_their_sign_and_have_length_one() {
    let raw = Tensor::new(&[[4.0f64, -1.0, 0.0]], &common::device()).unwrap();
    let expected = Tensor::new(&[[2.0 / 5f64.sqrt(), -1.0 / 5f64.sqrt(), 0.0]], &common::device()).unwrap();
    assert_close("parts", &normalise_parts(&raw).unwrap(), &expected, 1e-9);
}

#[test]
fn zero_parts_stay_zero_with_a_finite_gradient() {
    for dtype in [DType::F32, DType::F64] {
        let raw = Var::zeros((2, 4), dtype, &common::device()).unwrap();
        let parts = normalise_parts(&raw).unwrap();
        assert_eq!(values(&parts), [0.0; 8]);
        let direction = random((2, 4), 5).to_dtype(dtype).unwrap();
        let gradients = (parts * direction).unwrap().sum_all().unwrap().backward().unwrap();
        assert_eq!(values(gradients.get(&raw).unwrap()), [0.0; 8]);
    }
}

#[test]
fn maps_of_another_size_are_an_error() {
    let (features, attention) = (random((2, 5, 3, 4), 1), random((2, 3, 4, 3), 2));
    let error = bilinear_attention_pooling(&features, &attention).unwrap_err().to_string();
    assert!(error.contains("[2, 3, 4, 3]") && error.contains("(2, M, 3, 4)"), "{error}");
}
