//! Forward, gradients and running statistics against torchvision and timm: see `fixtures/backbones.py`.

use c2f_backbone::build;
use c2f_ops::nn::{Kind, Params, Pass};
use candle_core::{DType, Device, Tensor};
use serde_json::Value;

/// Values in [-1, 1) that depend on name and index only, as `noise` in the script.
fn noise(name: &str, shape: &[usize]) -> Tensor {
    let key = name.bytes().fold(0x811c_9dc5_u32, |key, byte| (key ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let value = |index: u32| {
        let mut x = index.wrapping_mul(0x9e37_79b9).wrapping_add(key);
        for multiplier in [0x7feb_352d, 0x846c_a68b] {
            x = (x ^ (x >> 16)).wrapping_mul(multiplier);
        }
        f64::from(x ^ (x >> 16)) / f64::from(1_u32 << 31) - 1.0
    };
    let values: Vec<f64> = (0..shape.iter().product::<usize>() as u32).map(value).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// As `weight` in the script.
fn weight(name: &str, shape: &[usize]) -> Tensor {
    let (scale, shift) = if name.ends_with("running_mean") || name.ends_with("bias") {
        (0.1, 0.0)
    } else if name.ends_with("running_var") {
        (0.3, 1.0)
    } else if shape.len() == 1 {
        (0.2, 0.8)
    } else {
        ((6.0 / shape[1..].iter().product::<usize>() as f64).sqrt(), 0.0)
    };
    noise(name, shape).affine(scale, shift).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn dims(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect()
}

/// Compares a tensor with its digest. Differences count relative to the tensor's root mean square.
fn check(what: &str, tensor: &Tensor, digest: &Value, tolerance: f64) {
    let values = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
    let length = number(&digest["length"]);
    assert_eq!(values.len() as f64, length, "{what}");
    let squares = number(&digest["squares"]);
    // Of a bias whose effect a later BatchNorm takes away, the gradient is zero but for rounding.
    let scale = (squares / length).sqrt().max(1e-3);
    let near = |part: &str, got: f64, expected: f64, scale: f64| {
        assert!((got - expected).abs() <= tolerance * scale, "{what}, {part}: {got} instead of {expected}");
    };
    near("sum", values.iter().sum(), number(&digest["sum"]), scale * length);
    near("squares", values.iter().map(|v| v * v).sum(), squares, scale * scale * length);
    let step = digest["step"].as_u64().unwrap() as usize;
    let expected = digest["values"].as_array().unwrap();
    assert_eq!(values.len().div_ceil(step), expected.len(), "{what}");
    for (i, (got, expected)) in values.iter().step_by(step).zip(expected).enumerate() {
        near(&format!("value {}", i * step), *got, number(expected), scale);
    }
}

fn set_weights(params: &Params) {
    for entry in params.entries() {
        let value = weight(&entry.name, entry.var.dims()).to_dtype(params.dtype()).unwrap();
        entry.var.set(&value.to_device(params.device()).unwrap()).unwrap();
    }
}

fn agrees(name: &str, fixture: &str) {
    let expected: Value = serde_json::from_str(fixture).unwrap();
    let shape = dims(&expected["input"]);

    let params = Params::new(&Device::Cpu, DType::F64, 0);
    let backbone = build(name, &params).unwrap();
    set_weights(&params);
    let entries = params.entries();
    let parameters = entries.iter().filter(|entry| entry.kind == Kind::Parameter);
    let count: usize = parameters.clone().map(|entry| entry.var.elem_count()).sum();
    assert_eq!(count as u64, expected["parameters"].as_u64().unwrap());

    let x = candle_core::Var::from_tensor(&noise("input", &shape)).unwrap();
    check("eval", &backbone.forward(&x, &Pass::eval()).unwrap(), &expected["eval"], 1e-9);

    let y = backbone.forward(&x, &Pass::train()).unwrap();
    assert_eq!(y.dims(), dims(&expected["output"]));
    assert_eq!(y.dims()[1], backbone.info().channels);
    for (pixels, cells) in shape[2..].iter().zip(&y.dims()[2..]) {
        assert_eq!(pixels.div_ceil(backbone.info().stride), *cells);
    }
    check("train", &y, &expected["train"], 1e-8);
    let gradients = (&y * noise("probe", y.dims())).unwrap().sum_all().unwrap().backward().unwrap();
    check("input gradient", gradients.get(&x).unwrap(), &expected["input_gradient"], 1e-7);
    let gradient_digests = expected["gradients"].as_object().unwrap();
    assert_eq!(gradient_digests.len(), parameters.clone().count());
    for entry in parameters {
        check(&entry.name, gradients.get(&entry.var).unwrap(), &gradient_digests[&entry.name], 1e-7);
    }
    let first = ["conv1.weight", "conv_stem.weight"].iter().find_map(|name| params.get(name)).unwrap();
    check("first gradient", gradients.get(&first.var).unwrap(), &expected["first_gradient"], 1e-7);
    for (name, digest) in expected["running"].as_object().unwrap() {
        check(name, &params.get(name).unwrap().var, digest, 1e-9);
    }

    // In f32 the same network differs by rounding only.
    let params = Params::new(&Device::Cpu, DType::F32, 0);
    let backbone = build(name, &params).unwrap();
    set_weights(&params);
    let x = noise("input", &shape).to_dtype(DType::F32).unwrap();
    check("eval in f32", &backbone.forward(&x, &Pass::eval()).unwrap(), &expected["eval"], 1e-4);
}

#[test]
fn c2f_tiny_agrees_with_pytorch() {
    agrees("c2f_tiny", include_str!("fixtures/c2f_tiny.json"));
}

#[test]
fn resnet18_agrees_with_torchvision() {
    agrees("resnet18", include_str!("fixtures/resnet18.json"));
}

#[test]
fn resnet50_agrees_with_torchvision() {
    agrees("resnet50", include_str!("fixtures/resnet50.json"));
}

#[test]
fn tf_efficientnet_lite0_agrees_with_timm() {
    agrees("tf_efficientnet_lite0", include_str!("fixtures/tf_efficientnet_lite0.json"));
}
