//! Whatever happens to one of two processes that train together, at whatever moment: both end with an error and in time, the last
//! checkpoint is whole, and the run goes on to the bits of an undisturbed one.

#![cfg(all(feature = "mpi", target_os = "linux"))]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::ranks::{CENTRES, arguments, assert_same, find_rank, launch, launcher, signal, started, together};
use common::{succeed, tensors, text};

/// A save after every step.
const SAVES: &str = "checkpoint.every_batches=1";
/// How long a process of the test may wait for others.
const TIMEOUT: &str = "3";
/// Far longer than that, and than any of these runs: who is still there then hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is left of a run that was disturbed: it can be read, and goes on, by one process or by two, to the same weights.
fn goes_on(run: &Path, whole: &Path, settings: &[&str], ranks: usize, what: &str) {
    let checkpoints: Vec<PathBuf> = std::fs::read_dir(run.join("checkpoints"))
        .map(|files| files.map(|file| file.unwrap().path()).collect())
        .unwrap_or_default();
    if checkpoints.iter().any(|path| path.ends_with("last.safetensors")) {
        assert!(tensors(run).len() > 10, "{what}");
    }
    let resume = ["train", "--resume", "--output", text(run)];
    let anew = arguments(run, settings);
    let arguments = if run.join("config.toml").exists() { &resume[..] } else { &anew };
    if ranks == 1 {
        succeed(arguments);
    } else {
        together(ranks, arguments);
    }
    assert_same(run, whole, what);
}

/// Waits for the launcher, which must not hang.
fn end_of(mut child: Child, what: &str) -> Output {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{what}: still there after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

/// Kills a rank, in turn each, at so many moments that are spread over the run, in the launcher's first milliseconds and at its end.
fn killed_at(moments: u32) {
    let Some(_) = launcher() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (whole, two) = (folder.path().join("whole"), folder.path().join("two"));
    let settings = [CENTRES, &[SAVES]].concat();
    succeed(&arguments(&whole, &settings));
    let begun = Instant::now();
    together(2, &arguments(&two, &settings));
    let length = begun.elapsed();

    let mut killed = 0;
    for moment in 0..moments {
        let rank = moment as usize % 2;
        let run = folder.path().join(format!("killed-{moment}"));
        let what = format!("rank {rank} at moment {moment} of {moments}");
        let mut child =
            launch(2, &arguments(&run, &settings)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let at = Instant::now() + length * moment / moments;
        let process = loop {
            let process = find_rank(&run, rank);
            let has_ended = child.try_wait().unwrap().is_some();
            if has_ended || (process.is_some() && Instant::now() >= at) {
                break process.filter(|_| !has_ended);
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        // One that has just ended by itself isn't killed any more.
        let is_killed = process.is_some_and(|process| {
            Command::new("kill").args(["-KILL", &process]).stderr(Stdio::null()).status().unwrap().success()
        });
        let output = end_of(child, &what);
        let stderr = String::from_utf8_lossy(&output.stderr);
        // A rank that had come to its end has saved everything.
        if is_killed && !run.join("report.html").exists() {
            assert!(!output.status.success(), "{what}: {stderr}");
            killed += 1;
        }
        assert!(find_rank(&run, 0).or(find_rank(&run, 1)).is_none(), "{what}: a process is left");
        goes_on(&run, &whole, &settings, 1 + moment as usize / 2 % 2, &what);
        std::fs::remove_dir_all(&run).unwrap();
    }
    assert!(killed * 2 >= moments, "{killed} of {moments} runs were killed before their ends");
    println!("{killed} of {moments} runs were killed before their ends");
}

#[test]
fn a_rank_is_killed_at_some_moments() {
    killed_at(4);
}

/// Two minutes: `cargo test --workspace --features c2f-train/mpi --test rank_faults -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn a_rank_is_killed_at_many_moments() {
    killed_at(20);
}

#[test]
fn a_rank_that_stops_for_longer_than_the_timeout() {
    let Some(_) = launcher() else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    // Long enough that it is still there after its first save.
    let settings = [CENTRES, &[SAVES, "epochs=8"]].concat();
    succeed(&arguments(&whole, &settings));
    for rank in [0, 1] {
        let run = folder.path().join(format!("stopped-{rank}"));
        let what = format!("rank {rank} stopped");
        let child = started(2, &run, &[&arguments(&run, &settings)[..], &["--timeout", TIMEOUT]].concat());
        signal(&find_rank(&run, rank).unwrap(), "-STOP");
        let output = end_of(child, &what);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let named = [format!("no word from rank {rank} for {TIMEOUT} s"), format!("nothing came for {TIMEOUT} s")];
        assert!(!output.status.success() && named.iter().any(|text| stderr.contains(text)), "{what}: {stderr}");
        assert!(find_rank(&run, rank).is_none(), "{what}: it is left");
        goes_on(&run, &whole, &settings, 1 + rank, &what);
    }
}

/// A file system of a few bytes in memory, which only root can make.
struct Disk(PathBuf);

impl Disk {
    /// None, with a line that says so, where it can't be made.
    fn new(folder: &Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs", text(folder)]).stderr(Stdio::null());
        let is_there = mount.status().is_ok_and(|status| status.success());
        if !is_there {
            println!("skipped: a file system in memory can't be mounted here");
            return None;
        }
        Some(Self(folder.to_owned()))
    }

    fn grow(&self) {
        let grown = Command::new("mount").args(["-o", "remount,size=64m", text(&self.0)]).status().unwrap();
        assert!(grown.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn the_disk_of_the_first_rank_is_full() {
    let Some(_) = launcher() else { return };
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let settings = [CENTRES, &[SAVES]].concat();
    succeed(&arguments(&whole, &settings));
    let checkpoint = std::fs::metadata(whole.join("checkpoints/last.safetensors")).unwrap().len();
    // At the first save, and while the second one is beside it.
    for percent in [50, 120, 180] {
        let what = format!("a disk of {percent} % of a checkpoint");
        let Some(disk) = Disk::new(&folder.path().join(percent.to_string()), checkpoint * percent / 100) else {
            return;
        };
        let run = disk.0.join("run");
        let child =
            launch(2, &arguments(&run, &settings)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let output = end_of(child, &what);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{what}: {stderr}");
        assert_eq!(stderr.matches("error: rank 0 of 2: ").count(), 1, "{what}: {stderr}");
        assert!(stderr.contains("No space left on device") && !stderr.contains("panicked"), "{what}: {stderr}");
        disk.grow();
        goes_on(&run, &whole, &settings, 2, &what);
    }
}
