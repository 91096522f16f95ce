//! Every operation but the convolution, forward and with its gradient, on f32 maps as EfficientNet-Lite0 has them at 224
//! pixels, batch 8. Throughput is in values of the input.

use std::hint::black_box;
use std::time::Duration;

use c2f_ops::nn::{Conv2dOptions, ConvNormAct, ConvNormActOptions, ConvPadding, Params, Pass};
use c2f_ops::{
    Activation, Format, GridPadding, Maps, PoolConfig, Result, affine_grid, avg_pool2d, batch_norm_eval,
    batch_norm_train, global_avg_pool, grid_sample, max_pool2d, relu, relu6, resize_bilinear,
};
use candle_core::{DType, Device, Shape, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const LAST: Format = Format::ChannelsLast;

/// Values of -1..1 that don't repeat soon.
fn values(shape: impl Into<Shape>) -> Tensor {
    let shape = shape.into();
    let values: Vec<f32> = (0..shape.elem_count()).map(|i| (i as f32 * 0.7).sin()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

type Operation<'a> = Box<dyn Fn(&Tensor) -> Result<Tensor> + 'a>;

fn operations(criterion: &mut Criterion) {
    c2f_ops::keep_freed_memory();
    let x = Var::from_tensor(&values((8, 56, 56, 144))).unwrap();
    let (gamma, beta) = (values(144), values(144));
    let var = gamma.sqr().unwrap();
    let windows = PoolConfig { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
    let theta = values((8, 2, 3));
    let cases: [(&str, Operation); 10] = [
        ("relu", Box::new(relu)),
        ("relu6", Box::new(relu6)),
        ("batch_norm_train", Box::new(|x| Ok(batch_norm_train(x, &gamma, &beta, 1e-3, LAST)?.0))),
        ("batch_norm_eval", Box::new(|x| batch_norm_eval(x, &gamma, &beta, &beta, &var, 1e-3, LAST))),
        ("max_pool2d 3x3/2", Box::new(|x| max_pool2d(x, &windows, LAST))),
        ("avg_pool2d 3x3/2", Box::new(|x| avg_pool2d(x, &windows, true, LAST))),
        ("global_avg_pool", Box::new(|x| global_avg_pool(x, LAST))),
        ("resize_bilinear 56 to 112", Box::new(|x| resize_bilinear(x, (112, 112), false, LAST))),
        ("affine_grid and grid_sample", {
            let sample = |x: &Tensor| {
                let grid = affine_grid(&theta, (56, 56), false)?;
                grid_sample(x, &grid, GridPadding::Border, false, LAST)
            };
            Box::new(sample)
        }),
        ("maps and back", Box::new(|x| Maps::new(x, LAST)?.to_tensor(LAST))),
    ];
    let mut group = criterion.benchmark_group("operations");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(10);
    group.throughput(Throughput::Elements(x.elem_count() as u64));
    for (name, f) in &cases {
        let constant = x.as_detached_tensor();
        group.bench_function(BenchmarkId::new("forward", name), |b| b.iter(|| black_box(f(&constant).unwrap())));
        group.bench_function(BenchmarkId::new("forward and gradient", name), |b| {
            b.iter(|| black_box(f(&x).unwrap().sum_all().unwrap().backward().unwrap()));
        });
    }
    group.finish();
}

/// Convolution, BatchNorm and activation in one: the layers of the network's fourth block.
fn layers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv_norm_act");
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1)).sample_size(10);
    for (name, kernel, groups, inputs, outputs) in [
        ("1x1 24-144 at 56", 1, 1, 24, 144),
        ("depthwise 3x3 144 at 56", 3, 144, 144, 144),
        ("1x1 144-24 at 56", 1, 1, 144, 24),
    ] {
        let params = Params::new(&Device::Cpu, DType::F32, 0);
        let conv = Conv2dOptions { groups, padding: ConvPadding::Same, ..Conv2dOptions::default() };
        let activation = Activation::Relu6;
        let options = ConvNormActOptions { names: ("conv", "bn"), conv, eps: 1e-3, momentum: 0.1, activation };
        let layer = ConvNormAct::new(&params, inputs, outputs, (kernel, kernel), options).unwrap();
        let x = Var::from_tensor(&values((8, 56, 56, inputs))).unwrap();
        let forward = |x: &Tensor, pass: &Pass| layer.run(&Maps::new(x, LAST).unwrap(), pass).unwrap();
        group.throughput(Throughput::Elements((8 * 56 * 56 * outputs) as u64));
        let constant = x.as_detached_tensor();
        group.bench_function(BenchmarkId::new("prediction", name), |b| {
            b.iter(|| black_box(forward(&constant, &Pass::eval())));
        });
        group.bench_function(BenchmarkId::new("training", name), |b| {
            b.iter(|| {
                let y = forward(&x, &Pass::train()).to_tensor(LAST).unwrap();
                black_box(y.sum_all().unwrap().backward().unwrap())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, operations, layers);
criterion_main!(benches);
