//! The programs that measure, and what they print.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Lines of a failed program's stderr that an error repeats: the end of a Python traceback.
const ERROR_LINES: usize = 6;

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

/// Runs a program that prints one JSON value.
pub fn json<T: DeserializeOwned>(command: Command) -> Result<T> {
    let name = format!("{command:?}");
    let text = output(command)?;
    serde_json::from_str(&text).with_context(|| format!("{name} printed something else than expected: {text}"))
}

/// Reads one JSON value per line; `name` is the program that printed them.
pub fn json_lines<T: DeserializeOwned>(name: &str, text: &str) -> Result<Vec<T>> {
    let value = |line: &str| {
        serde_json::from_str(line).with_context(|| format!("{name} printed something else than expected: {line}"))
    };
    text.lines().map(value).collect()
}

/// Runs a program and gives what it printed to stdout.
pub fn output(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} could not be started"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {}\n{}", output.status, last_lines(&said, ERROR_LINES));
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} printed something else than UTF-8"))
}

fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_error_is_kept() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }

    #[test]
    fn speeds_may_come_without_memory() {
        let line = r#"{"images_per_s": 2.0, "step_ms_median": 500.0, "peak_rss_mb": null}"#;
        let speeds: Vec<Speed> = json_lines("program", line).unwrap();
        assert_eq!((speeds[0].images_per_s, speeds[0].peak_rss_mb), (2.0, None));
    }

    #[test]
    fn errors_name_the_program() {
        let missing = output(Command::new("/no/such/python")).unwrap_err().to_string();
        assert!(missing.contains("/no/such/python"), "{missing}");
        let wrong = json_lines::<Speed>("program", "{}").unwrap_err().to_string();
        assert!(wrong.contains("program"), "{wrong}");
    }

    #[test]
    #[cfg(unix)]
    fn a_failed_program_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = output(command).unwrap_err().to_string();
        assert!(error.contains("sh") && error.contains('3') && error.contains("broken"), "{error}");
    }
}
