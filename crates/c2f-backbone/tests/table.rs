//! What networks cost, counted, is what was published; and the tables of docs/backbones.md and docs/gpu.md are what the code says.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use c2f_backbone::{BackboneInfo, FeatureConfig, build, info, names};
use c2f_ops::nn::{Kind, Params, Pass};
use candle_core::{DType, Device, Tensor};
use tracing::field::{Field, Visit};
use tracing::subscriber::with_default;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Adds up what the operations report.
#[derive(Clone, Default)]
struct Count {
    multiply_adds: Arc<AtomicU64>,
    outputs: Arc<AtomicU64>,
}

impl<S: tracing::Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &tracing::Event, _: Context<S>) {
        event.record(&mut self.clone());
    }
}

impl Visit for Count {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "multiply_adds" => self.multiply_adds.fetch_add(value, Ordering::Relaxed),
            "outputs" => self.outputs.fetch_add(value, Ordering::Relaxed),
            _ => 0,
        };
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// What a network takes.
struct Cost {
    parameters: usize,
    /// Multiplications with an addition for one picture, in thousands of millions.
    products: f64,
    /// Values that its convolutions, fully connected layers and attention give for one picture.
    outputs: u64,
}

/// Of one picture of `size` pixels.
fn cost(name: &str, size: usize) -> Cost {
    let params = Params::zeros(&Device::Cpu, DType::F32);
    let backbone = build(name, &params, &FeatureConfig::default()).unwrap();
    let picture = Tensor::zeros((1, 3, size, size), DType::F32, &Device::Cpu).unwrap();
    let count = Count::default();
    let subscriber = tracing_subscriber::registry().with(count.clone());
    with_default(subscriber, || backbone.run(&picture, &Pass::eval()).unwrap());
    let parameters = params.entries().into_iter().filter(|entry| entry.kind == Kind::Parameter);
    Cost {
        parameters: parameters.map(|entry| entry.var.elem_count()).sum(),
        products: count.multiply_adds.load(Ordering::Relaxed) as f64 / 1e9,
        outputs: count.outputs.load(Ordering::Relaxed),
    }
}

/// Published figures, with the classifier that a backbone doesn't have: torchvision 0.26's weight enums (`_ops`), timm's
/// `results/benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv` for the transformers, and Google's README of EfficientNet-Lite.
const PUBLISHED: [(&str, usize, f64); 18] = [
    ("convnext_base", 224, 15.355),
    ("convnext_small", 224, 8.684),
    ("convnext_tiny", 224, 4.456),
    ("inception_v3", 299, 5.713),
    ("resnet101", 224, 7.801),
    ("resnet152", 224, 11.514),
    ("resnet18", 224, 1.814),
    ("resnet34", 224, 3.664),
    ("resnet50", 224, 4.089),
    ("tf_efficientnet_lite0", 224, 0.407),
    ("tf_efficientnet_lite1", 240, 0.631),
    ("tf_efficientnet_lite2", 260, 0.899),
    ("tf_efficientnet_lite3", 280, 1.44),
    ("tf_efficientnet_lite4", 300, 2.64),
    ("vgg16_bn", 224, 15.47),
    ("vgg19_bn", 224, 19.632),
    ("vit_base_patch16_224", 224, 17.58),
    ("vit_small_patch16_224", 224, 4.61),
];

#[test]
fn counted_products_are_the_published_ones() {
    for (name, size, published) in PUBLISHED {
        let counted = cost(name, size).products;
        // VGG's classifier alone has 0.12. Google's figures also have what BatchNorm and the ReLUs do.
        let classifier = if name.starts_with("vgg") { 0.1236 } else { 0.0 };
        let tolerance = if name.contains("lite") { 0.07 } else { 0.005 };
        let error = (counted + classifier) / published - 1.0;
        assert!(error.abs() < tolerance, "{name}: {counted} counted, {published} published");
    }
}

fn normalisation(info: &BackboneInfo) -> &'static str {
    match (info.mean, info.std) {
        (BackboneInfo::IMAGENET_MEAN, BackboneInfo::IMAGENET_STD) => "ImageNet's",
        ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5]) => "0.5, 0.5",
        _ => panic!("{}: a normalisation that the table has no word for", info.name),
    }
}

/// 1234567 as 1 234 567.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(" ")
}

#[test]
fn the_table_of_the_docs_is_true() {
    let docs = include_str!("../../../docs/backbones.md");
    let mut expected = String::new();
    for name in names() {
        let info = info(name).unwrap();
        let Cost { parameters, products, .. } = cost(name, info.input_size);
        let (parameters, padding) = (grouped(parameters), format!("{:?}", info.padding).to_lowercase());
        let (size, normalisation) = (info.input_size, normalisation(info));
        write!(expected, "| `{name}` | {parameters} | {products:.2} | {size} | {normalisation} | {padding} |").unwrap();
        for endpoint in info.endpoints {
            write!(expected, " `{}` {}/{},", endpoint.name, endpoint.channels, endpoint.stride).unwrap();
        }
        expected.pop();
        expected.push_str(" |\n");
    }
    assert!(docs.contains(&expected), "docs/backbones.md should have:\n{expected}");
}

/// An H100 SXM by NVIDIA's data sheet: bytes per second, and operations per second of dense products in bf16 and outside of the tensor
/// cores in f32.
const H100: (f64, f64, f64) = (3.35e12, 989e12, 67e12);

/// How often training a network moves an output of its convolutions between memory and the processor, and the bytes of a value: see docs/gpu.md.
const TODAY: (f64, f64) = (14.0, 4.0);
const PLANNED: (f64, f64) = (12.0, 2.0);

#[test]
fn the_floors_of_the_docs_are_true() {
    let docs = include_str!("../../../docs/gpu.md");
    let mut expected = String::new();
    for name in names() {
        let size = info(name).unwrap().input_size;
        let Cost { products, outputs, .. } = cost(name, size);
        // A multiplication and an addition, for the output and both gradients.
        let operations = products * 1e9 * 2.0 * 3.0;
        write!(expected, "| `{name}` | {size} | {:.1} | {:.1} |", outputs as f64 / 1e6, operations / 1e9).unwrap();
        for ((moves, bytes), peak) in [(TODAY, H100.2), (PLANNED, H100.1)] {
            let traffic = outputs as f64 * moves * bytes;
            let (memory, compute) = (traffic / H100.0 * 1e6, operations / peak * 1e6);
            let ceiling = (1e6 / memory.max(compute)).round();
            write!(expected, " {:.0} | {memory:.0} | {compute:.0} | {ceiling:.0} |", traffic / 1e6).unwrap();
        }
        expected.push('\n');
    }
    assert!(docs.contains(&expected), "docs/gpu.md should have:\n{expected}");
}
