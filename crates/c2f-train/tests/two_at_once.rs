//! Two processes never train into one folder.

mod common;

use std::path::Path;
use std::process::{Child, Output, Stdio};

use common::{one_line, program, run, succeed, text, train};

fn spawn(folder: &Path, arguments: &[&str]) -> Child {
    let mut command = program();
    command.args(arguments).current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Starts the pair and waits for both.
fn both(folder: &Path, arguments: &[&str]) -> [Output; 2] {
    [0, 1].map(|_| spawn(folder, arguments)).map(|child| child.wait_with_output().unwrap())
}

/// A tiny run of one epoch with the folder's own argument left to the caller.
fn one_epoch(output: &Path) -> Vec<&str> {
    train(output, &["--set", "method=attention", "--set", "epochs=1"])
}

fn is_whole(run: &Path) -> bool {
    ["config.toml", "metrics.jsonl", "report.html", "checkpoints/best.safetensors", "checkpoints/last.safetensors"]
        .iter()
        .all(|file| run.join(file).is_file())
        && common::metrics(run).len() == 1
}

/// Of two, one did it and the other said in one line whose folder it is, or that it holds a run already.
fn assert_one_each(outputs: &[Output; 2], name: &str) {
    let lost: Vec<&Output> = outputs.iter().filter(|output| !output.status.success()).collect();
    assert_eq!(lost.len(), 1, "{outputs:?}");
    let line = one_line(&["train"], &String::from_utf8_lossy(&lost[0].stderr));
    match lost[0].status.code() {
        Some(1) => assert!(line.contains(name) && line.contains("is being trained by process"), "{line}"),
        // It came when the other was through.
        Some(2) => assert!(line.contains("holds a run"), "{line}"),
        _ => panic!("{outputs:?}"),
    }
}

#[test]
fn pairs_without_a_folder_get_one_each() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = one_epoch(Path::new("unused"));
    let output = arguments.iter().position(|argument| *argument == "--output").unwrap();
    arguments.drain(output..output + 2);
    let children: Vec<Child> = (0..6).map(|_| spawn(folder.path(), &arguments)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for number in 1..=6 {
        assert!(is_whole(&folder.path().join(format!("runs/attention-{number}"))), "{number}");
    }
}

#[test]
fn pairs_with_the_same_folder_make_one_model() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..6 {
        let name = format!("run-{number}");
        let arguments = one_epoch(Path::new(&name));
        assert_one_each(&both(folder.path(), &arguments), &name);
        assert!(is_whole(&folder.path().join(name)));
    }
}

#[test]
fn a_run_is_resumed_once_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = folder.path().join("run");
    // Long enough that both are at it.
    let mut first = spawn(folder.path(), &train(&run_folder, &["--set", "epochs=2000"]));
    let last = run_folder.join("checkpoints/last.safetensors");
    while !last.is_file() {
        assert!(first.try_wait().unwrap().is_none(), "the run ended");
        std::thread::yield_now();
    }
    let resume = ["train", "--resume", "--output", text(&run_folder)];
    let second = run(&resume);
    let line = one_line(&resume, &String::from_utf8_lossy(&second.stderr));
    assert_eq!(second.status.code(), Some(1));
    assert!(line.contains(&format!("process {}", first.id())), "{line}");
    // The kernel takes the lock back, also from a process that had no time to.
    first.kill().unwrap();
    first.wait().unwrap();
    let mut third = spawn(folder.path(), &resume);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(third.try_wait().unwrap().is_none(), "it goes on");
    third.kill().unwrap();
    third.wait().unwrap();
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["report.html", "metrics.jsonl", "notes.txt"] {
        let own = folder.path().join(name.replace('.', "-"));
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join(name), "precious").unwrap();
        let line = common::fail(2, &one_epoch(&own));
        assert!(line.contains(text(&own)) && line.contains("isn't empty"), "{line}");
        assert_eq!(std::fs::read_dir(&own).unwrap().count(), 1);
        assert_eq!(std::fs::read_to_string(own.join(name)).unwrap(), "precious");
    }
    // An empty one is as good as none.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    succeed(&one_epoch(&empty));
    assert!(is_whole(&empty));
}
