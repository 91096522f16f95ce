//! What a row costs: its speed, measured in turn with the other rows'.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::files::{read_json, write_whole};
use super::record::Made;
use super::train::Run;
use crate::process;
use crate::table::median;

/// How often each row is measured, in turn with the others.
const ROUNDS: usize = 5;
/// Steps of a measurement, after two of warm-up.
const STEPS: usize = 4;

/// What each row costs.
#[derive(Serialize, Deserialize)]
pub struct Costs {
    /// Where and when all of it was measured.
    pub made: Made,
    /// By the row's name.
    pub rows: BTreeMap<String, Cost>,
}

/// Speed in the method's last stage, on noise, so that no reading of pictures takes part.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Pictures per second in training.
    pub train_images_per_s: f64,
    /// Pictures per second in prediction.
    pub infer_images_per_s: f64,
    /// The most memory that training had resident, in MB.
    pub train_peak_mb: Option<f64>,
}

#[derive(Deserialize)]
struct Speed {
    images_per_s: f64,
    peak_rss_mb: Option<f64>,
}

/// Measures the rows of `runs` in turn and writes the file of [`Costs`], unless it has all of them: speeds of different days
/// can't be compared.
///
/// # Errors
/// If the program fails or the file can't be read or written.
pub fn measure(path: &Path, program: &Path, made: &Made, runs: &[&Run]) -> Result<()> {
    let known: Option<Costs> = read_json(path)?;
    if runs.iter().all(|run| known.as_ref().is_some_and(|costs| costs.rows.contains_key(&run.row))) {
        return Ok(());
    }
    let costs = Costs { made: made.clone(), rows: measure_in_turn(program, runs)? };
    write_whole(path, &serde_json::to_string_pretty(&costs)?)
}

fn measure_in_turn(program: &Path, runs: &[&Run]) -> Result<BTreeMap<String, Cost>> {
    let mut train: BTreeMap<&str, Vec<Speed>> = BTreeMap::new();
    let mut infer: BTreeMap<&str, Vec<Speed>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        for run in runs {
            eprintln!("speed of {} on {}, round {round} of {ROUNDS}", run.row, run.data);
            for (mode, speeds) in [("train", &mut train), ("infer", &mut infer)] {
                speeds.entry(&run.row).or_default().push(bench(program, run, mode)?);
            }
        }
    }
    let costs = runs.iter().map(|run| {
        let speed = |speeds: &[Speed]| median(speeds.iter().map(|speed| speed.images_per_s).collect());
        let (train, infer) = (&train[run.row.as_str()], &infer[run.row.as_str()]);
        let cost = Cost {
            train_images_per_s: speed(train),
            infer_images_per_s: speed(infer),
            train_peak_mb: train.iter().filter_map(|speed| speed.peak_rss_mb).reduce(f64::max),
        };
        (run.row.clone(), cost)
    });
    Ok(costs.collect())
}

fn bench(program: &Path, run: &Run, mode: &str) -> Result<Speed> {
    let mut bench = Command::new(program);
    bench.args(["bench", "--json", "--mode", mode, "--device", &run.device, "--recipe"]).arg(&run.recipe);
    bench.args(["--steps", &STEPS.to_string()]);
    bench.args(run.asked.settings.iter().flat_map(|setting| ["--set", setting]));
    process::json(bench)
}
