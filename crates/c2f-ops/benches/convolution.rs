//! Convolutions of ResNet-50 and EfficientNet-Lite0 at 224 pixels, batch 8, f32, channels-last: each of the three kernels.
//! Throughput is in floating-point operations (a multiplication and an addition are two).

use std::hint::black_box;
use std::time::Duration;

use c2f_ops::{Conv2dConfig, Format, Padding, conv2d};
use candle_core::{DType, Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use layers::{BATCH, LAYERS, Layer};

#[path = "common/layers.rs"]
mod layers;

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
        let Layer { name, inputs, outputs, size, kernel, stride, groups } = *layer;
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
        group.bench_function(BenchmarkId::new("forward", name), |b| b.iter(|| black_box(forward(&x, &weight))));
        let variable = |tensor: &Tensor| Var::from_tensor(tensor).unwrap();
        let (x_var, weight_var) = (variable(&x), variable(&weight));
        let to_input = forward(&x_var, &weight).sum_all().unwrap();
        let to_weight = forward(&x, &weight_var).sum_all().unwrap();
        group.bench_function(BenchmarkId::new("input gradient", name), |b| {
            b.iter(|| black_box(to_input.backward().unwrap()));
        });
        group.bench_function(BenchmarkId::new("weight gradient", name), |b| {
            b.iter(|| black_box(to_weight.backward().unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, convolution);
criterion_main!(benches);
