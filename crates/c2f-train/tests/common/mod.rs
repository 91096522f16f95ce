//! The program as a user runs it, on tiny runs.

// Each test binary uses its own part of this.
#![allow(dead_code)]

#[cfg(feature = "mpi")]
pub mod ranks;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use safetensors::SafeTensors;
use serde_json::Value;

/// Settings that make a run of a few seconds: two epochs, one of each stage, on 16 drawn pictures of 3 classes.
const TINY: [&str; 7] = [
    "backbone=c2f_tiny",
    "image_size=32",
    "batch_size=4",
    "epochs=2",
    "attention.maps=4",
    "inverse.channels=2",
    "inverse.coarse_epochs=1",
];

/// The data set of a tiny run.
pub const DATA: &str = "synthetic?classes=3&size=16";

/// The program, ready for arguments.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_c2f-train"));
    // What a developer has set, and what shows most.
    command.env_remove("RUST_LOG").env("RUST_BACKTRACE", "1");
    command
}

/// Runs the program with these arguments.
pub fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().expect("the program starts")
}

/// Runs the program, which must succeed; gives its stdout.
pub fn succeed(arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?} failed with {}: {stderr}", output.status);
    String::from_utf8(output.stdout).expect("stdout is UTF-8")
}

/// Runs the program, which must succeed; gives the JSON that its stdout is.
pub fn json(arguments: &[&str]) -> Value {
    let stdout = succeed(arguments);
    serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{arguments:?}: {e} in {stdout}"))
}

/// Runs the program, which must fail with this exit status, say why in exactly one line and not panic; gives the line.
pub fn fail(status: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {stderr}");
    one_line(arguments, &stderr)
}

/// The single line of an error.
pub fn one_line(arguments: &[&str], stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), 1, "{arguments:?}: {stderr}");
    assert!(lines[0].starts_with("error: ") && !lines[0].contains("panicked"), "{arguments:?}: {stderr}");
    lines[0].to_owned()
}

/// `train` with the settings of a tiny run, into `output`, and more arguments.
pub fn train<'a>(output: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["train", "--data", DATA, "--output", text(output)];
    arguments.extend(TINY.iter().flat_map(|assignment| ["--set", assignment]));
    arguments.extend(more);
    arguments
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The lines of a run's metrics.
pub fn metrics(run: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics.jsonl");
    lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Every tensor of the last checkpoint: weights, statistics and the optimiser's state.
pub fn tensors(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(run.join("checkpoints/last.safetensors")).expect("a checkpoint");
    let file = SafeTensors::deserialize(&bytes).expect("a whole checkpoint");
    let tensors: BTreeMap<_, _> = file.tensors().into_iter().map(|(name, t)| (name, t.data().to_vec())).collect();
    assert!(tensors.keys().any(|name| name.starts_with("optimizer.")), "the optimiser's state is saved");
    tensors
}

/// Draws `count` pictures of each class of [`DATA`] that `keep` wants into `folder/test/CLASS/N.png`.
pub fn draw_pictures(folder: &Path, count: usize, keep: impl Fn(&str) -> bool) {
    let spec = "synthetic?classes=3&size=64&seed=5".parse().expect("a spec");
    let dataset = c2f_data::open(&spec).expect("synthetic");
    for (label, class) in dataset.classes.iter().enumerate().filter(|(_, class)| keep(class)) {
        let folder = folder.join("test").join(class);
        std::fs::create_dir_all(&folder).expect("a folder");
        let samples = dataset.splits["train"].iter().filter(|sample| sample.label == label);
        for (index, sample) in samples.take(count).enumerate() {
            let picture = c2f_data::decode(sample).expect("a drawing");
            picture.save(folder.join(format!("{index}.png"))).expect("a picture");
        }
    }
}
