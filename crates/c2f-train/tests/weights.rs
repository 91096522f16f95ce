//! What users do with weight files: look into them, and embed pictures with them.

mod common;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use c2f_backbone::FeatureConfig;
use c2f_ops::nn::Params;
use candle_core::{DType, Device, Tensor};
use common::{draw_pictures, fail, json, run, succeed, text, train};
use safetensors::SafeTensors;
use serde_json::Value;

/// Weights of `c2f_tiny` in a file, after a change.
fn weights(folder: &Path, change: impl Fn(&mut HashMap<String, Tensor>)) -> PathBuf {
    let params = Params::new(&Device::Cpu, DType::F32, 1);
    c2f_backbone::build("c2f_tiny", &params, &FeatureConfig::default()).unwrap();
    let entries = params.entries().into_iter();
    let mut tensors = entries.map(|entry| (entry.name, entry.var.as_detached_tensor())).collect();
    change(&mut tensors);
    let path = folder.join("weights.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    path
}

/// The pictures in a folder, sorted.
fn pictures(folder: &Path) -> Vec<PathBuf> {
    draw_pictures(folder, 2, |_| true);
    let classes = std::fs::read_dir(folder.join("test")).unwrap();
    let files = classes.flat_map(|class| std::fs::read_dir(class.unwrap().path()).unwrap());
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

/// The embeddings of a file, row by row, and the pictures' names.
fn embeddings(path: &Path) -> (Vec<Vec<f32>>, Vec<String>) {
    let bytes = std::fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let images = serde_json::from_str(&header.metadata().as_ref().unwrap()["images"]).unwrap();
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    (tensors["embeddings"].to_vec2().unwrap(), images)
}

#[test]
fn inspect_says_what_is_in_a_file_and_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let file = weights(folder.path(), |tensors| {
        tensors.insert("fc.weight".into(), Tensor::zeros((10, 128), DType::F32, &Device::Cpu).unwrap());
    });
    let value = json(&["weights", "inspect", text(&file), "--json"]);
    assert_eq!(value["fits"], serde_json::json!(["c2f_tiny"]));
    assert_eq!((&value["naming"], &value["comparison"]), (&"torchvision".into(), &Value::Null));
    let tensors = value["tensors"].as_array().unwrap();
    assert_eq!(tensors.len(), 51);
    let first = serde_json::json!({ "name": "bn1.bias", "dtype": "f32", "shape": [16] });
    assert_eq!(tensors[0], first);

    let comparison = &json(&["weights", "inspect", text(&file), "--backbone", "c2f_tiny", "--json"])["comparison"];
    assert_eq!((&comparison["fits"], &comparison["matched"]), (&true.into(), &50.into()));
    assert_eq!(comparison["ignored"], serde_json::json!(["fc.weight"]));
    let comparison = &json(&["weights", "inspect", text(&file), "--backbone", "resnet18", "--json"])["comparison"];
    assert_eq!(comparison["fits"], false);
    assert!(!comparison["missing"].as_array().unwrap().is_empty());

    let table = succeed(&["weights", "inspect", text(&file), "--backbone", "resnet18"]);
    for part in ["doesn't fit resnet18", "fits    c2f_tiny", "missing     layer1.1.conv1.weight", "fc.weight"] {
        assert!(table.contains(part), "{part}: {table}");
    }
}

#[test]
fn inspect_reads_names_that_nobody_knows_and_refuses_what_is_no_weight_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.safetensors");
    let odd = Tensor::zeros((2, 3), DType::F16, &Device::Cpu).unwrap();
    candle_core::safetensors::save(&HashMap::from([("odd".to_owned(), odd)]), &file).unwrap();
    let value = json(&["weights", "inspect", text(&file), "--json"]);
    assert_eq!((&value["naming"], &value["fits"]), (&Value::Null, &serde_json::json!([])));
    assert!(succeed(&["weights", "inspect", text(&file)]).contains("odd  f16 [2, 3]"));

    std::fs::write(&file, "text").unwrap();
    assert!(fail(1, &["weights", "inspect", text(&file)]).contains("odd.safetensors"));
    assert!(fail(2, &["weights", "inspect", "no/such.pth"]).contains("no/such.pth"));
    assert!(fail(2, &["weights", "inspect", text(&file), "--backbone", "resnet"]).contains("did you mean"));
}

#[test]
fn a_backbone_embeds_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (file, output) = (weights(folder.path(), |_| ()), folder.path().join("out.safetensors"));
    let pictures = pictures(folder.path());
    let common = ["embed", "--backbone", "c2f_tiny", "--weights", text(&file), "--output", text(&output)];
    let mut arguments = common.to_vec();
    arguments.extend(pictures.iter().map(|picture| text(picture)));
    assert!(succeed(&arguments).contains("6 embeddings of 128 values"));
    let (rows, images) = embeddings(&output);
    assert_eq!(images, pictures.iter().map(|picture| text(picture)).collect::<Vec<_>>());
    assert_eq!((rows.len(), rows[0].len()), (6, 128));
    assert!(rows.iter().flatten().all(|value| value.is_finite()) && rows[0] != rows[1]);

    // One picture alone has the same embedding, wherever the others are, and another one at another size or endpoint.
    let more = |options: &[&str]| {
        let mut arguments = common.to_vec();
        arguments.extend(options);
        arguments.push(text(&pictures[4]));
        succeed(&arguments);
        embeddings(&output).0.remove(0)
    };
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(distance(&more(&[]), &rows[4]) < 1e-5);
    assert!(distance(&more(&["--image-size", "96"]), &rows[4]) > 1e-3);
    assert_eq!(more(&["--endpoint", "layer1"]).len(), 32);
}

