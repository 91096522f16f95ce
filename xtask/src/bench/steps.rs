//! Whole steps: training and prediction, c2f and PyTorch in turn.

use std::fmt;
use std::process::Command;

use anyhow::Result;

use super::programs::{Programs, Speed};
use crate::process::json;
use crate::table::{Table, digits, median, or_unknown};

/// Side of the pictures, in pixels.
const IMAGE_SIZE: u32 = 224;

const WORKLOADS: [Workload; 7] = [
    Workload { backbone: "resnet50", method: "baseline", mode: "train", image_size: IMAGE_SIZE, batch_size: 8 },
    Workload { backbone: LITE0, method: "baseline", mode: "train", image_size: IMAGE_SIZE, batch_size: 16 },
    Workload { backbone: "resnet50", method: "baseline", mode: "infer", image_size: IMAGE_SIZE, batch_size: 8 },
    Workload { backbone: LITE0, method: "baseline", mode: "infer", image_size: IMAGE_SIZE, batch_size: 16 },
    Workload { backbone: "inception_v3", method: "baseline", mode: "train", image_size: 299, batch_size: 4 },
    Workload { backbone: "inception_v3", method: "baseline", mode: "infer", image_size: 299, batch_size: 4 },
    Workload { backbone: LITE0, method: "coarse2fine", mode: "train", image_size: IMAGE_SIZE, batch_size: 16 },
];

/// The backbone of the recipe `default`.
pub const LITE0: &str = "tf_efficientnet_lite0";

/// What both sides can measure.
#[derive(Clone, Copy)]
pub struct Workload {
    pub backbone: &'static str,
    pub method: &'static str,
    pub mode: &'static str,
    pub image_size: u32,
    pub batch_size: u32,
}

impl Workload {
    /// One run of c2f.
    pub fn c2f(&self, programs: &Programs, steps: u32) -> Result<Speed> {
        let mut command = programs.c2f("c2f-train");
        command.args(["bench", "--json"]);
        json(self.with_arguments(command, steps))
    }

    /// One run of PyTorch.
    fn torch(&self, programs: &Programs, steps: u32) -> Result<Speed> {
        json(self.with_arguments(programs.torch("torch_step.py"), steps))
    }

    fn with_arguments(&self, mut command: Command, steps: u32) -> Command {
        command.args(["--backbone", self.backbone, "--method", self.method, "--mode", self.mode]);
        command.arg(format!("--image-size={}", self.image_size));
        command.arg(format!("--batch-size={}", self.batch_size));
        command.arg(format!("--steps={steps}"));
        command
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { backbone, method, mode, image_size, batch_size } = self;
        write!(f, "{method} {backbone} at {image_size}, batch {batch_size}, {mode}")
    }
}

/// Measures each workload `rounds` times on each side.
pub fn table(programs: &Programs, rounds: u32, steps: u32) -> Result<Table> {
    let columns = ["c2f images/s", "PyTorch images/s", "ratio", "c2f peak MB", "PyTorch peak MB", "ratio"];
    let mut table = Table::new(&[&["workload"], &columns[..]].concat());
    for workload in WORKLOADS {
        let (mut c2f, mut torch) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            let (ours, theirs) = (workload.c2f(programs, steps)?, workload.torch(programs, steps)?);
            eprintln!(
                "{workload}, round {round} of {rounds}: c2f {:.1} ms, PyTorch {:.1} ms",
                ours.step_ms_median, theirs.step_ms_median
            );
            c2f.push(ours);
            torch.push(theirs);
        }
        let batch = f64::from(workload.batch_size);
        table.push(row(workload.to_string(), &Side::new(batch, &c2f), &Side::new(batch, &torch)));
    }
    Ok(table)
}

/// The rounds of one side together.
struct Side {
    images_per_s: f64,
    peak_mb: Option<f64>,
}

impl Side {
    /// The speed at the median of the rounds' step times, and the largest of their peaks.
    fn new(batch: f64, rounds: &[Speed]) -> Self {
        let step_ms = median(rounds.iter().map(|speed| speed.step_ms_median).collect());
        let peak_mb = rounds.iter().filter_map(|speed| speed.peak_rss_mb).max_by(f64::total_cmp);
        Self { images_per_s: batch * 1e3 / step_ms, peak_mb }
    }
}

fn row(workload: String, c2f: &Side, torch: &Side) -> [String; 7] {
    let memory = c2f.peak_mb.zip(torch.peak_mb).map(|(ours, theirs)| ours / theirs);
    [
        workload,
        digits(c2f.images_per_s),
        digits(torch.images_per_s),
        digits(c2f.images_per_s / torch.images_per_s),
        or_unknown(c2f.peak_mb),
        or_unknown(torch.peak_mb),
        or_unknown(memory),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speed(step_ms_median: f64, peak_mb: f64) -> Speed {
        Speed { images_per_s: 0.0, step_ms_median, peak_rss_mb: Some(peak_mb) }
    }

    #[test]
    fn rounds_give_the_median_time_and_the_largest_peak() {
        let side = Side::new(8.0, &[speed(400.0, 900.0), speed(4000.0, 1000.0), speed(500.0, 950.0)]);
        assert_eq!((side.images_per_s, side.peak_mb), (16.0, Some(1000.0)));
    }

    #[test]
    fn ratios_are_c2f_to_pytorch() {
        let c2f = Side { images_per_s: 30.0, peak_mb: Some(500.0) };
        let torch = Side { images_per_s: 20.0, peak_mb: Some(2000.0) };
        let row = row("train".to_owned(), &c2f, &torch);
        assert_eq!(row, ["train", "30.0", "20.0", "1.50", "500", "2000", "0.25"].map(str::to_owned));
    }
}
