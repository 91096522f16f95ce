//! `steps.jsonl`: a line for every so many batches.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use c2f_engine::Event;
use serde_json::{Map, Value, json};
use tracing::warn;

/// The file in the run's folder. A training that can't write it goes on without.
pub struct StepLog {
    path: PathBuf,
    every: usize,
    file: Option<File>,
}

/// The longest file that a resumed run goes on with, in bytes.
const LONGEST: u64 = 1 << 30;

impl StepLog {
    /// Of a run in the folder `run`, for every so many batches. Nothing is written before it begins.
    pub fn new(run: &Path, every: usize) -> Self {
        Self { path: run.join("steps.jsonl"), every, file: None }
    }

    /// Writes what an event says, if it is one of a batch whose turn it is.
    pub fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Start { batches, resumed, .. } => {
                let done = resumed.map_or(0, |(epoch, done)| (epoch - 1) * batches + done);
                self.file = self.open(done).map_err(|error| give_up(&error)).ok();
            }
            Event::Batch { epoch, stage, done, of, terms, grad_norm, lr, images_per_s, .. }
                if done.is_multiple_of(self.every) || done == of =>
            {
                let loss: f64 = terms.iter().map(|(_, value)| value).sum();
                let terms: Map<String, Value> =
                    terms.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                let line = json!({
                    "step": (epoch - 1) * of + done,
                    "epoch": epoch,
                    "stage": stage,
                    "loss": loss,
                    "terms": terms,
                    "grad_norm": grad_norm,
                    "lr": lr,
                    "images_per_s": images_per_s,
                });
                self.write(&format!("{line}\n"));
            }
            _ => {}
        }
    }

    /// The file without the lines of batches that come again, since the run was killed after them.
    fn open(&self, done: usize) -> Result<File, c2f_files::Error> {
        let kept = if self.path.exists() { c2f_files::text(&self.path, LONGEST)? } else { String::new() };
        let step = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("step")?.as_u64();
        let kept = kept.lines().filter(|line| step(line).is_some_and(|step| step <= done as u64));
        let kept: String = kept.flat_map(|line| [line, "\n"]).collect();
        c2f_files::atomic::write(&self.path, kept.as_bytes())?;
        let io = |source| c2f_files::Error::io(&self.path, source);
        File::options().append(true).open(&self.path).map_err(io)
    }

    fn write(&mut self, line: &str) {
        if let Some(file) = &mut self.file
            && let Err(source) = file.write_all(line.as_bytes())
        {
            give_up(&c2f_files::Error::io(&self.path, source));
            self.file = None;
        }
    }
}

fn give_up(error: &c2f_files::Error) {
    warn!("no more lines by steps: {error}");
}
