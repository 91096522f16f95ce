//! Forward, gradients and running statistics against torchvision and timm: see `fixtures/backbones.py`.

#[path = "../../c2f-ops/tests/common/device.rs"]
mod device;

use c2f_backbone::{Backbone, FeatureConfig, build, info, names};
use c2f_ops::nn::{Kind, Params, Pass};
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use device::device;
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
    Tensor::from_vec(values, shape, &device()).unwrap()
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

fn made(name: &str, dtype: DType) -> (Params, Box<dyn Backbone>) {
    let params = Params::zeros(&device(), dtype);
    let backbone = build(name, &params, &FeatureConfig::default()).unwrap();
    set_weights(&params);
    (params, backbone)
}

/// Every endpoint of the network whose variables `params` holds.
fn check_endpoints(name: &str, params: &Params, x: &Tensor, expected: &Value, tolerance: f64) {
    let expected = expected.as_object().unwrap();
    let endpoints = info(name).unwrap().endpoints;
    assert_eq!(endpoints.len(), expected.len());
    for endpoint in endpoints {
        let config = FeatureConfig { endpoint: Some(endpoint.name.to_owned()), freeze: None };
        let backbone = build(name, params, &config).unwrap();
        assert_eq!(backbone.endpoint(), endpoint);
        let maps = backbone.run(x, &Pass::eval()).unwrap();
        assert_eq!(maps.dim(1).unwrap(), endpoint.channels, "{}", endpoint.name);
        for (pixels, cells) in x.dims()[2..].iter().zip(&maps.dims()[2..]) {
            // Inception's first layers and its poolings don't pad: each takes away a cell or two.
            let about = pixels.div_ceil(endpoint.stride);
            assert!(*cells <= about && cells + 4 >= about, "{}: {pixels} pixels, {cells} cells", endpoint.name);
        }
        check(&format!("{} in {}", endpoint.name, params.dtype().as_str()), &maps, &expected[endpoint.name], tolerance);
    }
}

/// The gradients of the input and of all variables with respect to the training output's sum, weighted by noise.
fn gradients(backbone: &dyn Backbone, x: &Var) -> (Tensor, GradStore) {
    let y = backbone.run(x, &Pass::train()).unwrap();
    let probe = noise("probe", y.dims()).to_dtype(y.dtype()).unwrap();
    let gradients = (&y * probe).unwrap().sum_all().unwrap().backward().unwrap();
    (y, gradients)
}

fn agrees(name: &str, fixture: &str) {
    let expected: Value = serde_json::from_str(fixture).unwrap();
    let shape = dims(&expected["input"]);
    let text = |key: &str| expected[key].as_str().unwrap();

    let (params, backbone) = made(name, DType::F64);
    let entries = params.entries();
    let parameters = entries.iter().filter(|entry| entry.kind == Kind::Parameter);
    let count: usize = parameters.clone().map(|entry| entry.var.elem_count()).sum();
    assert_eq!(count as u64, expected["parameters"].as_u64().unwrap());

    let x = Var::from_tensor(&noise("input", &shape)).unwrap();
    check_endpoints(name, &params, &x, &expected["eval"], 1e-9);
    let (y, found) = gradients(&*backbone, &x);
    assert_eq!(y.dims(), dims(&expected["output"]));
    check("train", &y, &expected["train"], 1e-8);
    check("input gradient", found.get(&x).unwrap(), &expected["input_gradient"], 1e-7);
    let gradient_digests = expected["gradients"].as_object().unwrap();
    assert_eq!(gradient_digests.len(), parameters.clone().count());
    for entry in parameters {
        // A bias before BatchNorm has none, and in PyTorch one of rounding errors.
        let gradient = found.get(&entry.var).cloned().unwrap_or_else(|| entry.var.zeros_like().unwrap());
        check(&entry.name, &gradient, &gradient_digests[&entry.name], 1e-7);
    }
    for end in ["first", "last"] {
        let var = params.get(text(end)).unwrap().var;
        check(end, found.get(&var).unwrap(), &expected[format!("{end}_gradient")], 1e-7);
    }
    for (name, digest) in expected["running"].as_object().unwrap() {
        check(name, &params.get(name).unwrap().var, digest, 1e-9);
    }

    // In f32 the same network differs by rounding only. (Not so its gradients in training: a ReLU that opens by
    // rounding lets all of a value through.)
    let (params, _) = made(name, DType::F32);
    let x = noise("input", &shape).to_dtype(DType::F32).unwrap();
    check_endpoints(name, &params, &x, &expected["eval"], 1e-4);
}

/// One test for each network: its name and its fixture's.
macro_rules! networks {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                agrees(stringify!($name), include_str!(concat!("fixtures/", stringify!($name), ".json")));
            }
        )*

        #[test]
        fn every_network_is_tested() {
            assert_eq!(names(), [$(stringify!($name)),*]);
        }
    };
}

networks! {
    c2f_tiny
    convnext_base
    convnext_small
    convnext_tiny
    inception_v3
    resnet101
    resnet152
    resnet18
    resnet34
    resnet50
    tf_efficientnet_lite0
    tf_efficientnet_lite1
    tf_efficientnet_lite2
    tf_efficientnet_lite3
    tf_efficientnet_lite4
    vgg16_bn
    vgg19_bn
    vit_base_patch16_224
    vit_small_patch16_224
}

/// torchvision's Inception takes ImageNet's normalisation and undoes it; this one is normalised by 0.5 and 0.5 at once.
#[test]
fn inception_is_torchvisions_with_transform_input() {
    let expected: Value = serde_json::from_str(include_str!("fixtures/inception_v3.json")).unwrap();
    let (_, backbone) = made("inception_v3", DType::F64);
    let pictures = noise("input", &dims(&expected["input"])).affine(0.5, 0.5).unwrap();
    let info = backbone.info();
    let channels = |values: [f32; 3]| {
        Tensor::new(&values, &device()).unwrap().reshape((1, 3, 1, 1)).unwrap().to_dtype(DType::F64).unwrap()
    };
    let normalised = pictures.broadcast_sub(&channels(info.mean)).unwrap().broadcast_div(&channels(info.std)).unwrap();
    let maps = backbone.run(&normalised, &Pass::eval()).unwrap();
    check("Mixed_7c", &maps, &expected["transform_input"], 1e-7);
}

#[test]
fn a_transformer_takes_pictures_of_its_own_size_and_refuses_parts_of_patches() {
    let expected: Value = serde_json::from_str(include_str!("fixtures/vit_small_patch16_224.json")).unwrap();
    let (_, backbone) = made("vit_small_patch16_224", DType::F32);
    let picture = noise("input", &[1, 3, 224, 224]).to_dtype(DType::F32).unwrap();
    check("norm", &backbone.run(&picture, &Pass::eval()).unwrap(), &expected["whole"], 1e-4);
    let error = backbone.run(&picture.narrow(3, 0, 100).unwrap(), &Pass::eval()).unwrap_err();
    assert!(error.to_string().contains("patches of 16 x 16 pixels, which 224 x 100"), "{error}");
}
