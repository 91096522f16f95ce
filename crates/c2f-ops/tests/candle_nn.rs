//! The layers in candle's own language: variables from a `VarBuilder` and back, `Module` and `ModuleT`.

mod common;

use std::collections::HashMap;

use c2f_ops::Activation;
use c2f_ops::nn::{
    BatchNorm2d, Conv2d, Conv2dOptions, ConvNormAct, ConvNormActOptions, Init, Kind, LayerNorm, Linear, Params, Pass,
};
use candle_core::{DType, Device, Module, ModuleT, Tensor, Var};
use candle_nn::{Optimizer, VarBuilder, VarMap};
use common::{assert_close, random, values};

const CPU: Device = Device::Cpu;

fn block(params: &Params) -> ConvNormAct {
    let options = ConvNormActOptions {
        names: ("conv", "bn"),
        conv: Conv2dOptions::default(),
        eps: 1e-5,
        momentum: 0.1,
        activation: Activation::Relu,
    };
    ConvNormAct::new(params, 3, 4, (3, 3), options).unwrap()
}

#[test]
fn a_var_maps_variables_are_the_layers() {
    let map = VarMap::new();
    let params = Params::from_var_builder(VarBuilder::from_varmap(&map, DType::F64, &CPU).pp("encoder"), 7);
    let layer = block(&params.at("stem"));
    // The map has them under its own names, and they start as those of a store do.
    let own = Params::new(&CPU, DType::F64, 7);
    block(&own.at("stem"));
    let data = map.data().lock().unwrap();
    assert_eq!(data.len(), 5);
    for entry in own.entries() {
        let shared = &data[&format!("encoder.{}", entry.name)];
        assert_close(&entry.name, shared, &entry.var, 0.0);
        assert_eq!(params.get(&entry.name).unwrap().var.id(), shared.id());
    }
    drop(data);

    // candle's optimiser moves the layer, and what the map loads is what the layer computes with.
    let x = random((2, 3, 5, 5), 1);
    let before = layer.forward_t(&x, false).unwrap();
    let mut optimizer = candle_nn::SGD::new(map.all_vars(), 0.1).unwrap();
    optimizer.backward_step(&layer.forward_t(&x, true).unwrap().sqr().unwrap().mean_all().unwrap()).unwrap();
    let after = layer.forward_t(&x, false).unwrap();
    assert!(values(&(&after - before).unwrap()).iter().any(|difference| difference.abs() > 1e-3));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("map.safetensors");
    map.save(&file).unwrap();
    for var in map.all_vars() {
        var.set(&var.zeros_like().unwrap()).unwrap();
    }
    let mut map = map;
    map.load(&file).unwrap();
    assert_close("loaded", &layer.forward_t(&x, false).unwrap(), &after, 0.0);

    // A second layer of the same name is the same one.
    assert_close("again", &block(&params.at("stem")).forward_t(&x, false).unwrap(), &after, 0.0);
}

#[test]
fn tensors_of_a_file_are_copied_and_one_that_is_missing_is_an_error() {
    let own = Params::new(&CPU, DType::F64, 3);
    let expected = block(&own).forward_t(&random((1, 3, 4, 4), 1), false).unwrap();
    let mut tensors: HashMap<String, Tensor> =
        own.entries().into_iter().map(|entry| (entry.name, entry.var.as_detached_tensor())).collect();
    let of = |tensors: &HashMap<String, Tensor>| {
        Params::from_var_builder(VarBuilder::from_tensors(tensors.clone(), DType::F64, &CPU), 0)
    };
    let params = of(&tensors);
    let layer = block(&params);
    assert_close("output", &layer.forward_t(&random((1, 3, 4, 4), 1), false).unwrap(), &expected, 0.0);
    let weight = params.get("conv.weight").unwrap().var;
    weight.set(&weight.zeros_like().unwrap()).unwrap();
    assert!(values(&tensors["conv.weight"]).iter().all(|value| *value != 0.0), "a copy was changed");

    tensors.remove("bn.bias");
    let error = BatchNorm2d::new(&of(&tensors).at("bn"), 4, 1e-5, 0.1).unwrap_err();
    assert!(error.to_string().contains("bn.bias"), "{error}");
}

