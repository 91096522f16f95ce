//! Weight files: what is read, what fits, and what happens to those that don't.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use c2f_backbone::{Error, FeatureConfig, LoadReport, build, inspect_weights, load_weights, names, read_weights};
use c2f_ops::nn::Params;
use candle_core::{DType, Device, Tensor};
use tempfile::TempDir;

const ZIP: &[u8] = include_bytes!("fixtures/zip.pth");
const LEGACY: &[u8] = include_bytes!("fixtures/legacy.pth");

fn params(seed: u64) -> Params {
    Params::new(&Device::Cpu, DType::F32, seed)
}

/// The tensors of a freshly made backbone.
fn tensors(backbone: &str) -> HashMap<String, Tensor> {
    let params = params(1);
    build(backbone, &params, &FeatureConfig::default()).unwrap();
    params.entries().into_iter().map(|entry| (entry.name, entry.var.as_detached_tensor())).collect()
}

/// The values of all variables, by full name.
fn snapshot(params: &Params) -> BTreeMap<String, Vec<f32>> {
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
    params.entries().iter().map(|entry| (entry.name.clone(), values(&entry.var))).collect()
}

fn save(tensors: &HashMap<String, Tensor>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    candle_core::safetensors::save(tensors, &path).unwrap();
    (folder, path)
}

fn read_bytes(bytes: &[u8]) -> c2f_backbone::Result<BTreeMap<String, Tensor>> {
    let (_folder, path) = common::file(bytes);
    read_weights(&path)
}

fn report(error: Error) -> LoadReport {
    let Error::DoNotFit { report, .. } = error else { panic!("{error}") };
    *report
}

#[test]
fn a_backbone_under_a_prefix_takes_weights_of_every_float_type() {
    for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
        let mut stored = tensors("c2f_tiny");
        for tensor in stored.values_mut() {
            *tensor = tensor.to_dtype(dtype).unwrap();
        }
        let expected: BTreeMap<String, Vec<f32>> = stored
            .iter()
            .map(|(name, tensor)| {
                let values = tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
                (format!("backbone.{name}"), values)
            })
            .collect();
        // What no backbone wants.
        stored.insert("fc.weight".into(), Tensor::zeros((10, 128), dtype, &Device::Cpu).unwrap());
        stored.insert("bn1.num_batches_tracked".into(), Tensor::zeros((), DType::I64, &Device::Cpu).unwrap());
        let (_folder, path) = save(&stored);

        let root = params(2);
        build("c2f_tiny", &root.at("backbone"), &FeatureConfig::default()).unwrap();
        assert_ne!(snapshot(&root), expected);
        let report = load_weights("c2f_tiny", &root.at("backbone"), &path).unwrap();
        assert_eq!(snapshot(&root), expected);
        assert_eq!((report.loaded, report.fits()), (expected.len(), true));
        assert_eq!(report.ignored, ["bn1.num_batches_tracked", "fc.weight"]);
    }
}

#[test]
fn a_second_set_of_statistics_starts_as_the_first() {
    let mut stored = tensors("c2f_tiny");
    stored.insert("bn1.running_mean".into(), Tensor::arange(0f32, 16., &Device::Cpu).unwrap());
    let (_folder, path) = save(&stored);
    let root = params(2).with_statistics(2);
    build("c2f_tiny", &root, &FeatureConfig::default()).unwrap();
    let report = load_weights("c2f_tiny", &root, &path).unwrap();
    assert_eq!(report.loaded, stored.len());
    let values = snapshot(&root);
    assert_eq!(values["bn1.running_mean"][3], 3.0);
    assert_eq!(values["bn1.fine_running_mean"], values["bn1.running_mean"]);
}

