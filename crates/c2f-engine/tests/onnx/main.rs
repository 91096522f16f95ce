//! Exported networks in onnxruntime say what `predict` does.
//!
//! `C2F_TEST_PYTHON` is a Python that has onnx, onnxruntime and numpy; `.ci/run` makes one. `C2F_TEST_TRACT` is the program
//! `c2f-onnx/with_tract`. Without either these tests are skipped.

mod runtime;

use std::path::PathBuf;

use c2f_engine::{GraphInputs, Network, Recipe, Stage, denormalise};
use c2f_ops::nn::Kind;
use candle_core::{DType, Device, Tensor};
use image::{Rgb, RgbImage};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runtime::{Batch, Runtime};

/// f32 in 0..=1, as one input.
const UNITS: GraphInputs = GraphInputs { bytes: false, coarse: false };

/// An untrained network of three classes, whose variables are drawn so that no layer of it is without effect.
fn network(settings: &[&str]) -> Network {
    let mut recipe = Recipe::builtin("quickstart").unwrap();
    // Of the picture nothing is cut off: what `predict` sees of a file is all of it.
    let usual = [
        "augment.eval_crop=1.0",
        "attention.maps=4",
        "image_size=48",
        "inverse.zoom_std=0.7",
        "ws_dan.test_threshold=0.8",
    ];
    for setting in usual.iter().chain(settings) {
        recipe.set(setting).unwrap();
    }
    let classes = ["kestrel", "marsh tit", "rook"].map(str::to_owned).to_vec();
    let network = Network::new(&recipe, classes, &Device::Cpu).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for entry in network.params.entries() {
        let dims = entry.var.dims();
        let (low, high) = match dims {
            _ if entry.kind == Kind::Buffer && entry.name.ends_with("var") => (0.7, 1.3),
            [_] if entry.name.ends_with("weight") || entry.name.ends_with("gamma") => (0.6, 1.0),
            [_] => (-0.1, 0.1),
            _ => {
                // Deep networks that weren't trained hardly tell pictures apart, unless their classifier exaggerates.
                let gain = if entry.name == "classifier.weight" { 3.0 } else { 1.0 };
                let bound = gain * (6.0 / dims[1..].iter().product::<usize>() as f32).sqrt();
                (-bound, bound)
            }
        };
        let values: Vec<f32> = (0..entry.var.elem_count()).map(|_| rng.random_range(low..high)).collect();
        entry.var.set(&Tensor::from_vec(values, dims, &Device::Cpu).unwrap()).unwrap();
    }
    network
}

/// A made-up picture: a coloured disc on stripes, with noise.
fn picture(number: u32, side: u32) -> RgbImage {
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(number));
    let [x0, y0] = [0, 1].map(|_| rng.random_range(0.3..0.7) * side as f32);
    let colour: [f32; 3] = rng.random();
    RgbImage::from_fn(side, side, |x, y| {
        let inside = (x as f32 - x0).hypot(y as f32 - y0) < 0.2 * side as f32;
        let stripe = f32::from(u8::from(((x + 2 * y) / (3 + number)).is_multiple_of(2)));
        Rgb([0, 1, 2].map(|c| {
            let value = if inside { colour[c] } else { 0.2 + 0.5 * stripe } + rng.random_range(-0.1..0.1);
            (value * 255.0).clamp(0.0, 255.0) as u8
        }))
    })
}

/// Pictures of one size as a graph takes them.
fn tensor(pictures: &[RgbImage], inputs: GraphInputs) -> Tensor {
    let (width, height) = pictures[0].dimensions();
    let bytes: Vec<u8> = pictures.iter().flat_map(|picture| picture.as_raw().clone()).collect();
    let shape = (pictures.len(), height as usize, width as usize, 3);
    let bytes = Tensor::from_vec(bytes, shape, &Device::Cpu).unwrap();
    if inputs.bytes {
        return bytes;
    }
    (bytes.permute((0, 3, 1, 2)).unwrap().to_dtype(DType::F32).unwrap() / 255.0).unwrap()
}

