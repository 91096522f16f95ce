//! The programs that measure, and what they print.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Where the programs lie, and how many threads each may use.
pub struct Programs {
    root: PathBuf,
    python: PathBuf,
    threads: u32,
}

/// What a run of a step's benchmark prints, on either side.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Speed {
    /// Pictures per second at the median step.
    pub images_per_s: f64,
    /// Median over the run's steps.
    pub step_ms_median: f64,
    /// The most memory that the process had resident; none where the operating system doesn't say.
    pub peak_rss_mb: Option<f64>,
}

impl Programs {
    /// The programs of the repository at `root`, with the interpreter for the scripts.
    pub fn new(root: &Path, python: &Path, threads: u32) -> Self {
        Self { root: root.to_path_buf(), python: python.to_path_buf(), threads }
    }

    /// Threads that each program may use.
    pub fn threads(&self) -> u32 {
        self.threads
    }

    /// A program of this workspace, as `cargo build --release` leaves it: `c2f-train`, or `examples/NAME`.
    pub fn c2f(&self, name: &str) -> Command {
        let mut command = Command::new(self.root.join("target/release").join(name));
        command.env("RAYON_NUM_THREADS", self.threads.to_string());
        command
    }

    /// A script of `xtask/bench`.
    pub fn torch(&self, script: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.root.join("xtask/bench").join(script)).arg(format!("--threads={}", self.threads));
        // Nothing is left beside the scripts.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    /// A file for what one program leaves for another.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.root.join("target").join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_may_come_without_memory() {
        let line = r#"{"images_per_s": 2.0, "step_ms_median": 500.0, "peak_rss_mb": null}"#;
        let speed: Speed = serde_json::from_str(line).unwrap();
        assert_eq!((speed.images_per_s, speed.peak_rss_mb), (2.0, None));
    }
}