#[test]
fn every_difference_is_reported_and_nothing_changes() {
    let mut stored = tensors("c2f_tiny");
    stored.remove("layer2.0.conv1.weight");
    stored.insert("bn1.weight".into(), Tensor::zeros(8, DType::F32, &Device::Cpu).unwrap());
    stored.insert("layer9.weight".into(), Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap());
    let (_folder, path) = save(&stored);
    let root = params(2);
    build("c2f_tiny", &root, &FeatureConfig::default()).unwrap();
    let before = snapshot(&root);
    let error = load_weights("c2f_tiny", &root, &path).unwrap_err();
    let message = error.to_string();
    for part in [
        "missing layer2.0.conv1.weight [64, 32, 3, 3]",
        "unexpected layer9.weight [2, 3]",
        "bn1.weight is [8] in the file and [16] in the backbone",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let report = report(error);
    assert_eq!((report.missing.len(), report.unexpected.len(), report.mismatched.len()), (1, 1, 1));
    assert_eq!(report.loaded, stored.len() - 2);
    assert_eq!(snapshot(&root), before);
}

#[test]
fn weights_that_are_no_floats_change_nothing() {
    let mut stored = tensors("c2f_tiny");
    stored.insert("layer3.0.bn2.weight".into(), Tensor::zeros(128, DType::I64, &Device::Cpu).unwrap());
    let (_folder, path) = save(&stored);
    let root = params(2);
    build("c2f_tiny", &root, &FeatureConfig::default()).unwrap();
    let before = snapshot(&root);
    let message = load_weights("c2f_tiny", &root, &path).unwrap_err().to_string();
    assert!(message.contains("layer3.0.bn2.weight has type i64"), "{message}");
    assert_eq!(snapshot(&root), before);
}

#[test]
fn weights_of_another_backbone_name_it() {
    let (_folder, path) = save(&tensors("resnet18"));
    let root = params(2);
    build("resnet50", &root, &FeatureConfig::default()).unwrap();
    let before = snapshot(&root);
    let error = load_weights("resnet50", &root, &path).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("weights.safetensors") && message.contains("they fit resnet18"), "{message}");
    let Error::OtherBackbone { fits, .. } = error else { panic!("{error}") };
    assert_eq!(fits, ["resnet18"]);
    assert!(snapshot(&root) == before);
}

#[test]
fn a_view_without_the_backbone_is_an_error() {
    let (_folder, path) = save(&tensors("c2f_tiny"));
    let root = params(2);
    assert!(matches!(load_weights("c2f_tiny", &root, &path).unwrap_err(), Error::NotBuilt { .. }));
    build("resnet18", &root.at("other"), &FeatureConfig::default()).unwrap();
    let error = load_weights("c2f_tiny", &root.at("other"), &path).unwrap_err();
    assert!(error.to_string().contains("\"other\" aren't those of c2f_tiny"), "{error}");
}

#[test]
fn a_part_of_a_backbone_takes_its_part_of_a_whole_file() {
    let stored = tensors("c2f_tiny");
    let (_folder, path) = save(&stored);
    let root = params(2);
    let config = FeatureConfig { endpoint: Some("layer2".into()), freeze: None };
    let backbone = build("c2f_tiny", &root, &config).unwrap();
    assert_eq!(backbone.endpoint().channels, 64);
    let report = load_weights("c2f_tiny", &root, &path).unwrap();
    assert_eq!((report.loaded, report.ignored.len()), (root.entries().len(), stored.len() - root.entries().len()));
    assert!(report.ignored.iter().all(|name| name.starts_with("layer3.")), "{report}");
    for (name, values) in snapshot(&root) {
        assert_eq!(values, stored[&name].flatten_all().unwrap().to_vec1::<f32>().unwrap(), "{name}");
    }
    // What isn't made has to be in the file and fit all the same.
    let mut stored = stored;
    stored.remove("layer3.0.conv1.weight");
    let (_folder, path) = save(&stored);
    assert_eq!(self::report(load_weights("c2f_tiny", &root, &path).unwrap_err()).missing.len(), 1);
}