/// What `predict` says of files that hold these pictures.
fn of_files(network: &Network, pictures: &[RgbImage], inputs: GraphInputs) -> Batch {
    let transform = network.eval_transform();
    let views: Vec<_> = pictures.iter().map(|picture| transform.apply(picture, 0, 0, 0)).collect();
    let stack = |planes: Vec<&[f32]>, size: usize| {
        Tensor::from_vec(planes.concat(), (pictures.len(), 3, size, size), &Device::Cpu).unwrap()
    };
    let pixels = |planes: &[&[f32]], size: usize| {
        let info = network.model.backbone().info();
        let pictures: Vec<RgbImage> = planes.iter().map(|planes| denormalise(planes, size, info)).collect();
        tensor(&pictures, inputs)
    };
    let coarse: Vec<&[f32]> = views.iter().map(|view| view.coarse.as_slice()).collect();
    let Some(source) = views.iter().map(|view| view.source.as_deref()).collect::<Option<Vec<_>>>() else {
        let given = vec![("pictures", pixels(&coarse, transform.size()))];
        return Batch::new(given, &network.predict(&stack(coarse, transform.size()), None).unwrap());
    };
    let mut given = vec![("pictures", pixels(&source, transform.source_size()))];
    if inputs.coarse {
        given.push(("coarse", pixels(&coarse, transform.size())));
    }
    let source = stack(source, transform.source_size());
    Batch::new(given, &network.predict(&stack(coarse, transform.size()), Some(&source)).unwrap())
}

/// The same of a picture of another size, which isn't square.
fn of_another_size(network: &Network) -> Batch {
    let (height, width) = (network.recipe.image_size + 13, network.recipe.image_size + 40);
    let picture = image::imageops::crop_imm(&picture(9, width as u32), 0, 3, width as u32, height as u32).to_image();
    let units = tensor(&[picture], UNITS);
    let info = network.model.backbone().info();
    let [mean, std] =
        [info.mean, info.std].map(|v| Tensor::new(&v, &Device::Cpu).unwrap().reshape((1, 3, 1, 1)).unwrap());
    let images = units.broadcast_sub(&mean).unwrap().broadcast_div(&std).unwrap();
    Batch::new(vec![("pictures", units)], &network.predict(&images, None).unwrap())
}

/// Checks batches of one and of three pictures and, where the network allows it, of another size.
fn check(runtime: &mut Runtime, what: &str, network: &Network, inputs: GraphInputs) {
    // Of a larger file `predict` makes the coarse look's view directly, which a graph can't that has the other view alone.
    let side = network.source_size() as u32 + if inputs.coarse { 37 } else { 0 };
    let pictures: Vec<RgbImage> = (1..=3).map(|number| picture(number, side)).collect();
    let mut batches = vec![of_files(network, &pictures[..1], inputs), of_files(network, &pictures, inputs)];
    let takes_any_size = network.source_size() == network.recipe.image_size
        && network.model.backbone().info().size_multiple == 1
        && inputs == UNITS;
    if takes_any_size {
        batches.push(of_another_size(network));
    }
    batches[1].assert_telling(what);
    runtime.check(what, network, inputs, &batches);
}

#[test]
fn onnxruntime_says_what_predict_says_for_every_backbone() {
    let Some(mut runtime) = Runtime::start() else { return };
    for backbone in c2f_backbone::names() {
        let size = match backbone {
            "inception_v3" => 96,
            "vit_base_patch16_224" | "vit_small_patch16_224" => 48,
            _ => 64,
        };
        let network = network(&[&format!("backbone={backbone}"), "method=attention", &format!("image_size={size}")]);
        check(&mut runtime, backbone, &network, UNITS);
    }
}

