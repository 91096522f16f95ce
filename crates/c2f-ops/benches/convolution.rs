//! Convolutions of ResNet-50 and EfficientNet-Lite0 at 224 pixels, batch 8, f32, channels-last: each of the three kernels.
//! Throughput is in floating-point operations (a multiplication and an addition are two).

use std::hint::black_box;
use std::time::Duration;

use c2f_ops::{Conv2dConfig, Format, Padding, conv2d};
use candle_core::{DType, Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 8;

struct Layer {
    name: &'static str,
    channels: (usize, usize),
    size: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

const fn layer(
    name: &'static str,
    channels: (usize, usize),
    size: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
) -> Layer {
    Layer { name, channels, size, kernel, stride, groups }
}

const LAYERS: [Layer; 15] = [
    layer("stem 7x7/2 3-64 at 224", (3, 64), 224, 7, 2, 1),
    layer("1x1 64-256 at 56", (64, 256), 56, 1, 1, 1),
    layer("1x1 256-64 at 56", (256, 64), 56, 1, 1, 1),
    layer("3x3 64-64 at 56", (64, 64), 56, 3, 1, 1),
    layer("3x3/2 128-128 at 56", (128, 128), 56, 3, 2, 1),
    layer("3x3 128-128 at 28", (128, 128), 28, 3, 1, 1),
    layer("3x3 256-256 at 14", (256, 256), 14, 3, 1, 1),
    layer("1x1 1024-256 at 14", (1024, 256), 14, 1, 1, 1),
    layer("3x3 512-512 at 7", (512, 512), 7, 3, 1, 1),
    layer("1x1 512-2048 at 7", (512, 2048), 7, 1, 1, 1),
    layer("1x1 16-96 at 112", (16, 96), 112, 1, 1, 1),
    layer("depthwise 3x3/2 96 at 112", (96, 96), 112, 3, 2, 96),
    layer("depthwise 3x3 144 at 56", (144, 144), 56, 3, 1, 144),
    layer("depthwise 5x5 240 at 28", (240, 240), 28, 5, 1, 240),
    layer("depthwise 5x5 672 at 14", (672, 672), 14, 5, 1, 672),
];

/// Values of -1..1 that don't repeat soon.
fn values(shape: impl Into<candle_core::Shape>) -> Tensor {
    let shape = shape.into();
    let values: Vec<f32> = (0..shape.elem_count()).map(|i| (i as f32 * 0.7).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap()
}

fn convolution(criterion: &mut Criterion) {
    c2f_ops::keep_freed_memory();
    let mut group = criterion.benchmark_group("convolution");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(10);
    for layer in &LAYERS {
        let Layer { channels: (inputs, outputs), size, kernel, stride, groups, .. } = *layer;
        let config = Conv2dConfig {
            stride: (stride, stride),
            padding: Padding::uniform((kernel - 1) / 2),
            groups,
            ..Conv2dConfig::default()
        };
        let x = values((BATCH, size, size, inputs));
        let weight = values((outputs, inputs / groups, kernel, kernel));
        let forward = |x: &Tensor, weight: &Tensor| conv2d(x, weight, None, &config, Format::ChannelsLast).unwrap();
        let y = forward(&x, &weight);
        let flops = 2 * y.elem_count() * (inputs / groups) * kernel * kernel;
        group.throughput(Throughput::Elements(flops as u64));
        group.bench_function(BenchmarkId::new("forward", layer.name), |b| b.iter(|| black_box(forward(&x, &weight))));
        let variable = |tensor: &Tensor| Var::from_tensor(tensor).unwrap();
        let (x_var, weight_var) = (variable(&x), variable(&weight));
        let to_input = forward(&x_var, &weight).sum_all().unwrap();
        let to_weight = forward(&x, &weight_var).sum_all().unwrap();
        group.bench_function(BenchmarkId::new("input gradient", layer.name), |b| {
            b.iter(|| black_box(to_input.backward().unwrap()));
        });
        group.bench_function(BenchmarkId::new("weight gradient", layer.name), |b| {
            b.iter(|| black_box(to_weight.backward().unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, convolution);
criterion_main!(benches);
