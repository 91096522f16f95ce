//! What the tests of the model share.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "../../../c2f-ops/tests/common/device.rs"]
mod device;

use std::collections::HashMap;
use std::path::Path;

use c2f_attention::{HeadConfig, InverseConfig, Model, ModelConfig, PartsConfig, RegionMode, RegionSource};
use c2f_backbone::{Backbone, BackboneInfo, Endpoint, PaddingStyle};
use c2f_ops::Padding;
use c2f_ops::nn::{Conv2d, Conv2dOptions, ConvPadding, Kind, Params, Pass};
use candle_core::{DType, Shape, Tensor, Var};
pub use device::device;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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

#[track_caller]
pub fn assert_close(what: &str, got: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(got.dims(), expected.dims(), "shape of {what}");
    let (got, expected) = (values(got), values(expected));
    let scale = expected.iter().fold(1.0f64, |largest, value| largest.max(value.abs()));
    for (i, (g, e)) in got.iter().zip(&expected).enumerate() {
        assert!((g - e).abs() <= tolerance * scale, "{what}, element {i}: got {g}, expected {e}");
    }
}

/// An empty f64 store.
pub fn params(seed: u64) -> Params {
    Params::new(&device(), DType::F64, seed)
}

pub static INFO: BackboneInfo = BackboneInfo {
    name: "test",
    endpoints: &[
        Endpoint { name: "stride8", channels: 5, stride: 8, origin: 4.0 },
        Endpoint { name: "stride16", channels: 5, stride: 16, origin: 8.0 },
    ],
    input_size: 32,
    mean: [0.0; 3],
    std: [1.0; 3],
    padding: PaddingStyle::Symmetric,
    size_multiple: 1,
};

/// Two convolutions with a smooth function between them, 8 pixels per cell.
pub struct SmoothBackbone {
    first: Conv2d,
    second: Conv2d,
}

impl SmoothBackbone {
    pub fn boxed(params: &Params) -> Box<dyn Backbone> {
        let conv = |name, inputs, outputs, stride, padding| {
            let padding = ConvPadding::Explicit(Padding::uniform(padding));
            let options = Conv2dOptions { stride, padding, bias: true, ..Conv2dOptions::default() };
            Conv2d::new(&params.at(name), inputs, outputs, (4, 4), options).unwrap()
        };
        let (first, second) = (conv("first", 3, 4, 4, 0), conv("second", 4, 5, 2, 1));
        Box::new(Self { first, second })
    }
}

impl Backbone for SmoothBackbone {
    fn info(&self) -> &BackboneInfo {
        &INFO
    }

    fn endpoint(&self) -> &Endpoint {
        &INFO.endpoints[0]
    }

    fn run(&self, x: &Tensor, pass: &Pass) -> c2f_backbone::Result<Tensor> {
        Ok(self.second.run(&self.first.run(x, pass)?.tanh()?, pass)?)
    }
}

/// Gives the same feature maps for any picture.
pub struct FixedFeatures(pub Var);

impl Backbone for FixedFeatures {
    fn info(&self) -> &BackboneInfo {
        &INFO
    }

    fn endpoint(&self) -> &Endpoint {
        &INFO.endpoints[1]
    }

    fn run(&self, _: &Tensor, _: &Pass) -> c2f_backbone::Result<Tensor> {
        Ok(self.0.as_tensor().clone())
    }
}

/// The tensors of `fixtures/NAME.safetensors`.
pub fn fixture(name: &str) -> HashMap<String, Tensor> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.safetensors"));
    candle_core::safetensors::load(file, &device()).unwrap()
}

/// A model of that head on the fixture's `features`, with the fixture's parameters.
pub fn model_of(fixture: &HashMap<String, Tensor>, head: HeadConfig) -> (Model, Var, Params) {
    let features = Var::from_tensor(&fixture["features"]).unwrap();
    let params = params(0);
    let classes = fixture["classifier.weight"].dims()[0];
    let config = ModelConfig { classes, head, inverse: None };
    let model = Model::new(Box::new(FixedFeatures(features.clone())), &params, &config).unwrap();
    for entry in params.entries().into_iter().filter(|entry| entry.kind == Kind::Parameter) {
        entry.var.set(&fixture[&entry.name]).unwrap();
    }
    (model, features, params)
}

/// The gradients of `loss` with respect to the features and every parameter are the fixture's.
pub fn assert_gradients(loss: &Tensor, features: &Var, params: &Params, fixture: &HashMap<String, Tensor>) {
    let gradients = loss.backward().unwrap();
    let gradient = |var: &Var| gradients.get(var).expect("a gradient for every parameter").clone();
    assert_close("gradient of features", &gradient(features), &fixture["features.grad"], 1e-9);
    for entry in params.entries().into_iter().filter(|entry| entry.kind == Kind::Parameter) {
        let name = format!("{}.grad", entry.name);
        assert_close(&name, &gradient(&entry.var), &fixture[&name], 1e-9);
    }
}

pub fn parts_config() -> PartsConfig {
    PartsConfig { maps: 3, scale: 20.0, orthogonal: true, gain: 1.0 }
}

/// A small model that looks twice, of `classes` classes.
pub fn config(mode: RegionMode, classes: usize) -> ModelConfig {
    let inverse = InverseConfig {
        source: RegionSource::Learned,
        mode,
        channels: 2,
        decoder_channels: 4,
        zoom_std: 1.3,
        open_bias: 0.5,
        attention_gain: 0.75,
        gradient_scale: 1.0,
        detach_attended: false,
        registered: false,
        area: 0.45,
    };
    ModelConfig { classes, head: HeadConfig::Parts(parts_config()), inverse: Some(inverse) }
}