#[test]
fn an_extent_that_is_none_is_an_error_that_lists_the_endpoints() {
    let with = |endpoint: Option<&str>, freeze: Option<&str>| {
        let config = FeatureConfig { endpoint: endpoint.map(str::to_owned), freeze: freeze.map(str::to_owned) };
        build("inception_v3", &Params::zeros(&Device::Cpu, DType::F32), &config).err().unwrap().to_string()
    };
    assert!(with(Some("Mixed_6f"), None).contains("it has Conv2d_2b_3x3, Conv2d_4a_3x3, Mixed_5d, Mixed_6e, Mixed_7c"));
    assert!(with(None, Some("layer1")).contains("no endpoint \"layer1\""));
    assert!(with(Some("Mixed_5d"), Some("Mixed_6e")).contains("Mixed_6e, which lies behind the endpoint Mixed_5d"));
}

/// Names and shapes of a file, as zeros: names of other schemes than this crate's.
fn renamed(backbone: &str, rename: impl Fn(&str) -> String, reshape: impl Fn(&str) -> bool) -> HashMap<String, Tensor> {
    let params = Params::zeros(&Device::Cpu, DType::F32);
    build(backbone, &params, &FeatureConfig::default()).unwrap();
    let entry = |entry: c2f_ops::nn::Entry| {
        let tensor = entry.var.as_detached_tensor();
        let tensor = if reshape(&entry.name) { tensor.reshape(((), 1, 1)).unwrap() } else { tensor };
        (rename(&entry.name), tensor)
    };
    params.entries().into_iter().map(entry).collect()
}

#[test]
fn torchvisions_convnext_fits() {
    let rename = |name: &str| {
        let parts: Vec<&str> = name.split('.').collect();
        match *parts.as_slice() {
            ["stem", index, what] => format!("features.0.{index}.{what}"),
            ["stages", stage, "downsample", index, what] => {
                format!("features.{}.{index}.{what}", 2 * stage.parse::<usize>().unwrap())
            }
            ["stages", stage, "blocks", block, ref rest @ ..] => {
                let index = 2 * stage.parse::<usize>().unwrap() + 1;
                let layer = match *rest {
                    ["conv_dw", what] => format!("block.0.{what}"),
                    ["norm", what] => format!("block.2.{what}"),
                    ["mlp", "fc1", what] => format!("block.3.{what}"),
                    ["mlp", "fc2", what] => format!("block.5.{what}"),
                    ["gamma"] => "layer_scale".to_owned(),
                    _ => panic!("{name}"),
                };
                format!("features.{index}.{block}.{layer}")
            }
            _ => panic!("{name}"),
        }
    };
    let mut stored = renamed("convnext_tiny", rename, |name| name.ends_with("gamma"));
    stored.insert("classifier.2.weight".into(), Tensor::zeros((3, 768), DType::F32, &Device::Cpu).unwrap());
    let (_folder, path) = save(&stored);
    let inspection = inspect_weights(&path, Some("convnext_tiny")).unwrap();
    assert_eq!((inspection.naming, inspection.fits), (Some("torchvision"), vec!["convnext_tiny"]));
    let report = inspection.report.unwrap();
    assert!(report.fits(), "{report}");
    assert_eq!(report.ignored, ["classifier.2.weight"]);
}

#[test]
fn a_file_of_each_backbone_fits_it_and_no_other() {
    for name in names() {
        let (_folder, path) = save(&renamed(name, str::to_owned, |_| false));
        assert_eq!(inspect_weights(&path, None).unwrap().fits, [name]);
    }
}

#[test]
fn names_of_no_known_scheme_are_an_error() {
    let root = params(2);
    build("c2f_tiny", &root, &FeatureConfig::default()).unwrap();
    let error = load_weights("c2f_tiny", &root, &fixture("zip.pth")).unwrap_err();
    assert!(matches!(error, Error::UnknownNaming { .. }), "{error}");
    assert!(error.to_string().contains("channels_last"), "{error}");
}

