//! What a row costs: its speed, measured in turn with the other rows'.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::record::write_whole;
use super::train::Run;
use crate::process::json;
use crate::table::median;

/// How often each row is measured, in turn with the others.
const ROUNDS: usize = 3;
/// Steps of a measurement, after two of warm-up.
const STEPS: usize = 4;

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

/// The cost of each row, from the file of an earlier call or measured and written there.
///
/// # Errors
/// If the program fails or the file can't be read or written.
pub fn costs(path: &Path, program: &Path, runs: &[&Run]) -> Result<BTreeMap<String, Cost>> {
    let mut costs: BTreeMap<String, Cost> = BTreeMap::new();
    if path.exists() {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        costs = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    }
    if runs.iter().all(|run| costs.contains_key(&run.row)) {
        return Ok(costs);
    }
    let mut train: BTreeMap<&str, Vec<Speed>> = BTreeMap::new();
    let mut infer: BTreeMap<&str, Vec<Speed>> = BTreeMap::new();
    for round in 1..=ROUNDS {
        for run in runs {
            eprintln!("speed of {} on {}, round {round} of {ROUNDS}", run.row, run.data);
            for (mode, speeds) in [("train", &mut train), ("infer", &mut infer)] {
                speeds.entry(&run.row).or_default().push(measure(program, run, mode)?);
            }
        }
    }
    costs = runs
        .iter()
        .map(|run| {
            let speed = |speeds: &[Speed]| median(speeds.iter().map(|speed| speed.images_per_s).collect());
            let (train, infer) = (&train[run.row.as_str()], &infer[run.row.as_str()]);
            let cost = Cost {
                train_images_per_s: speed(train),
                infer_images_per_s: speed(infer),
                train_peak_mb: train.iter().filter_map(|speed| speed.peak_rss_mb).reduce(f64::max),
            };
            (run.row.clone(), cost)
        })
        .collect();
    write_whole(path, &serde_json::to_string_pretty(&costs)?)?;
    Ok(costs)
}

fn measure(program: &Path, run: &Run, mode: &str) -> Result<Speed> {
    let mut bench = Command::new(program);
    bench.args(["bench", "--json", "--mode", mode, "--device", &run.device, "--recipe"]).arg(&run.recipe);
    bench.args(["--steps", &STEPS.to_string()]);
    bench.args(run.asked.settings.iter().flat_map(|setting| ["--set", setting]));
    json(bench)
}
