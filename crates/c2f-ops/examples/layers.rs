//! Measures convolutions of ResNet-50 and EfficientNet-Lite0, batch 8, f32: this crate's, channels-last, and candle's.
//!
//! `cargo run --release -p c2f-ops --example layers` prints a JSON object per layer: what it is, and GFLOP/s, a
//! multiplication and an addition being two operations. `backward` is the input's and the weight's gradient together.
//! With `--about` it only says which instructions this crate uses. `cargo xtask bench` sets PyTorch beside it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use c2f_ops::{Conv2dConfig, Format, Padding, Result, conv2d};
use candle_core::{DType, Device, Tensor, Var};
use layers::{BATCH, LAYERS, Layer};

#[path = "../benches/common/layers.rs"]
mod layers;

/// Runs of one operation go on for this long ...
const BUDGET: Duration = Duration::from_millis(300);
/// ... but there are no more than this many.
const MOST_RUNS: usize = 15;

/// Seconds of one run.
struct Times {
    forward: f64,
    backward: f64,
}

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--about") {
        println!(r#"{{"instruction_set": "{}"}}"#, c2f_ops::instruction_set());
        return Ok(());
    }
    c2f_ops::keep_freed_memory();
    for layer in &LAYERS {
        report(layer)?;
    }
    Ok(())
}

/// Measures a layer and prints its line.
fn report(layer: &Layer) -> Result<()> {
    let Layer { name, inputs, outputs, size, kernel, stride, groups } = *layer;
    let (ours, candle) = (measure_ours(layer)?, measure_candle(layer)?);
    let places = ((size - 1) / stride + 1).pow(2);
    let giga = (2 * BATCH * places * outputs * (inputs / groups) * kernel * kernel) as f64 / 1e9;
    let numbers = [
        ("batch", BATCH as f64),
        ("inputs", inputs as f64),
        ("outputs", outputs as f64),
        ("size", size as f64),
        ("kernel", kernel as f64),
        ("stride", stride as f64),
        ("groups", groups as f64),
        ("forward", giga / ours.forward),
        ("backward", 2.0 * giga / ours.backward),
        ("candle_forward", giga / candle.forward),
        ("candle_backward", 2.0 * giga / candle.backward),
    ];
    let fields = numbers.map(|(key, value)| format!(r#""{key}": {value}"#)).join(", ");
    println!(r#"{{"name": "{name}", {fields}}}"#);
    Ok(())
}

fn measure_ours(layer: &Layer) -> Result<Times> {
    let config = Conv2dConfig {
        stride: (layer.stride, layer.stride),
        padding: Padding::uniform((layer.kernel - 1) / 2),
        groups: layer.groups,
        ..Conv2dConfig::default()
    };
    measure((BATCH, layer.size, layer.size, layer.inputs), layer, |x, weight| {
        conv2d(x, weight, None, &config, Format::ChannelsLast)
    })
}

fn measure_candle(layer: &Layer) -> Result<Times> {
    measure((BATCH, layer.inputs, layer.size, layer.size), layer, |x, weight| {
        Ok(x.conv2d(weight, (layer.kernel - 1) / 2, layer.stride, 1, layer.groups)?)
    })
}

/// Times of `forward`, a convolution of maps of shape `x` with the layer's weight.
fn measure(
    x: (usize, usize, usize, usize),
    layer: &Layer,
    forward: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
) -> Result<Times> {
    let x = values(x)?;
    let weight = values((layer.outputs, layer.inputs / layer.groups, layer.kernel, layer.kernel))?;
    let y = forward(Var::from_tensor(&x)?.as_tensor(), Var::from_tensor(&weight)?.as_tensor())?;
    // Backward starts from a sum, whose own part is not the convolution's.
    let sum = Var::from_tensor(&y.detach())?.sum_all()?;
    let whole = y.sum_all()?;
    let backward = |loss: &Tensor| median_seconds(|| Ok(loss.backward()?));
    Ok(Times { forward: median_seconds(|| forward(&x, &weight))?, backward: backward(&whole)? - backward(&sum)? })
}

/// Median of the runs that start within the budget, the first of them left out. A run that takes longer than the whole
/// budget counts itself: candle's gradients would take minutes otherwise.
fn median_seconds<T>(run: impl Fn() -> Result<T>) -> Result<f64> {
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.is_empty() || (times.len() <= MOST_RUNS && start.elapsed() < BUDGET) {
        let begin = Instant::now();
        drop(black_box(run()?));
        times.push(begin.elapsed().as_secs_f64());
    }
    if times.len() > 1 {
        times.remove(0);
    }
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    Ok(if times.len() % 2 == 1 { times[middle] } else { f64::midpoint(times[middle - 1], times[middle]) })
}

/// Values of -1..1 that don't repeat soon.
fn values(shape: (usize, usize, usize, usize)) -> Result<Tensor> {
    let (a, b, c, d) = shape;
    let values: Vec<f32> = (0..a * b * c * d).map(|i| (i as f32 * 0.7).sin()).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_dtype(DType::F32)?)
}
