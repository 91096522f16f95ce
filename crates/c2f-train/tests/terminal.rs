//! What the program says steers no terminal, and nobody listening stops nothing.

#![cfg(target_os = "linux")]

mod common;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{DATA, draw_pictures, json, program, run, succeed, text, train};

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// A run of one epoch.
fn one_epoch(output: &Path) -> Vec<&str> {
    train(output, &["--set", "method=attention", "--set", "epochs=1"])
}

fn is_whole(run: &Path) -> bool {
    ["report.html", "checkpoints/best.safetensors"].iter().all(|file| run.join(file).is_file())
}

/// No character but line ends and tabs that a terminal would act upon.
fn assert_harmless(text: &str) {
    let acts = |c: char| c.is_control() && c != '\n' && c != '\t' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(acts), "{text:?}");
}

#[test]
fn a_training_goes_on_where_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    let mut command = program();
    command.args(one_epoch(&closed)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // As `2>&1 | head -1` does, which is gone by the next line.
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(is_whole(&closed));

    let full_errors = folder.path().join("full-errors");
    let mut command = program();
    let status = command.args(one_epoch(&full_errors)).env("RUST_LOG", "trace").stdout(Stdio::null()).stderr(full());
    assert_eq!(status.status().unwrap().code(), Some(0));
    assert!(is_whole(&full_errors));

    // Results that can't be written are an error, but nothing else is lost by it.
    let full_results = folder.path().join("full-results");
    let mut command = program();
    let output = command.args(one_epoch(&full_results)).stdout(full()).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: stdout"), "{output:?}");
    assert!(is_whole(&full_results));
}

#[test]
fn errors_have_their_status_where_nobody_listens() {
    for (arguments, status) in [
        (vec!["eval", "--checkpoint", "/no/such", "--data", DATA], 1),
        (vec!["train", "--recipy", "x"], 2),
        (vec!["train", "--set", "epochs=0"], 2),
        (vec!["--help"], 0),
    ] {
        for (stdout, stderr) in [(full(), full()), (Stdio::null(), full())] {
            let code = program().args(&arguments).stdout(stdout).stderr(stderr).status().unwrap().code();
            assert_eq!(code, Some(status), "{arguments:?}");
        }
    }
}

#[test]
fn names_of_classes_and_files_are_shown_and_not_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 6, |_| true);
    let pictures = folder.path().join("test");
    let classes: Vec<_> = std::fs::read_dir(&pictures).unwrap().map(|entry| entry.unwrap().path()).collect();
    let names = ["a\u{1b}]0;owned\u{7}\u{1b}[31m", "b\u{202e}gpj\u{9b}2J", "c\nd\te"];
    for (class, name) in classes.iter().zip(names) {
        std::fs::rename(class, pictures.join(name)).unwrap();
    }
    let data = format!("folder:{}", text(&pictures));
    let listed = succeed(&["data", "inspect", &data]);
    assert_harmless(&listed);
    assert!(listed.contains("a\\u001b]0;owned") && listed.contains("b\\u202egpj"), "{listed}");
    assert!(listed.contains("c\\u000ad\\u0009e"), "a name stays in its line: {listed}");
    assert_harmless(&succeed(&["data", "inspect", &data, "--json"]));
    assert_eq!(json(&["data", "inspect", &data, "--json"])["classes"], serde_json::json!(names));

    let run_folder = folder.path().join("run");
    let mut arguments = one_epoch(&run_folder);
    arguments[2] = &data;
    let trained = run(&arguments);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    let picture = std::fs::read_dir(pictures.join(names[0])).unwrap().next().unwrap().unwrap().path();
    let unreadable = folder.path().join("x\u{1b}[2J\n.png");
    std::fs::write(&unreadable, "no picture").unwrap();
    for arguments in [
        vec!["predict", "--checkpoint", text(&run_folder), text(&picture), text(&unreadable)],
        vec!["predict", "--checkpoint", text(&run_folder), text(&unreadable)],
        vec!["predict", "--json", "--checkpoint", text(&run_folder), text(&picture), text(&unreadable)],
        vec!["eval", "--full", "--checkpoint", text(&run_folder), "--data", &data],
        vec!["eval", "--checkpoint", text(&unreadable), "--data", &data],
        vec!["train", "--recipe", text(&unreadable)],
        vec!["train", "\u{1b}[31m"],
    ] {
        let output = run(&arguments);
        assert_harmless(&String::from_utf8(output.stdout).unwrap());
        assert_harmless(&String::from_utf8(output.stderr).unwrap());
    }
}

#[test]
fn a_terminal_that_goes_away_stops_no_training_that_ignores_it() {
    let folder = tempfile::tempdir().unwrap();
    let run_folder = folder.path().join("run");
    let arguments = train(&run_folder, &["--set", "method=attention", "--set", "epochs=30"]);
    let words = arguments.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    // As nohup does, which would take the terminal away, too.
    let command = format!("trap '' HUP; exec {} {words}", env!("CARGO_BIN_EXE_c2f-train"));
    let terminal = Command::new("script").args(["-qc", &command, "/dev/null"]).stdout(Stdio::null()).spawn();
    let Ok(mut terminal) = terminal else {
        eprintln!("skipped: `script`, which makes a terminal, isn't installed");
        return;
    };
    let has = |file: &str| run_folder.join(file).is_file();
    let wait_for = |file: &str| {
        (0..1200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            has(file)
        })
    };
    assert!(wait_for("checkpoints/best.safetensors"));
    terminal.kill().unwrap();
    terminal.wait().unwrap();
    assert!(!has("report.html"), "the run was through before its terminal went");
    assert!(wait_for("report.html"));
    assert_eq!(common::metrics(&run_folder).len(), 30);
}
