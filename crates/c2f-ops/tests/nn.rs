//! Layers.

mod common;

use c2f_ops::nn::{
    BatchNorm2d, Conv2d, Conv2dOptions, ConvNormAct, ConvNormActOptions, ConvPadding, Init, LayerNorm, Linear,
    NormMode, Params, Pass, Weights,
};
use c2f_ops::{Activation, Format, Maps, Padding};
use candle_core::{DType, Device, Tensor};
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
fn moves_that_waited_are_those_that_would_have_been_made() {
    let batches = [random((2, 4, 3, 3), 1), (random((2, 4, 3, 3), 2) + 3.0).unwrap()];
    let at_once = Params::new(&device(), DType::F64, 0);
    let later = Params::new(&device(), DType::F64, 0);
    for batch in &batches {
        layer(&at_once).run(batch, &Pass::train()).unwrap();
    }
    let norm = layer(&later);
    let (outcome, updates) = later.deferred(|| {
        // What is put off within is no part of what is put off around it.
        let (inner, dropped) = later.deferred(|| norm.run(&batches[0], &Pass::train()));
        assert!(inner.is_ok() && dropped.len() == 2);
        batches.iter().try_for_each(|batch| norm.run(batch, &Pass::train()).map(drop))
    });
    outcome.unwrap();
    assert_eq!((values(&value(&later, "running_mean")), updates.len()), (vec![0.0; 4], 4));
    later.apply(&updates).unwrap();
    for name in ["running_mean", "running_var"] {
        assert_eq!(values(&value(&later, name)), values(&value(&at_once, name)), "{name}");
    }
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
    for groups in [3, 8] {
        let options = Conv2dOptions { groups, ..Conv2dOptions::default() };
        let error = Conv2d::new(&params, 4, 4, (3, 3), options).unwrap_err();
        assert!(error.to_string().contains(&format!("{groups} groups don't divide 4")), "{error}");
    }
}

#[test]
fn settings_that_no_layer_can_have_are_errors_that_name_them_and_make_no_variables() {
    let params = Params::new(&Device::Cpu, DType::F64, 0);
    let plain = Conv2dOptions::default();
    let conv = |inputs, outputs, kernel, options| Conv2d::new(&params, inputs, outputs, kernel, options).unwrap_err();
    let norm = |channels, eps, momentum| BatchNorm2d::new(&params, channels, eps, momentum).unwrap_err();
    let linear = |inputs, outputs| Linear::new(&params, inputs, outputs, true, Init::TORCH).unwrap_err();
    let layer_norm = |channels, eps| LayerNorm::new(&params, channels, eps).unwrap_err();
    for (error, expected) in [
        (conv(0, 4, (3, 3), plain), "Conv2d: inputs: 0, expected 1 or more"),
        (conv(4, 0, (3, 3), plain), "Conv2d: outputs: 0"),
        (conv(4, 4, (0, 3), plain), "Conv2d: kernel's height: 0"),
        (conv(4, 4, (3, 0), plain), "Conv2d: kernel's width: 0"),
        (conv(4, 4, (3, 3), Conv2dOptions { stride: 0, ..plain }), "Conv2d: stride: 0"),
        (conv(4, 4, (3, 3), Conv2dOptions { groups: 0, ..plain }), "Conv2d: groups: 0"),
        (norm(0, EPS, 0.1), "BatchNorm2d: channels: 0"),
        (norm(4, -1.0, 0.1), "BatchNorm2d: eps is -1"),
        (norm(4, f64::NAN, 0.1), "BatchNorm2d: eps is NaN"),
        (norm(4, EPS, 1.5), "BatchNorm2d: momentum is 1.5"),
        (norm(4, EPS, f64::NAN), "BatchNorm2d: momentum is NaN"),
        (linear(0, 2), "Linear: inputs: 0"),
        (linear(2, 0), "Linear: outputs: 0"),
        (layer_norm(0, EPS), "LayerNorm: channels: 0"),
        (layer_norm(4, f64::INFINITY), "LayerNorm: eps is inf"),
    ] {
        assert!(error.to_string().starts_with(expected), "{error} instead of {expected}");
    }
    assert!(params.entries().is_empty());
}

#[test]
fn layers_print_themselves_in_one_line() {
    let params = Params::zeros(&Device::Cpu, DType::F32);
    let conv = |name, inputs, outputs, kernel, options| {
        format!("{:?}", Conv2d::new(&params.at(name), inputs, outputs, kernel, options).unwrap())
    };
    let padded = |padding| Conv2dOptions { padding: ConvPadding::Explicit(padding), ..Conv2dOptions::default() };
    let stem = Conv2dOptions { stride: 2, ..padded(Padding::uniform(3)) };
    assert_eq!(conv("a", 3, 64, (7, 7), stem), "Conv2d(3, 64, kernel 7x7, stride 2, padding 3, no bias)");
    let depthwise = Conv2dOptions { groups: 8, bias: true, padding: ConvPadding::Same, ..Conv2dOptions::default() };
    assert_eq!(conv("b", 8, 8, (3, 3), depthwise), "Conv2d(8, 8, kernel 3x3, stride 1, padding same, groups 8)");
    let wide = padded(Padding::symmetric(0, 3));
    assert_eq!(conv("c", 8, 8, (1, 7), wide), "Conv2d(8, 8, kernel 1x7, stride 1, padding 0x3, no bias)");
    let odd = padded(Padding { top: 0, bottom: 1, left: 2, right: 3 });
    let expected = "Conv2d(8, 8, kernel 3x3, stride 1, padding 0 above, 1 below, 2 left, 3 right, no bias)";
    assert_eq!(conv("d", 8, 8, (3, 3), odd), expected);

    let linear = |name, bias| format!("{:?}", Linear::new(&params.at(name), 3, 2, bias, Init::TORCH).unwrap());
    assert_eq!((linear("e", true), linear("f", false)), ("Linear(3, 2)".into(), "Linear(3, 2, no bias)".into()));
    let norm = format!("{:?}", LayerNorm::new(&params.at("g"), 96, 1e-6).unwrap());
    assert_eq!(norm, "LayerNorm(96, eps 1e-6)");
    let two = BatchNorm2d::new(&params.at("h").with_statistics(2), 64, 1e-5, 0.1).unwrap();
    assert_eq!(format!("{two:?}"), "BatchNorm2d(64, eps 1e-5, momentum 0.1, 2 sets of statistics)");
    let (names, conv, activation) = (("conv", "bn"), Conv2dOptions::default(), Activation::Relu);
    let options = ConvNormActOptions { names, conv, eps: EPS, momentum: 0.1, activation };
    let block = format!("{:?}", ConvNormAct::new(&params.at("i"), 4, 8, (1, 1), options).unwrap());
    let expected =
        "ConvNormAct(Conv2d(4, 8, kernel 1x1, stride 1, no bias), BatchNorm2d(8, eps 1e-3, momentum 0.1), Relu)";
    assert_eq!(block, expected);
}