#[test]
fn candles_layers_keep_their_variables_in_the_store() {
    let params = Params::new(&CPU, DType::F64, 5);
    let builder = params.at("head").var_builder();
    let linear = candle_nn::linear(6, 4, builder.pp("fc")).unwrap();
    let norm = candle_nn::batch_norm(4, 1e-5, builder.pp("bn")).unwrap();
    candle_nn::conv2d(3, 4, 3, candle_nn::Conv2dConfig::default(), builder.pp("conv")).unwrap();
    let kinds: Vec<_> = params.entries().into_iter().map(|entry| (entry.name, entry.kind)).collect();
    let kind = |name: &str| kinds.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
    assert_eq!(kinds.len(), 8);
    assert_eq!(kind("head.fc.weight"), Some(Kind::Parameter));
    assert_eq!(kind("head.bn.running_var"), Some(Kind::Buffer));

    // Training moves candle's statistics, which are the store's.
    let y = norm.forward_t(&linear.forward(&random((8, 6), 1)).unwrap(), true).unwrap();
    let mean = params.get("head.bn.running_mean").unwrap().var;
    assert!(values(&mean).iter().any(|value| *value != 0.0));
    let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    assert!(gradients.get(&params.get("head.fc.weight").unwrap().var).is_some());

    // The same seed gives the same values, whatever was made before.
    let again = Params::new(&CPU, DType::F64, 5);
    candle_nn::linear(6, 4, again.at("head").var_builder().pp("fc")).unwrap();
    for name in ["head.fc.weight", "head.fc.bias"] {
        let (a, b) = (again.get(name).unwrap().var, params.get(name).unwrap().var);
        assert_close(name, &a, &b, 0.0);
    }
    // candle's bounds: 1 / sqrt(inputs) for the bias of a linear layer.
    let bias = values(&params.get("head.fc.bias").unwrap().var);
    assert!(bias.iter().all(|value| value.abs() <= 1.0 / 6_f64.sqrt()) && bias.iter().any(|value| *value != 0.0));
    assert!(builder.contains_tensor("fc.weight") && !builder.contains_tensor("fc.scale"));
    assert!(builder.get_unchecked("fc.scale").unwrap_err().to_string().contains("head.fc.scale"));
    assert!(builder.get(3, "fc.weight").unwrap_err().to_string().contains("[4, 6]"));
}

#[test]
fn candles_initialisers_have_their_spread() {
    let params = Params::new(&CPU, DType::F64, 5);
    let builder = params.var_builder();
    let spread = |name: &str, init| {
        let drawn = values(&builder.get_with_hints((64, 32, 3, 3), name, init).unwrap());
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        (mean, (drawn.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / drawn.len() as f64).sqrt())
    };
    let near = |(mean, std): (f64, f64), expected: (f64, f64)| {
        assert!((mean - expected.0).abs() < 0.02 && (std / expected.1 - 1.0).abs() < 0.02, "{mean} {std} {expected:?}");
    };
    near(spread("a", candle_nn::Init::Randn { mean: 3.0, stdev: 0.5 }), (3.0, 0.5));
    near(spread("b", candle_nn::Init::Uniform { lo: 1.0, up: 2.0 }), (1.5, 1.0 / 12_f64.sqrt()));
    let kaiming = (0.0, (2.0 / (32.0 * 9.0_f64)).sqrt());
    near(spread("c", candle_nn::init::DEFAULT_KAIMING_NORMAL), kaiming);
    near(spread("d", candle_nn::init::DEFAULT_KAIMING_UNIFORM), kaiming);
}