#[test]
fn an_unknown_backbone_is_an_error() {
    let error = load_weights("resnet_18", &params(2), &fixture("zip.pth")).unwrap_err();
    assert!(error.to_string().contains("did you mean resnet18"), "{error}");
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

#[test]
fn pytorch_files_of_both_formats_are_read() {
    for name in ["zip.pth", "legacy.pth"] {
        let tensors = read_weights(&fixture(name)).unwrap();
        let shapes: Vec<_> = tensors.iter().map(|(name, t)| (name.as_str(), t.dims(), t.dtype())).collect();
        assert_eq!(
            shapes,
            [
                ("brain", &[2][..], DType::BF16),
                ("channels_last", &[1, 2, 3, 4], DType::F32),
                ("count", &[], DType::I64),
                ("double", &[], DType::F64),
                ("empty", &[0, 3], DType::F32),
                ("half", &[2], DType::F16),
                ("parameter", &[2], DType::F32),
                ("slice", &[2, 3], DType::F32),
                ("transposed", &[6, 4], DType::F32),
            ],
            "{name}"
        );
        let values = |name: &str| {
            let tensor = tensors[name].to_dtype(DType::F64).unwrap().flatten_all().unwrap();
            tensor.to_vec1::<f64>().unwrap()
        };
        assert_eq!(values("channels_last"), (0..24).map(f64::from).collect::<Vec<_>>());
        assert_eq!(values("slice"), [5., 6., 7., 8., 9., 10.]);
        assert_eq!(values("transposed")[..5], [0., 6., 12., 18., 1.]);
        assert_eq!(values("half"), [0.5, -2.0]);
        assert_eq!(values("brain"), [0.5, -2.0]);
        assert_eq!(values("double"), [0.1]);
        assert_eq!(values("parameter"), [1.0, 2.0]);
        assert_eq!(values("count"), [7.0]);
    }
}

#[test]
fn every_truncated_file_is_an_error() {
    let small = HashMap::from([("conv1.weight".to_owned(), Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap())]);
    let (_folder, path) = save(&small);
    let safetensors = std::fs::read(path).unwrap();
    for whole in [ZIP, LEGACY, &safetensors] {
        assert!(read_bytes(whole).is_ok());
        for end in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            let error = read_bytes(&whole[..end]).unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }), "{end}: {error}");
        }
    }
}

/// Whatever a damaged file says, reading it returns; values may differ, and that is all.
#[test]
fn no_damaged_byte_makes_the_reader_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    for whole in [ZIP, LEGACY] {
        let mut bytes = whole.to_vec();
        for at in 0..bytes.len() {
            for flip in [0x01, 0xff] {
                bytes[at] ^= flip;
                std::fs::write(&path, &bytes).unwrap();
                let _ = read_weights(&path);
                bytes[at] ^= flip;
            }
        }
    }
}

#[test]
fn other_files_are_errors_that_name_them() {
    let error = read_bytes(b"Some notes about the weights.\n").unwrap_err();
    assert!(error.to_string().contains("neither a safetensors file nor one of torch.save"), "{error}");
    let error = read_bytes(b"").unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    // A pickle of something else: 1.
    let error = read_bytes(b"\x80\x02K\x01.").unwrap_err();
    assert!(error.to_string().contains("not one of torch.save"), "{error}");
    let error = read_weights(Path::new("/no/such/file.pth")).unwrap_err();
    assert!(matches!(error, Error::Read { .. }) && error.to_string().contains("/no/such/file.pth"), "{error}");
}

/// A pickled state dict of the names and shapes of `c2f_tiny`, with `before` before each name; and its one storage.
fn pickled(before: &str) -> (Vec<u8>, Vec<u8>) {
    let mut longest = 0;
    let items = tensors("c2f_tiny").into_iter().map(|(name, value)| {
        let shape: Vec<u32> = value.dims().iter().map(|&n| n as u32).collect();
        let strides: Vec<u32> = value.stride().iter().map(|&n| n as u32).collect();
        longest = longest.max(value.elem_count());
        (format!("{before}{name}"), common::tensor(0, 0, &shape, &strides))
    });
    let items: Vec<_> = items.collect();
    let items: Vec<_> = items.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    (common::dict(&items), [0, 0, 0, 63].repeat(longest))
}

