//! `c2f-train bench`.

use std::time::Instant;

use anyhow::{Context, Result};
use c2f_engine::{Inputs, Moment, Stepper};
use c2f_engine::{Network, Recipe};
use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{device, print, print_json};
use crate::bars;

/// As many as Caltech-UCSD Birds has.
const CLASSES: usize = 200;
/// The first steps allocate memory and start threads.
const WARM_UP: usize = 2;

#[derive(clap::Args)]
pub struct Args {
    /// A built-in recipe or a TOML file, whose settings are measured
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    recipe: String,
    /// Change a field of the recipe by its dotted name; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The feature extractor [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    backbone: Option<String>,
    /// The method [default: the recipe's]
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Side of the pictures in pixels
    #[arg(long, value_name = "N")]
    image_size: Option<usize>,
    /// Pictures in a batch
    #[arg(long, value_name = "N")]
    batch_size: Option<usize>,
    /// What to measure
    #[arg(long, value_enum, default_value = "train")]
    mode: Mode,
    /// Steps to measure, after two of warm-up
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// One JSON value
    #[arg(long)]
    json: bool,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Mode {
    /// Forward, backward and the optimiser's step, in the last stage of the method
    Train,
    /// Prediction
    Infer,
}

#[derive(Serialize)]
struct Speed {
    images_per_s: f64,
    step_ms_median: f64,
    /// Null where the operating system doesn't say.
    peak_rss_mb: Option<f64>,
}

pub fn run(args: &Args) -> Result<()> {
    let device = device(&args.device)?;
    let recipe = recipe(args)?;
    let classes = (0..CLASSES).map(|class| class.to_string()).collect();
    let network = Network::new(&recipe, classes, &device)?;
    let network = if args.mode == Mode::Infer { network.finished() } else { network };
    let inputs = random_inputs(&network, &device)?;
    let mut stepper = Stepper::new(&network)?;
    let steps = args.steps as usize;
    let bar = bars::bar("bench", WARM_UP + steps);
    let mut milliseconds = Vec::new();
    for step in 0..WARM_UP + steps {
        let start = Instant::now();
        match args.mode {
            Mode::Train => {
                let lr = recipe.optimizer.lr;
                // At the end of the training, when all that a recipe has is at work.
                let moment = Moment { batch: step as u64, progress: 1.0, lr };
                stepper.accumulate(&network, &inputs, network.stage, moment)?;
                stepper.update(&network, lr)?;
            }
            Mode::Infer => {
                network.predict(&inputs.images, inputs.source.as_ref())?;
            }
        }
        device.synchronize()?;
        if step >= WARM_UP {
            milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let step_ms_median = median(&mut milliseconds);
    let speed = Speed {
        images_per_s: recipe.batch_size as f64 * 1e3 / step_ms_median,
        step_ms_median,
        peak_rss_mb: peak_rss_mb(),
    };
    if args.json { print_json(&speed) } else { print(&table(&recipe, args.mode, &speed)) }
}

fn recipe(args: &Args) -> Result<Recipe> {
    let mut recipe = Recipe::load(&args.recipe)?;
    let text = |key: &str, value: &Option<String>| value.as_ref().map(|v| format!("{key}={v}"));
    let number = |key: &str, value: Option<usize>| value.map(|v| format!("{key}={v}"));
    let assignments = [
        text("backbone", &args.backbone),
        text("method", &args.method),
        number("image_size", args.image_size),
        number("batch_size", args.batch_size),
    ];
    for assignment in args.set.iter().chain(assignments.iter().flatten()) {
        recipe.set(assignment)?;
    }
    recipe.validate()?;
    Ok(recipe)
}

/// Pictures of noise with labels in turn.
fn random_inputs(network: &Network, device: &Device) -> Result<Inputs> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let batch = network.recipe.batch_size;
    let mut noise = |size: usize| {
        let pixels: Vec<f32> = (0..batch * 3 * size * size).map(|_| rng.random_range(-2.0..2.0)).collect();
        Tensor::from_vec(pixels, (batch, 3, size, size), device)
    };
    let (size, source_size) = (network.recipe.image_size, network.source_size());
    let labels: Vec<u32> = (0..batch).map(|i| (i % CLASSES) as u32).collect();
    Ok(Inputs {
        images: noise(size)?,
        source: (source_size != size).then(|| noise(source_size)).transpose()?,
        labels: Tensor::from_vec(labels, batch, device).context("labels")?,
        targets: None,
    })
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// The most memory that this process ever had resident, as Linux counts it.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

fn table(recipe: &Recipe, mode: Mode, speed: &Speed) -> String {
    let doing = match mode {
        Mode::Train => "training",
        Mode::Infer => "inference",
    };
    let memory = speed.peak_rss_mb.map_or("unknown".to_owned(), |mb| format!("{mb:.0} MB"));
    format!(
        "{} on {}, {doing}, batches of {} at {} pixels\n  images/s     {:>10.2}\n  ms per step  {:>10.1}  (median)\n  \
         peak memory  {memory:>10}",
        recipe.method, recipe.backbone, recipe.batch_size, recipe.image_size, speed.images_per_s, speed.step_ms_median,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn linux_says_how_much_memory_was_used() {
        assert!(peak_rss_mb().unwrap() > 1.0);
    }
}
