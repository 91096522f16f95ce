//! The optimisers against PyTorch: tests/fixtures/optim.py prints the expected numbers.

use c2f_ops::nn::{Entry, Kind};
use candle_core::{DType, Device, Tensor, Var};

use candle_nn::ParamsAdamW;

use super::{AdamW, Gradients, Optimizer, Sgd, SgdConfig, clip_global_norm, global_norm};
use crate::Recipe;
use crate::recipe::OptimizerKind;

const START: [f64; 4] = [0.5, -1.0, 2.0, 0.25];

fn entry(name: &str, dims: &[usize], values: &[f64]) -> Entry {
    let tensor = Tensor::from_slice(values, dims, &Device::Cpu).unwrap();
    Entry { name: name.to_owned(), var: Var::from_tensor(&tensor).unwrap(), kind: Kind::Parameter }
}

fn gradients(name: &str, step: usize) -> Gradients {
    let values: Vec<f64> = (0..4).map(|i| f64::from(i) * 0.1 + 0.05 * step as f64 - 0.1).collect();
    Gradients::from([(name.to_owned(), Tensor::from_vec(values, (2, 2), &Device::Cpu).unwrap())])
}

fn values(var: &Var) -> Vec<f64> {
    var.flatten_all().unwrap().to_vec1().unwrap()
}

/// Five steps, the optimiser being replaced half-way by a new one that takes up the old one's state.
fn trajectory(change: impl Fn(&mut crate::recipe::Optimizer)) -> Vec<f64> {
    let mut settings = Recipe::builtin("default").unwrap().optimizer;
    change(&mut settings);
    let entries = [entry("w", &[2, 2], &START)];
    let mut optimizer = Optimizer::new(&settings, &entries);
    for step in 0..5 {
        if step == 2 {
            let state = optimizer.state().clone();
            optimizer = Optimizer::new(&settings, &entries);
            optimizer.set_state(state);
        }
        optimizer.step(&gradients("w", step), 0.1).unwrap();
    }
    values(&entries[0].var)
}

fn assert_close(got: &[f64], expected: &[f64]) {
    let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-9, "{got:?} not {expected:?}");
}

#[test]
fn sgd_is_torchs() {
    let plain = trajectory(|o| (o.momentum, o.nesterov, o.weight_decay) = (0.0, false, 0.0));
    assert_close(&plain, &[0.5, -1.05, 1.9, 0.1]);
    let heavy_ball = trajectory(|o| (o.nesterov, o.weight_decay) = (false, 0.01));
    assert_close(
        &heavy_ball,
        &[0.531_877_748_193_309_5, -1.079_583_768_843_599, 1.749_945_675_688_188_2, -0.108_237_561_435_870_39],
    );
    let nesterov = trajectory(|o| o.weight_decay = 0.01);
    assert_close(
        &nesterov,
        &[0.525_975_675_812_130_9, -1.116_495_239_604_658_4, 1.665_608_066_228_487_3, -0.222_672_528_146_631_94],
    );
}

#[test]
fn adamw_is_torchs() {
    let got = trajectory(|o| {
        o.kind = OptimizerKind::Adamw;
        (o.beta2, o.weight_decay) = (0.99, 0.01);
    });
    assert_close(
        &got,
        &[0.777_718_841_271_574_8, -1.327_682_006_328_688_7, 1.496_182_658_146_733, -0.250_641_539_875_251_5],
    );
}

#[test]
fn groups_decide_by_name_and_dimensions() {
    let mut settings = Recipe::builtin("default").unwrap().optimizer;
    (settings.momentum, settings.nesterov, settings.backbone_lr_scale, settings.weight_decay) = (0.0, false, 0.1, 0.5);
    let mut buffer = entry("backbone.bn.running_mean", &[1], &[1.0]);
    buffer.kind = Kind::Buffer;
    let entries = [entry("backbone.conv.weight", &[1, 1], &[1.0]), entry("classifier.bias", &[1], &[1.0]), buffer];
    let zero = |dims: &[usize]| Tensor::zeros(dims, DType::F64, &Device::Cpu).unwrap();
    let gradients = Gradients::from(
        [
            ("backbone.conv.weight", zero(&[1, 1])),
            ("classifier.bias", zero(&[1])),
            ("backbone.bn.running_mean", zero(&[1])),
        ]
        .map(|(name, g)| (name.to_owned(), (g + 1.0).unwrap())),
    );
    Optimizer::new(&settings, &entries).step(&gradients, 0.1).unwrap();
    assert_close(&values(&entries[0].var), &[1.0 - 0.1 * 0.1 * 1.5]);
    assert_close(&values(&entries[1].var), &[1.0 - 0.1]);
    assert_close(&values(&entries[2].var), &[1.0]);
}

#[test]
fn clipping_is_torchs() {
    let tensor = |values: &[f64]| Tensor::from_slice(values, values.len(), &Device::Cpu).unwrap();
    let mut gradients = Gradients::from([("a".to_owned(), tensor(&[3.0, 0.0])), ("b".to_owned(), tensor(&[4.0]))]);
    let norm = global_norm(&gradients).unwrap();
    assert_eq!(norm, 5.0);
    clip_global_norm(&mut gradients, norm, 2.5).unwrap();
    let clipped: f64 = gradients["b"].to_vec1::<f64>().unwrap()[0];
    assert!((clipped - 1.999_999_6).abs() < 1e-6);
    clip_global_norm(&mut gradients, 2.5, 10.0).unwrap();
    assert_eq!(gradients["b"].to_vec1::<f64>().unwrap()[0], clipped);
}

/// Steps of an optimiser in candle's way, on the gradient of `0.5 * x^2`, which is x.
fn candles_way<O: candle_nn::Optimizer>(config: O::Config) -> Vec<f64> {
    let var = Var::new(&START, &Device::Cpu).unwrap();
    let mut optimizer = O::new(vec![var.clone()], config).unwrap();
    for step in 0..5 {
        optimizer.set_learning_rate(0.1 / f64::from(step + 1));
        optimizer.backward_step(&var.sqr().unwrap().sum_all().unwrap().affine(0.5, 0.0).unwrap()).unwrap();
    }
    values(&var)
}

#[test]
fn they_are_optimisers_of_candle() {
    let candles = candles_way::<candle_nn::SGD>(0.5);
    assert_close(&candles_way::<Sgd>(SgdConfig { momentum: 0.0, ..SgdConfig::default() }), &candles);
    let settings = || ParamsAdamW { weight_decay: 0.1, ..ParamsAdamW::default() };
    assert_close(&candles_way::<AdamW>(settings()), &candles_way::<candle_nn::AdamW>(settings()));
    // Which candle's hasn't got: torch.optim.SGD's momentum by hand, of one step after another.
    let (mut x, mut buffer) = (START, [0.0; 4]);
    for step in 0..5 {
        for (x, buffer) in x.iter_mut().zip(&mut buffer) {
            *buffer = 0.9 * *buffer + *x;
            *x -= 0.1 / f64::from(step + 1) * (*x + 0.9 * *buffer);
        }
    }
    assert_close(&candles_way::<Sgd>(SgdConfig::default()), &x);
}
