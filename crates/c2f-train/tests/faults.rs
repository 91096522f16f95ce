//! A run whose files can't be written: whichever call of it fails, it ends with one line that says so, its last checkpoint is
//! whole, and it goes on to the same weights. The same if it is killed at that call.

#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{program, succeed, tensors, text, train};
use tempfile::TempDir;

/// A folder with the shim, and a run that nothing happened to.
struct Bench {
    folder: TempDir,
    /// Every call of that run that changed something.
    calls: Vec<String>,
}

impl Bench {
    /// None, with a line that says why, where no C compiler is installed.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"])
            .arg(folder.path().join("shim.so"))
            .arg(source)
            .arg("-ldl")
            .status();
        let Ok(status) = built else {
            eprintln!("skipped: there is no C compiler `cc` to build the shim with");
            return None;
        };
        assert!(status.success(), "the shim doesn't compile");
        let mut bench = Self { folder, calls: Vec::new() };
        let log = bench.path("calls");
        let output = bench.run("whole", &[("FAULT_LOG", text(&log))]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        bench.calls = std::fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Two epochs of four batches, with a save in the middle of each.
    fn run(&self, name: &str, environment: &[(&str, &str)]) -> Output {
        let run = self.path(name);
        let settings = ["method=baseline", "checkpoint.every_batches=2", "loader.threads=1"];
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let mut command = program();
        command.args(train(&run, &settings)).env("LD_PRELOAD", self.path("shim.so")).env("FAULT_FOLDER", &run);
        command.envs(environment.iter().copied()).output().unwrap()
    }

    /// Lets every call of a run go wrong, one in each run, and checks how it ended; then that the run goes on.
    fn every_call(&self, kind: &str, check: impl Fn(&str, &Output) + Sync) {
        assert!(self.calls.len() > 50, "{:?}", self.calls);
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(call) = self.calls.get(index) else { return };
                        // On a full disk these succeed; what follows them is another case.
                        if kind == "full" && ["fsync", "unlink", "rmdir"].iter().any(|name| call.starts_with(name)) {
                            continue;
                        }
                        let name = format!("{kind}-{}", index + 1);
                        let output = self.run(&name, &[("FAULT_AT", &(index + 1).to_string()), ("FAULT_KIND", kind)]);
                        check(&format!("{name} ({call})"), &output);
                        self.goes_on(&name);
                    }
                });
            }
        });
    }

    fn goes_on(&self, name: &str) {
        let run = self.path(name);
        if run.join("config.toml").exists() {
            succeed(&["train", "--resume", "--output", text(&run)]);
        } else {
            let output = self.run(name, &[]);
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        }
        assert!(tensors(&run) == tensors(&self.path("whole")), "{name} ends with other weights");
        std::fs::remove_dir_all(run).unwrap();
    }
}

/// One line for what failed: an error, or a warning where the network was trained already.
fn says_so(call: &str, output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines = |word: &str| stderr.lines().filter(|line| line.contains(word)).count();
    let problems = (lines("error: "), lines("WARN"));
    assert!(!stderr.contains("panicked"), "{call}: {stderr}");
    match output.status.code() {
        Some(1) => assert_eq!(problems, (1, 0), "{call}: {stderr}"),
        Some(0) => assert_eq!(problems, (0, 1), "{call}: {stderr}"),
        other => panic!("{call}: {other:?}: {stderr}"),
    }
}

#[test]
fn a_call_that_fails() {
    let Some(bench) = Bench::new() else { return };
    bench.every_call("error", says_so);
}

#[test]
fn a_disk_that_is_full() {
    let Some(bench) = Bench::new() else { return };
    bench.every_call("full", says_so);
}

#[test]
fn killed_at_every_call() {
    let Some(bench) = Bench::new() else { return };
    bench.every_call("kill", |call, output| {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(output.status.signal(), Some(9), "{call}");
    });
}
