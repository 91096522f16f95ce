//! Layers.

mod common;

use c2f_ops::nn::{
    BatchNorm2d, Conv2d, Conv2dOptions, ConvNormAct, ConvNormActOptions, Init, Linear, NormMode, Params, Pass, Weights,
};
use c2f_ops::{Activation, Format, Maps};
use candle_core::{DType, Tensor};
use common::{assert_close, device, fixture, random, values};

const EPS: f64 = 1e-3;

fn layer(params: &Params) -> BatchNorm2d {
    BatchNorm2d::new(params, 4, EPS, 0.1).unwrap()
}

fn value(params: &Params, name: &str) -> Tensor {
    params.get(name).unwrap().var.as_detached_tensor()
}

#[test]
fn running_statistics_follow_as_pytorchs() {
    let expected = fixture("batch_norm");
    let params = Params::new(&device(), DType::F32, 0);
    let norm = layer(&params);
    norm.run(&expected["x"], &Pass::train()).unwrap();
    norm.run(&expected["direction"], &Pass::train()).unwrap();
    assert_close("mean", &value(&params, "running_mean"), &expected["layer.mean"], 1e-6);
    assert_close("var", &value(&params, "running_var"), &expected["layer.var"], 1e-6);

    let y = norm.run(&expected["x"], &Pass::eval()).unwrap();
    assert_close("output", &y, &expected["layer.y"], 1e-5);
    assert_close("mean after prediction", &value(&params, "running_mean"), &expected["layer.mean"], 1e-6);
}

#[test]
fn frozen_keeps_statistics_and_trains_nothing_of_its_own() {
    let params = Params::new(&device(), DType::F64, 0);
    let norm = layer(&params);
    let input = params.parameter("input", (2, 4, 3, 3), Init::Normal { mean: 0.0, std: 1.0 }).unwrap();
    norm.run(&random((2, 4, 3, 3), 1), &Pass::train()).unwrap();
    let (mean, var) = (value(&params, "running_mean").copy().unwrap(), value(&params, "running_var").copy().unwrap());

    let y = norm.run(input.as_tensor(), &Pass::frozen()).unwrap();
    assert_close("output", &y, &norm.run(&input.as_detached_tensor(), &Pass::eval()).unwrap(), 0.0);
    let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&input).is_some());
    for name in ["weight", "bias"] {
        assert!(gradients.get(&params.get(name).unwrap().var).is_none(), "{name} has a gradient");
    }
    assert_close("mean", &value(&params, "running_mean"), &mean, 0.0);
    assert_close("var", &value(&params, "running_var"), &var, 0.0);
}

#[test]
fn each_set_of_statistics_moves_alone() {
    let params = Params::new(&device(), DType::F64, 0).with_statistics(2);
    let norm = layer(&params);
    let x = (random((2, 4, 3, 3), 1) + 5.0).unwrap();
    norm.run(&x, &Pass::train().with_statistics(1)).unwrap();
    assert_eq!(values(&value(&params, "running_mean")), [0.0; 4]);
    assert_eq!(values(&value(&params, "running_var")), [1.0; 4]);
    assert!(values(&value(&params, "fine_running_mean")).iter().all(|mean| (0.4..0.6).contains(mean)));
    let coarse = norm.run(&x, &Pass::eval()).unwrap();
    let fine = norm.run(&x, &Pass::eval().with_statistics(1)).unwrap();
    assert!(values(&(coarse - fine).unwrap()).iter().all(|difference| difference.abs() > 0.1));
}

#[test]
fn a_set_that_is_not_there_is_an_error() {
    let norm = layer(&Params::new(&device(), DType::F64, 0));
    let error = norm.run(&random((2, 4, 3, 3), 1), &Pass::eval().with_statistics(1)).unwrap_err();
    assert!(error.to_string().contains("statistics 1 of 1"), "{error}");
}

#[test]
fn detached_weights_get_no_gradient_but_pass_it_on() {
    let params = Params::new(&device(), DType::F64, 0);
    let linear = Linear::new(&params, 3, 2, true, Init::TORCH).unwrap();
    let input = params.parameter("input", (4, 3), Init::Normal { mean: 0.0, std: 1.0 }).unwrap();
    let pass = Pass { norm: NormMode::Train, weights: Weights::Detached, statistics: 0 };
    let gradients = linear.run(input.as_tensor(), &pass).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&input).is_some());
    assert!(gradients.get(&params.get("weight").unwrap().var).is_none());
    let gradients = linear.run(input.as_tensor(), &Pass::train()).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(values(gradients.get(&params.get("bias").unwrap().var).unwrap()), [4.0, 4.0]);
}

#[test]
fn statistics_of_one_value_are_refused_and_move_nothing() {
    let params = Params::new(&device(), DType::F64, 0);
    let norm = layer(&params);
    let options = ConvNormActOptions {
        names: ("conv", "bn"),
        conv: Conv2dOptions::default(),
        eps: EPS,
        momentum: 0.1,
        activation: Activation::Relu,
    };
    let block = ConvNormAct::new(&params, 4, 4, (1, 1), options).unwrap();
    let one = random((1, 4, 1, 1), 1);
    let before: Vec<_> = params.entries().iter().map(|entry| values(&entry.var)).collect();
    let maps = |x: &Tensor| Maps::new(x, Format::ChannelsFirst).unwrap();
    for error in [norm.run(&one, &Pass::train()).unwrap_err(), block.run(&maps(&one), &Pass::train()).unwrap_err()] {
        let expected = "[1, 4, 1, 1], expected more than 1 value per channel when training";
        assert!(error.to_string().contains(expected), "{error}");
    }
    for pass in [Pass::eval(), Pass::frozen()] {
        norm.run(&one, &pass).unwrap();
        block.run(&maps(&one), &pass).unwrap();
    }
    let after: Vec<_> = params.entries().iter().map(|entry| values(&entry.var)).collect();
    assert_eq!(before, after);
    // Two values are enough, whether of two pictures or of two pixels.
    for x in [random((2, 4, 1, 1), 1), random((1, 4, 1, 2), 1)] {
        norm.run(&x, &Pass::train()).unwrap();
        block.run(&maps(&x), &Pass::train()).unwrap();
    }
}

#[test]
fn groups_that_do_not_divide_the_channels_are_an_error() {
    let params = Params::new(&device(), DType::F64, 0);
    for groups in [0, 3, 8] {
        let options = Conv2dOptions { groups, ..Conv2dOptions::default() };
        let error = Conv2d::new(&params, 4, 4, (3, 3), options).unwrap_err();
        assert!(error.to_string().contains(&format!("{groups} groups don't divide 4")), "{error}");
    }
}