#[test]
fn state_dicts_under_every_usual_name_and_prefix_fit() {
    for (keys, before) in [
        (&["net"][..], ""),
        (&["model_state_dict"], "module."),
        (&["state_dict_ema"], "model."),
        (&["model", "state_dict"], "_orig_mod.module."),
        (&["state_dict"], "model.backbone."),
        (&["model_ema"], "module._orig_mod.encoder."),
        (&[], "net."),
    ] {
        let (mut pickle, storage) = pickled(before);
        for key in keys.iter().rev() {
            pickle = common::dict(&[("epoch", common::text("7")), (key, pickle)]);
        }
        let (_folder, path) = common::file(&common::zip(&[&pickle[..], b"."].concat(), &[&storage]));
        let root = params(2);
        build("c2f_tiny", &root, &FeatureConfig::default()).unwrap();
        let report = load_weights("c2f_tiny", &root, &path).unwrap();
        assert_eq!(report.loaded, root.entries().len(), "{keys:?} {before}");
        assert!(snapshot(&root).values().flatten().all(|&value| value == 0.5), "{keys:?} {before}");
    }
}

#[test]
fn averages_go_before_the_weights() {
    let state_dict = |storage| common::dict(&[("conv1.weight", common::tensor(storage, 0, &[1], &[1]))]);
    let both = common::dict(&[("state_dict", state_dict(0)), ("state_dict_ema", state_dict(1))]);
    let zip = common::zip(&[&both[..], b"."].concat(), &[&1_f32.to_le_bytes(), &2_f32.to_le_bytes()]);
    assert_eq!(read_bytes(&zip).unwrap()["conv1.weight"].to_vec1::<f32>().unwrap(), [2.0]);
}

#[test]
fn what_lies_beside_a_wrapped_network_is_ignored() {
    let mut stored: HashMap<_, _> =
        tensors("c2f_tiny").into_iter().map(|(name, tensor)| (format!("model.backbone.{name}"), tensor)).collect();
    stored.insert("model.projector.weight".into(), Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap());
    stored.insert("criterion.weight".into(), Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap());
    let (_folder, path) = save(&stored);
    let root = params(2);
    build("c2f_tiny", &root, &FeatureConfig::default()).unwrap();
    let report = load_weights("c2f_tiny", &root, &path).unwrap();
    assert_eq!(report.ignored, ["criterion.weight", "model.projector.weight"]);
}

#[test]
fn a_file_without_a_state_dict_says_what_it_has() {
    let pickle = common::dict(&[("weights_of_mine", common::dict(&[])), ("epoch", common::text("7"))]);
    let error = read_bytes(&common::zip(&[&pickle[..], b"."].concat(), &[])).unwrap_err().to_string();
    assert!(error.contains("called weights_of_mine, epoch") && error.contains("model_state_dict"), "{error}");
    let error = read_bytes(&common::zip(b"N.", &[])).unwrap_err().to_string();
    assert!(error.contains("save model.state_dict()"), "{error}");
}

#[test]
fn weights_that_are_not_finite_are_an_error_that_names_the_tensor() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut stored = tensors("c2f_tiny");
        let mut values = vec![0.0; 128];
        values[77] = bad;
        stored.insert("layer3.0.bn2.weight".into(), Tensor::from_vec(values, 128, &Device::Cpu).unwrap());
        let (_folder, path) = save(&stored);
        assert_eq!(inspect_weights(&path, None).unwrap().not_finite, ["layer3.0.bn2.weight"]);
        let root = params(2);
        build("c2f_tiny", &root, &FeatureConfig::default()).unwrap();
        let before = snapshot(&root);
        let message = load_weights("c2f_tiny", &root, &path).unwrap_err().to_string();
        assert!(
            message.contains("weights.safetensors") && message.contains("layer3.0.bn2.weight holds NaN"),
            "{message}"
        );
        assert_eq!(snapshot(&root), before);
        // What the network doesn't take does no harm.
        let config = FeatureConfig { endpoint: Some("layer1".into()), freeze: None };
        let part = params(2);
        build("c2f_tiny", &part, &config).unwrap();
        load_weights("c2f_tiny", &part, &path).unwrap();
    }
    assert!(inspect_weights(&fixture("zip.pth"), None).unwrap().not_finite.is_empty());
}
