//! Measures how fast the loader reads data sets for training: decoding, random resized crop, flip, normalisation, batches of
//! 32. They take turns of a few batches, so that whatever else the machine does slows all of them down alike.
//!
//! `cargo run --release -p c2f-data --example read -- SIZE THREADS SPEC SPEC` reads the splits `train`, once to fill the operating
//! system's cache and then five times, and prints a JSON object a time with each data set's pictures per second.

use std::time::{Duration, Instant};

use c2f_data::{Loader, LoaderConfig, Result, TrainTransform, Transform};

const ROUNDS: u64 = 5;
/// Batches of a turn.
const TURN: usize = 5;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [size, threads, specs @ ..] = arguments.as_slice() else {
        return Err("expected SIZE THREADS SPEC SPEC".into());
    };
    let size = size.parse()?;
    let config = LoaderConfig { threads: threads.parse()?, shuffle: true, ..LoaderConfig::default() };
    let loader = |spec: &String| -> Result<Loader> {
        let transform = TrainTransform { size, source_size: size, scale: (0.5, 1.0), ..TrainTransform::default() };
        let dataset = c2f_data::open(&spec.parse()?)?;
        Ok(Loader::new(dataset.split("train")?.into(), Transform::Train(transform), config.clone()))
    };
    let loaders = specs.iter().map(loader).collect::<Result<Vec<_>>>()?;
    for round in 0..=ROUNDS {
        let mut seen = vec![(0, Duration::ZERO); loaders.len()];
        let batches = loaders.iter().map(Loader::batches).max().unwrap_or(0);
        for first in (0..batches).step_by(TURN) {
            for (loader, (pictures, time)) in loaders.iter().zip(&mut seen) {
                let start = Instant::now();
                for batch in loader.epoch_of(round, first..first + TURN) {
                    *pictures += batch?.labels.len();
                }
                *time += start.elapsed();
            }
        }
        let rates: Vec<String> =
            seen.iter().map(|(pictures, time)| format!("{:.1}", *pictures as f64 / time.as_secs_f64())).collect();
        if round > 0 {
            println!(r#"{{"round": {round}, "images_per_s": [{}]}}"#, rates.join(", "));
        }
    }
    Ok(())
}
