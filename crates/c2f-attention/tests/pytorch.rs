//! Head, inverse mapping and fine input against a PyTorch implementation of their definition (fixtures/model.py).

mod common;

use c2f_attention::{Images, Model, RegionMode};
use c2f_ops::nn::{Kind, Pass};
use candle_core::{Tensor, Var};
use common::{FixedFeatures, assert_close, config, device, fixture, params};

/// sin(step * i) in reading order.
fn wave(shape: &[usize], step: f64) -> Tensor {
    let values: Vec<f64> = (0..shape.iter().product()).map(|i: usize| (step * i as f64).sin()).collect();
    Tensor::from_vec(values, shape, &device()).unwrap()
}

fn project(x: &Tensor, step: f64) -> Tensor {
    (x * wave(x.dims(), step)).unwrap().sum_all().unwrap()
}

fn check(mode: RegionMode, name: &str) {
    let expected = fixture("model");
    let features = Var::from_tensor(&expected["features"]).unwrap();
    let backbone = FixedFeatures(features.clone());
    let params = params(0);
    let model = Model::new(Box::new(backbone), &params, &config(mode, 4)).unwrap();
    let trained = || params.entries().into_iter().filter(|entry| entry.kind == Kind::Parameter);
    for entry in trained() {
        entry.var.set(&expected[&entry.name]).unwrap();
    }

    let (coarse, source) = (wave(&[2, 1, 16, 32], 0.37), wave(&[2, 1, 24, 48], 0.23));
    let images = Images { coarse: &coarse, source: &source };
    let look = model.look(&coarse, &Pass::train()).unwrap();
    let region = model.region(&images, &look, &Pass::train()).unwrap();
    let fine = model.fine_input(&images, &region).unwrap();
    assert_close("attention", look.attention.as_ref().unwrap(), &expected["attention"], 1e-9);
    assert_close("parts", look.parts.as_ref().unwrap(), &expected["parts"], 1e-9);
    assert_close("logits", &look.logits, &expected["logits"], 1e-9);
    assert_close("region", &region.map, &expected["region"], 1e-6);
    assert_eq!(region.boxes().is_some(), mode != RegionMode::Mask);
    if let Some(boxes) = region.boxes() {
        assert_close("boxes", boxes, &expected["boxes"], 1e-9);
    }
    assert_close("fine input", &fine, &expected[&format!("{name}.fine_input")], 1e-6);

    let loss = ((project(&look.logits, 1.1) + project(&region.map, 0.7)).unwrap() + project(&fine, 0.5)).unwrap();
    let gradients = loss.backward().unwrap();
    let gradient = |var: &Var| gradients.get(var).expect("a gradient for every parameter").clone();
    assert_close("gradient of features", &gradient(&features), &expected[&format!("{name}.features.grad")], 1e-6);
    for entry in trained() {
        let expected = &expected[&format!("{name}.{}.grad", entry.name)];
        assert_close(&format!("gradient of {}", entry.name), &gradient(&entry.var), expected, 1e-6);
    }
}

#[test]
fn mask_matches() {
    check(RegionMode::Mask, "mask");
}

#[test]
fn zoom_matches() {
    check(RegionMode::Zoom, "zoom");
}

#[test]
fn mask_zoom_matches() {
    check(RegionMode::MaskZoom, "mask-zoom");
}
