//! A run that was killed or told to stop, and resumed, ends with the weights of an uninterrupted one, bit for bit.

#![cfg(unix)]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use common::{program, succeed, tensors, text, train};

/// Three epochs of 12 batches; a save after every second one.
const SETTINGS: [&str; 6] =
    ["--set", "epochs=3", "--set", "checkpoint.every_batches=2", "--set", "augment.brightness=0.2"];
const DATA: &str = "synthetic?classes=3&size=48";

/// The arguments of a new run, or of going on with it.
fn arguments(run: &Path) -> Vec<&str> {
    if run.join("config.toml").exists() {
        return vec!["train", "--resume", "--output", text(run)];
    }
    let mut arguments = train(run, &SETTINGS);
    arguments[2] = DATA;
    arguments
}

fn spawn(run: &Path) -> Child {
    let mut command = program();
    command.args(arguments(run)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
}

fn assert_same_tensors(run: &Path, reference: &Path) {
    let (run, reference) = (tensors(run), tensors(reference));
    assert_eq!(run.keys().collect::<Vec<_>>(), reference.keys().collect::<Vec<_>>());
    for (name, values) in &reference {
        assert!(run[name] == *values, "{name} differs");
    }
}

/// Waits for the process to get to a moment, or to its end; says whether it is still running.
fn wait_until(child: &mut Child, mut moment: impl FnMut() -> bool) -> bool {
    while child.try_wait().expect("the child's state").is_none() {
        if moment() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// Files of a save that isn't complete.
fn temporary_files(run: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else { return 0 };
    entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(".tmp")).count()
}

#[test]
fn killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    succeed(&arguments(&whole));

    // In the middle of a save: as soon as its temporary file is there. Some kills come too late, after the rename, so
    // until a file is left over.
    let mut left_over = 0;
    for _ in 0..30 {
        let before = temporary_files(&killed);
        let mut child = spawn(&killed);
        wait_until(&mut child, || temporary_files(&killed) > before);
        child.kill().expect("the process can be killed");
        child.wait().unwrap();
        left_over = temporary_files(&killed);
        if left_over > before {
            break;
        }
    }
    assert!(left_over > 0, "no kill hit a save");

    // Within epochs: a little later each time, so that each process gets further than the last.
    for attempt in 1..20 {
        let mut child = spawn(&killed);
        if !wait_until(&mut child, || {
            sleep(Duration::from_millis(150 * attempt));
            true
        }) {
            assert!(child.wait().unwrap().success());
            break;
        }
        child.kill().expect("the process can be killed");
        child.wait().unwrap();
    }
    succeed(&arguments(&killed));
    assert_same_tensors(&killed, &whole);
    // Each epoch has its line once.
    let epochs: Vec<u64> = common::metrics(&killed).iter().map(|r| r["epoch"].as_u64().unwrap()).collect();
    assert_eq!(epochs, [1, 2, 3]);
}

#[test]
fn told_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    succeed(&arguments(&whole));

    for (signal, status) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
        let mut command = program();
        command.args(arguments(&stopped)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let before = modified(&stopped);
        let mut child = command.spawn().unwrap();
        // After its first save the process trains.
        assert!(wait_until(&mut child, || modified(&stopped) > before), "the run ended before {signal}");
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{signal}: {stderr}");
        assert!(stdout.contains("train --resume --output") && !stderr.contains("panicked"), "{stdout}{stderr}");
        assert!(stopped.join("report.html").is_file());
        assert_eq!(temporary_files(&stopped), 0);
    }
    succeed(&arguments(&stopped));
    assert_same_tensors(&stopped, &whole);
}

#[test]
fn predict_and_embed_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (run, pictures) = (folder.path().join("run"), folder.path().join("pictures"));
    succeed(&train(&run, &["--set", "method=attention", "--set", "epochs=1"]));
    common::draw_pictures(&pictures, 2, |_| true);
    let (files, _) = c2f_data::pictures_below(&pictures).unwrap();
    // Copies under many names, since embeddings are of different pictures: more than are seen before the signal.
    let many = folder.path().join("many");
    std::fs::create_dir(&many).unwrap();
    for number in 0..5000 {
        std::fs::hard_link(&files[0], many.join(format!("{number}.png"))).unwrap();
    }
    for (command, output) in [("predict", "answers.csv"), ("embed", "embeddings.safetensors")] {
        let results = folder.path().join(command);
        std::fs::create_dir(&results).unwrap();
        let output = results.join(output);
        let format: &[&str] = if command == "predict" { &["--format", "csv"] } else { &[] };
        let mut told = program();
        told.args([command, "--checkpoint", text(&run), "--output", text(&output), text(&many)]).args(format);
        let mut child = told.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let has_begun = || std::fs::read_dir(&results).unwrap().count() > 0;
        assert!(wait_until(&mut child, has_begun), "{command} ended before the signal");
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(130), "{command}: {}", String::from_utf8_lossy(&ended.stderr));
        assert!(ended.stdout.is_empty(), "{}", String::from_utf8_lossy(&ended.stdout));
        let left: Vec<_> = std::fs::read_dir(&results).unwrap().flatten().map(|entry| entry.file_name()).collect();
        assert!(left.is_empty(), "{command} left {left:?}");
    }
}

/// When the last checkpoint was written.
fn modified(run: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(run.join("checkpoints/last.safetensors")).and_then(|m| m.modified()).ok()
}
