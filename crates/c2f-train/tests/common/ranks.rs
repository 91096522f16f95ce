//! Runs of several processes that OpenMPI starts.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::{metrics, program, tensors, text, train};

/// 48 pictures in batches of 4 make 12 batches: one step of 8 and one of 4, in which half of the ranks have nothing to do. Three epochs.
pub const TOGETHER: [&str; 6] =
    ["epochs=3", "optimizer.grad_accum_steps=8", "ema.decay=0.9", "loader.threads=1", "attention.maps=3", "seed=3"];
pub const DATA: &str = "synthetic?classes=3&size=48";
pub const CENTRES: &[&str] = &["loss.center_weight=1"];

/// The arguments of a new run.
pub fn arguments<'a>(run: &'a Path, settings: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = train(run, &[]);
    arguments[2] = DATA;
    arguments.extend(TOGETHER.iter().chain(settings).flat_map(|setting| ["--set", *setting]));
    arguments
}

/// OpenMPI's launcher; none, and a line that says so, where it isn't installed.
pub fn launcher() -> Option<Command> {
    let mut command = Command::new("mpirun");
    let there = Command::new("mpirun").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("skipped: there is no mpirun");
        return None;
    }
    command.args(["--oversubscribe", "--allow-run-as-root", "--bind-to", "none"]);
    command.env_remove("RUST_LOG").env("RAYON_NUM_THREADS", "1");
    Some(command)
}

pub fn launch(ranks: usize, arguments: &[&str]) -> Command {
    let mut command = launcher().unwrap();
    command.args(["-n", &ranks.to_string()]).arg(program().get_program()).args(arguments);
    command
}

pub fn together(ranks: usize, arguments: &[&str]) -> Output {
    let output = launch(ranks, arguments).output().unwrap();
    assert!(output.status.success(), "{ranks} ranks: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Same weights, statistics, centres, averages and optimiser's state; same numbers in each epoch's line, but for the time.
pub fn assert_same(run: &Path, one: &Path, what: &str) {
    let (ours, theirs) = (tensors(run), tensors(one));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{what}");
    for (name, values) in &theirs {
        assert!(ours[name] == *values, "{what}: {name} differs");
    }
    let lines = |run: &Path| {
        let mut lines = metrics(run);
        for line in &mut lines {
            for time in ["images_per_s", "seconds"] {
                line.as_object_mut().unwrap().remove(time);
            }
        }
        lines
    };
    assert_eq!(lines(run), lines(one), "{what}");
}

/// The processes below `launcher` that do this rank's work.
pub fn find_rank(run: &Path, rank: usize) -> Option<String> {
    let variable = format!("OMPI_COMM_WORLD_RANK={rank}");
    let is_it = |process: &Path| {
        let read = |file: &str| std::fs::read(process.join(file)).unwrap_or_default();
        let has = |bytes: &[u8], text: &str| bytes.split(|byte| *byte == 0).any(|part| part == text.as_bytes());
        has(&read("cmdline"), text(run)) && has(&read("environ"), &variable)
    };
    let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    processes.filter(|process| is_it(process)).find_map(|p| Some(p.file_name()?.to_str()?.to_owned()))
}

pub fn signal(process: &str, signal: &str) {
    assert!(Command::new("kill").args([signal, process]).status().unwrap().success());
}

/// Starts a run and waits for its first checkpoint.
pub fn started(ranks: usize, run: &Path, arguments: &[&str]) -> Child {
    let mut child = launch(ranks, arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !run.join("checkpoints/last.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before its first save");
        std::thread::yield_now();
    }
    child
}