#[test]
fn onnxruntime_says_what_predict_says_for_every_method() {
    let Some(mut runtime) = Runtime::start() else { return };
    let one = "inverse.source_scale=1.0";
    let two = "inverse.source_scale=2.0";
    let twice = |settings: &[&'static str]| [&["method=coarse2fine-orthogonal"], settings].concat();
    let cases: Vec<Vec<&str>> = vec![
        vec!["method=baseline"],
        vec!["method=attention"],
        vec!["method=attention-orthogonal"],
        vec!["method=isqrt-cov", "isqrt_cov.channels=6"],
        vec!["method=cal", one],
        vec!["method=mc-loss"],
        vec!["method=api-net"],
        vec!["method=pmg", "pmg.channels=8"],
        vec!["method=ws-dan", one],
        vec!["method=ws-dan", two, "inverse.registered=true"],
        vec!["method=coarse2fine", two],
        twice(&["inverse.mode=mask"]),
        twice(&["inverse.mode=zoom", one]),
        twice(&["inverse.mode=zoom", two, "inverse.registered=true"]),
        twice(&["inverse.mode=zoom", "inverse.source_scale=1.5", "inverse.fine_statistics=false"]),
        twice(&["inverse.mode=mask-zoom", one]),
        twice(&["inverse.mode=mask-zoom", two]),
        twice(&["inverse.mode=detail", one, "inverse.registered=true"]),
        twice(&["inverse.mode=detail", two]),
        twice(&["inverse.mode=warp", one, "inverse.registered=true"]),
        twice(&["inverse.mode=warp", two]),
        twice(&["inverse.region=attention", two]),
        twice(&["inverse.region=centre", one]),
        twice(&["inverse.region=centre", two]),
        twice(&["features.endpoint=layer2", two]),
        twice(&["backbone=tf_efficientnet_lite0", "image_size=64", two, "inverse.registered=true"]),
        twice(&["backbone=vit_small_patch16_224", one]),
    ];
    for settings in cases {
        let network = network(&settings);
        check(&mut runtime, &settings.join(" "), &network, UNITS);
    }
    for settings in [twice(&[one]), twice(&[two])] {
        let network = network(&settings);
        for (bytes, coarse) in [(true, false), (true, true), (false, true)] {
            let inputs = GraphInputs { bytes, coarse };
            check(&mut runtime, &format!("{} {inputs:?}", settings.join(" ")), &network, inputs);
        }
    }
    let mut tempered = network(&twice(&[one]));
    let held_out = r#"{"temperature":1.7,"calibration_error":[0.1,0.05],"scores":[]}"#;
    tempered.held_out = Some(serde_json::from_str(held_out).unwrap());
    check(&mut runtime, "with a temperature", &tempered, UNITS);
    // A fine look that hasn't been trained takes no part.
    let mut network = network(&twice(&[one]));
    network.stage = Stage::Coarse;
    check(&mut runtime, "coarse stage", &network, UNITS);
}

#[test]
fn onnxruntime_says_what_predict_says_of_photographs() {
    let Some(data) = std::env::var_os("C2F_TEST_DATA").map(PathBuf::from) else {
        println!("skipped: C2F_TEST_DATA is not set");
        return;
    };
    let Some(mut runtime) = Runtime::start() else { return };
    let root = data.join("cub200_2010");
    let list = std::fs::read_to_string(root.join("lists/files.txt")).unwrap();
    let files = list.lines().step_by(150).take(20);
    let photographs = files.map(|file| c2f_data::decode_file(&root.join("images").join(file.trim())).unwrap());
    let photographs: Vec<RgbImage> = photographs.collect();
    assert_eq!(photographs.len(), 20);
    let inputs = GraphInputs { bytes: true, coarse: true };
    for method in ["ws-dan", "coarse2fine"] {
        let (method, backbone) = (format!("method={method}"), "backbone=tf_efficientnet_lite0");
        let network =
            network(&[&method, backbone, "image_size=112", "inverse.source_scale=2.0", "augment.eval_crop=0.875"]);
        let batch = of_files(&network, &photographs, inputs);
        batch.assert_telling(&method);
        runtime.check(&format!("photographs, {method}"), &network, inputs, &[batch]);
    }
}

#[test]
fn a_box_that_the_pixels_decide_is_refused() {
    let network = network(&["method=coarse2fine", "inverse.region=random"]);
    let error = network.describe(UNITS).unwrap_err().to_string();
    assert!(error.contains("inverse.region: random"), "{error}");
}