/// A square batch, whose axes a layer can't tell apart by their sizes.
#[test]
fn maps_are_channels_first_on_every_device() {
    let params = Params::new(&CPU, DType::F64, 1);
    let x = (random((4, 4, 4, 4), 1) + 2.0).unwrap();
    let norm = BatchNorm2d::new(&params.at("bn"), 4, 1e-5, 0.1).unwrap();
    let y = norm.forward_t(&x, true).unwrap();
    let means = values(&y.mean((0, 2, 3)).unwrap());
    assert!(means.iter().all(|mean| mean.abs() < 1e-9), "not normalised along the channels: {means:?}");

    let conv = Conv2d::new(&params.at("conv"), 4, 4, (3, 3), Conv2dOptions::default()).unwrap();
    let weight = params.get("conv.weight").unwrap().var;
    let expected = x.conv2d(&weight, 0, 1, 1, 1).unwrap();
    assert_close("convolution", &conv.forward(&x).unwrap(), &expected, 1e-12);
    // candle's way to chain layers.
    assert_close("applied", &x.apply(&conv).unwrap(), &expected, 1e-12);
    let chained = candle_nn::seq().add(conv).add(|x: &Tensor| x.mean((2, 3)));
    assert_eq!(chained.forward(&x).unwrap().dims(), [4, 4]);
}

#[test]
fn evaluation_tracks_the_weights() {
    let params = Params::new(&CPU, DType::F64, 1);
    let (norm, linear, layer_norm) = (
        BatchNorm2d::new(&params.at("bn"), 3, 1e-5, 0.1).unwrap(),
        Linear::new(&params.at("fc"), 4, 2, true, Init::TORCH).unwrap(),
        LayerNorm::new(&params.at("ln"), 4, 1e-5).unwrap(),
    );
    let x = random((2, 3, 4, 4), 1);
    let y = norm.forward_t(&x, false).unwrap();
    assert_close("running statistics", &y, &norm.run(&x, &Pass::eval()).unwrap(), 0.0);
    let y = linear.forward(&layer_norm.forward(&y).unwrap()).unwrap();
    let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    for entry in params.entries() {
        assert_eq!(gradients.get(&entry.var).is_some(), entry.kind == Kind::Parameter, "{}", entry.name);
    }
}

#[test]
fn errors_become_candles() {
    fn run() -> candle_core::Result<Tensor> {
        let conv = Conv2d::new(&Params::new(&CPU, DType::F64, 1), 4, 4, (3, 3), Conv2dOptions::default())?;
        conv.forward(&random((1, 3, 8, 8), 1))
    }
    let error = run().unwrap_err().to_string();
    assert!(error.contains("conv2d") && error.contains('3'), "{error}");
}

/// Why c2f-ops has a soft-max and a layer normalisation of its own: whoever trains through candle's fused ones loses the
/// gradient of all that lies before. When this fails, candle's can be used.
#[test]
fn candles_fused_operations_have_no_gradient() {
    let x = Var::from_tensor(&random((2, 5), 1).to_dtype(DType::F32).unwrap()).unwrap();
    let (alpha, beta) = (Tensor::ones(5, DType::F32, &CPU).unwrap(), Tensor::zeros(5, DType::F32, &CPU).unwrap());
    let flows = |y: Tensor| {
        let gradients = y.sqr().unwrap().sum_all().unwrap().backward();
        gradients.is_ok_and(|gradients| gradients.get(&x).is_some())
    };
    assert!(!flows(candle_nn::ops::softmax_last_dim(&x).unwrap()));
    assert!(!flows(candle_nn::ops::layer_norm(&x, &alpha, &beta, 1e-5).unwrap()));
    assert!(flows(c2f_ops::softmax(&x).unwrap()));
    assert!(flows(c2f_ops::layer_norm(&x, &alpha, &beta, 1e-5).unwrap()));
}