#[test]
fn a_checkpoint_embeds_pictures_by_its_parts_or_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (trained, output) = (folder.path().join("run"), folder.path().join("out.safetensors"));
    succeed(&train(&trained, &["--set", "method=attention", "--set", "epochs=1"]));
    let pictures = pictures(folder.path());
    let embed = |options: &[&str]| {
        let mut arguments = vec!["embed", "--checkpoint", text(&trained), "--output", text(&output)];
        arguments.extend(options);
        arguments.extend(pictures.iter().map(|picture| text(picture)));
        succeed(&arguments);
        embeddings(&output).0
    };
    let parts = embed(&[]);
    assert_eq!(parts[0].len(), 4 * 128);
    for row in &parts {
        let norm: f32 = row.iter().map(|value| value * value).sum();
        assert!((norm - 1.0).abs() < 1e-4, "{norm}");
    }
    assert_eq!(embed(&["--features", "parts"]), parts);
    assert_eq!(embed(&["--features", "pooled"])[0].len(), 128);

    // A picture that can't be read leaves the others theirs.
    let broken = folder.path().join("broken.jpg");
    std::fs::write(&broken, "no picture").unwrap();
    let arguments =
        ["embed", "--checkpoint", text(&trained), "--output", text(&output), text(&broken), text(&pictures[3])];
    let result = run(&arguments);
    assert_eq!(result.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&result.stderr).contains("broken.jpg"));
    let (rows, images) = embeddings(&output);
    assert_eq!((rows.len(), images), (1, vec![text(&pictures[3]).to_owned()]));
}

#[test]
fn embedding_needs_a_network_and_fitting_weights() {
    let folder = tempfile::tempdir().unwrap();
    let file = weights(folder.path(), |_| ());
    let output = folder.path().join("out.safetensors");
    let embed = |options: &[&str], status| {
        let mut arguments = vec!["embed", "--output", text(&output)];
        arguments.extend(options);
        arguments.push("picture.jpg");
        fail(status, &arguments)
    };
    embed(&[], 2);
    embed(&["--backbone", "c2f_tiny"], 2);
    embed(&["--checkpoint", "run", "--backbone", "c2f_tiny", "--weights", text(&file)], 2);
    let line = embed(&["--backbone", "resnet18", "--weights", text(&file)], 1);
    assert!(line.contains("they fit c2f_tiny"), "{line}");
    let line = embed(&["--backbone", "c2f_tiny", "--weights", text(&file), "--endpoint", "layer9"], 2);
    assert!(line.contains("layer1, layer2, layer3"), "{line}");
    assert!(!output.exists());
}

#[test]
fn weights_that_are_not_finite_are_an_error_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = weights(folder.path(), |tensors| {
        tensors.insert("bn1.bias".into(), Tensor::full(f32::NAN, 16, &Device::Cpu).unwrap());
    });
    assert!(succeed(&["weights", "inspect", text(&file)]).contains("bn1.bias holds NaN or infinity"));
    assert_eq!(json(&["weights", "inspect", text(&file), "--json"])["not_finite"], serde_json::json!(["bn1.bias"]));
    let trained = folder.path().join("run");
    let line = fail(1, &train(&trained, &["--weights", text(&file)]));
    assert!(line.contains("weights.safetensors") && line.contains("bn1.bias"), "{line}");

    let trained = folder.path().join("trained");
    succeed(&train(&trained, &["--set", "method=attention", "--set", "epochs=1"]));
    let picture = pictures(folder.path()).remove(0);
    for name in ["best", "last"] {
        let path = trained.join(format!("checkpoints/{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let mut tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        for name in ["backbone.bn1.bias", "ema.backbone.bn1.bias"] {
            tensors.entry(name.into()).and_modify(|t| *t = Tensor::full(f32::INFINITY, 16, &Device::Cpu).unwrap());
        }
        safetensors::serialize_to_file(&tensors, header.metadata().clone(), &path).unwrap();
    }
    let output = folder.path().join("out.safetensors");
    for arguments in [
        &["predict", "--checkpoint", text(&trained), text(&picture)][..],
        &["embed", "--checkpoint", text(&trained), "--output", text(&output), text(&picture)],
        &["eval", "--checkpoint", text(&trained), "--data", common::DATA],
        &["train", "--resume", "--output", text(&trained)],
    ] {
        let line = fail(1, arguments);
        assert!(line.contains(".safetensors") && line.contains("backbone.bn1.bias holds NaN or infinity"), "{line}");
    }
}
