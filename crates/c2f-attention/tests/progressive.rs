//! The progressive head, alone and against a PyTorch implementation of its definition (fixtures/progressive.py), and the jigsaw.

mod common;

use c2f_attention::{HeadConfig, LEVELS, Model, ModelConfig, ProgressiveConfig, jigsaw};
use c2f_backbone::{Backbone, BackboneInfo, Endpoint};
use c2f_losses::cross_entropy;
use c2f_ops::nn::{Kind, Pass};
use candle_core::{Tensor, Var};
use common::{FixedFeatures, INFO, assert_close, device, fixture, params, random, values};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

static ENDPOINTS: [Endpoint; LEVELS] = [
    Endpoint { name: "one", channels: 2, stride: 4, origin: 2.0 },
    Endpoint { name: "two", channels: 3, stride: 8, origin: 4.0 },
    Endpoint { name: "three", channels: 5, stride: 8, origin: 4.0 },
];

/// Gives the same feature maps at three endpoints for any picture.
struct FixedLevels(Vec<Var>);

impl Backbone for FixedLevels {
    fn info(&self) -> &BackboneInfo {
        &INFO
    }

    fn endpoint(&self) -> &Endpoint {
        &ENDPOINTS[LEVELS - 1]
    }

    fn run(&self, _: &Tensor, _: &Pass) -> c2f_backbone::Result<Tensor> {
        Ok(self.0[LEVELS - 1].as_tensor().clone())
    }

    fn last_endpoints(&self, count: usize) -> Option<&[Endpoint]> {
        ENDPOINTS.get(LEVELS.checked_sub(count)?..)
    }

    fn run_last(&self, _: &Tensor, _: usize, _: &Pass) -> c2f_backbone::Result<Vec<Tensor>> {
        Ok(self.0.iter().map(|features| features.as_tensor().clone()).collect())
    }
}

fn config(classes: usize) -> ModelConfig {
    ModelConfig { classes, head: HeadConfig::Progressive(ProgressiveConfig { channels: 3 }), inverse: None }
}

#[test]
fn logits_loss_and_gradients_are_pytorchs() {
    let expected = fixture("progressive");
    let features = |level: usize| Var::from_tensor(&expected[&format!("features.{level}")]).unwrap();
    let features: Vec<Var> = (0..LEVELS).map(features).collect();
    let params = params(0);
    let model = Model::new(Box::new(FixedLevels(features.clone())), &params, &config(4)).unwrap();
    let trained = || params.entries().into_iter().filter(|entry| entry.kind == Kind::Parameter);
    for entry in trained() {
        entry.var.set(&expected[&entry.name]).unwrap();
    }
    let pictures = random((3, 3, 16, 24), 0);
    let logits = model.level_logits(&pictures, &Pass::train()).unwrap();
    let labels = &expected["labels"];
    let mut losses = Vec::new();
    for (level, logits) in logits.iter().enumerate() {
        assert_close(&format!("logits {level}"), logits, &expected[&format!("logits.{level}")], 1e-9);
        let weight = if level == LEVELS { 2.0 } else { 1.0 };
        losses.push(cross_entropy(logits, labels, 0.0).unwrap().affine(weight, 0.0).unwrap());
    }
    let loss = Tensor::stack(&losses, 0).unwrap().sum_all().unwrap();
    assert_close("loss", &loss, &expected["loss"], 1e-9);
    let gradients = loss.backward().unwrap();
    for (level, features) in features.iter().enumerate() {
        let name = format!("features.{level}.grad");
        assert_close(&name, gradients.get(features).unwrap(), &expected[&name], 1e-9);
    }
    for entry in trained() {
        let name = format!("{}.grad", entry.name);
        assert_close(&name, gradients.get(&entry.var).unwrap(), &expected[&name], 1e-9);
    }

    let look = model.look(&pictures, &Pass::train()).unwrap();
    let mean = Tensor::stack(&logits, 0).unwrap().mean(0).unwrap();
    assert_close("a look's logits", &look.logits, &mean, 1e-12);
    assert_eq!(look.features.dims(), expected["features.2"].dims());
}

#[test]
fn a_picture_alone_goes_by_the_running_statistics() {
    let features = ENDPOINTS.iter().map(|endpoint| {
        let maps = random((1, endpoint.channels, 4, 4), endpoint.channels as u64);
        Var::from_tensor(&maps).unwrap()
    });
    let model = Model::new(Box::new(FixedLevels(features.collect())), &params(0), &config(4)).unwrap();
    let logits = model.level_logits(&random((1, 3, 8, 8), 0), &Pass::train()).unwrap();
    assert!(logits.iter().flat_map(values).all(f64::is_finite));
}

#[test]
fn one_endpoint_is_not_enough() {
    let features = Var::from_tensor(&random((1, 5, 2, 2), 0)).unwrap();
    let error = Model::new(Box::new(FixedFeatures(features)), &params(0), &config(4)).err().unwrap().to_string();
    assert!(error.contains("last 3 endpoints"), "{error}");
}

#[test]
fn a_jigsaw_is_another_order_of_the_same_squares() {
    let row: Vec<f64> = (0..2 * 3 * 4 * 8).map(f64::from).collect();
    let pictures = Tensor::from_vec(row, (2, 3, 4, 8), &device()).unwrap();
    let solve = |pieces, seed| jigsaw(&pictures, pieces, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
    assert_eq!(values(&solve(1, 0)), values(&pictures));
    let square = |maps: &Tensor, picture: usize, y: usize, x: usize| {
        let square = maps.narrow(0, picture, 1).unwrap().narrow(2, 2 * y, 2).unwrap().narrow(3, 4 * x, 4).unwrap();
        values(&square.contiguous().unwrap())
    };
    let places = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let mut orders = Vec::new();
    for seed in 0..8 {
        let cut = solve(2, seed);
        let order = |picture: usize| {
            let from = |&(y, x): &(usize, usize)| {
                let found = square(&cut, picture, y, x);
                places.iter().position(|&(y, x)| square(&pictures, picture, y, x) == found).expect("a whole square")
            };
            places.iter().map(from).collect::<Vec<_>>()
        };
        assert_eq!(order(0), order(1));
        let mut sorted = order(0);
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3]);
        orders.push(order(0));
    }
    assert!(orders.iter().any(|order| *order != orders[0]));
    let error = jigsaw(&pictures, 3, &mut ChaCha8Rng::seed_from_u64(0)).unwrap_err().to_string();
    assert!(error.contains("multiples of 3"), "{error}");
}
