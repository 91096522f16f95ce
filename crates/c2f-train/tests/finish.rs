//! What follows the last epoch: the trained network and its numbers are safe, whatever goes wrong.

mod common;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use common::{draw_pictures, fail, json, program, run, succeed, text, train};
use serde_json::Value;

/// `train` on the pictures in `folder/test`, as one folder for each class.
fn train_on<'a>(data: &'a str, output: &'a Path) -> Vec<&'a str> {
    let mut arguments = train(output, &["--set", "method=baseline"]);
    arguments[2] = data;
    arguments
}

#[test]
fn a_class_that_appears_during_the_training_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 4, |_| true);
    let (pictures, output) = (folder.path().join("test"), folder.path().join("run"));
    let data = format!("folder:{}", pictures.display());
    let mut child =
        program().args(train_on(&data, &output)).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut log = String::new();
    // The first line says what is trained on: by then the pictures are listed.
    while !log.contains("training pictures") {
        assert!(stderr.read_line(&mut log).unwrap() > 0, "{log}");
    }
    let class = pictures.join("aardvark");
    std::fs::create_dir(&class).unwrap();
    std::fs::write(class.join("x.png"), b"no picture").unwrap();
    stderr.read_to_string(&mut log).unwrap();
    let output_of = child.wait_with_output().unwrap();
    assert!(output_of.status.success() && !log.contains("WARN"), "{log}");
    let results = String::from_utf8(output_of.stdout).unwrap();
    assert!(results.contains("3 pictures of test, 3 classes") && results.contains("holdout=10"), "{results}");
    assert!(output.join("report.html").exists() && output.join("overlays/01.png").exists());
    let report = std::fs::read_to_string(output.join("report.html")).unwrap();
    assert!(report.contains("holdout=10") && report.contains("last epoch"), "the report says why no epoch was chosen");
}

#[test]
fn a_picture_may_have_the_longest_name() {
    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 2, |_| true);
    let pictures = folder.path().join("test");
    for class in std::fs::read_dir(&pictures).unwrap() {
        for file in std::fs::read_dir(class.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().repeat(251);
            std::fs::rename(&path, path.with_file_name(format!("{stem}.png"))).unwrap();
        }
    }
    let output = folder.path().join("run");
    succeed(&train_on(&format!("folder:{}", pictures.display()), &output));
    assert!(output.join("report.html").exists() && output.join("overlays/03.png").exists());
}

#[test]
fn a_report_that_can_not_be_written_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    succeed(&train(&output, &["--set", "method=baseline", "--set", "epochs=1"]));
    std::fs::remove_file(output.join("report.html")).unwrap();
    std::fs::create_dir_all(output.join("report.html/in the way")).unwrap();
    let finished = run(&["train", "--resume", "--output", text(&output)]);
    let [results, log] = [finished.stdout, finished.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(finished.status.success() && results.contains("top-1") && results.contains("checkpoint"), "{results}{log}");
    assert!(log.contains("WARN") && log.contains("report.html"), "{log}");
    assert!(!results.contains("\nreport "), "{results}");
}

#[test]
fn a_run_may_lie_among_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 4, |_| true);
    let pictures = folder.path().join("test");
    let data = format!("folder:{}", pictures.display());
    for run in ["run", "runs/one", "runs/two"] {
        let output = pictures.join(run);
        succeed(&train_on(&data, &output));
        let again = succeed(&["train", "--resume", "--output", text(&output)]);
        assert!(again.contains("3 pictures of test, 3 classes"), "{again}");
    }
}

#[test]
fn as_many_known_pictures_are_rejected_as_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let mut arguments = train(&output, &["--set", "method=attention", "--set", "epochs=1"]);
    arguments[2] = "synthetic?classes=3&size=48&holdout=50";
    succeed(&arguments);
    let unknown = |share: &str| -> usize {
        let data = "synthetic?classes=3&size=48&holdout=50";
        let pictures = ["predict", "--checkpoint", text(&output), "--json", "--reject", share, "--split", "val", data];
        let answers = json(&pictures);
        assert_eq!(answers.as_array().unwrap().len(), 24);
        answers.as_array().unwrap().iter().filter(|answer| answer["unknown"] == true).count()
    };
    assert_eq!(unknown("0"), 0);
    assert!((5..=7).contains(&unknown("0.25")), "{}", unknown("0.25"));

    let line = fail(2, &["predict", "--checkpoint", text(&output), "--reject", "5", "x.png"]);
    assert!(line.contains("0.05"), "{line}");
    let untested = folder.path().join("without");
    succeed(&train(&untested, &["--set", "method=baseline", "--set", "epochs=1"]));
    let line = fail(2, &["predict", "--checkpoint", text(&untested), "--reject", "0.05", "x.png"]);
    assert!(line.contains("holdout=10"), "{line}");
}

#[test]
fn tensorboard_gets_each_epoch_and_the_overlays() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    succeed(&train(&output, &["--set", "method=baseline", "--set", "epochs=2", "--tensorboard"]));
    let files: Vec<_> = std::fs::read_dir(output.join("tensorboard")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let bytes = std::fs::read(files[0].as_ref().unwrap().path()).unwrap();
    let count = |tag: &str| bytes.windows(tag.len()).filter(|there| *there == tag.as_bytes()).count();
    assert_eq!((count("brain.Event:2"), count("val/loss"), count("train/grad_norm")), (1, 2, 2));
    assert_eq!(count("overlays/"), std::fs::read_dir(output.join("overlays")).unwrap().count());
}

#[test]
fn tensorboard_gets_the_terms_of_the_loss_and_histograms() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    succeed(&train(&output, &["--set", "method=coarse2fine", "--set", "epochs=1", "--tensorboard", "--histograms"]));
    let file = std::fs::read_dir(output.join("tensorboard")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(file).unwrap();
    let has = |tag: &str| bytes.windows(tag.len()).any(|there| there == tag.as_bytes());
    for tag in ["loss/coarse", "loss/center", "train/step_grad_norm", "attention/cells", "attention/maps"] {
        assert!(has(tag), "{tag}");
    }
}

#[test]
fn steps_have_lines_that_a_resumed_run_goes_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let settings = ["--set", "method=coarse2fine", "--set", "batch_size=4", "--log-every", "2"];
    succeed(&train(&output, &[&settings[..], &["--set", "epochs=1"]].concat()));
    let file = output.join("steps.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    // As a run leaves it that was killed while it wrote a line of the next epoch.
    std::fs::write(&file, whole.clone() + "{\"step\": 1000, \"loss\": 1.0}\n{\"st").unwrap();
    succeed(&["train", "--resume", "--output", text(&output), "--set", "epochs=2", "--log-every", "2"]);
    let lines = std::fs::read_to_string(&file).unwrap();
    assert!(lines.starts_with(&whole));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_epoch = |epoch: u64| lines.iter().filter(|line| line["epoch"] == epoch).count();
    assert_eq!((of_epoch(1), of_epoch(2)), (whole.lines().count(), whole.lines().count()));
    assert!(lines.windows(2).all(|two| two[0]["step"].as_u64() < two[1]["step"].as_u64()));
    for line in &lines {
        let terms: f64 = line["terms"].as_object().unwrap().values().map(|term| term.as_f64().unwrap()).sum();
        assert!((terms - line["loss"].as_f64().unwrap()).abs() < 1e-9 && line["grad_norm"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_dry_run_says_what_would_be_trained_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = train(folder.path(), &["--set", "loss.class_weights=balanced", "--dry-run"]);
    let output = arguments.iter().position(|argument| *argument == "--output").unwrap();
    arguments.drain(output..output + 2);
    let in_folder = program().args(&arguments).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8(in_folder.stdout).unwrap();
    assert!(in_folder.status.success() && said.contains("training pictures") && said.contains("about "), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let lost = ["train", "--data", "folder:/no/such", "--dry-run"];
    assert!(fail(1, &lost).contains("/no/such"));
}

/// Oxford-IIIT Pet as published, with drawn creatures: two cats and a dog.
fn pets(folder: &Path) -> String {
    draw_pictures(&folder.join("drawn"), 4, |_| true);
    let (images, lists) = (folder.join("pets/images"), folder.join("pets/annotations"));
    std::fs::create_dir_all(&images).unwrap();
    std::fs::create_dir_all(&lists).unwrap();
    let mut classes: Vec<_> =
        std::fs::read_dir(folder.join("drawn/test")).unwrap().map(|c| c.unwrap().path()).collect();
    classes.sort();
    let (mut train, mut test) = (String::new(), String::new());
    for (number, (class, (name, species))) in
        (1..).zip(classes.iter().zip([("Siamese", 1), ("Sphynx", 1), ("beagle", 2)]))
    {
        for (i, file) in (0..).zip(std::fs::read_dir(class).unwrap()) {
            std::fs::copy(file.unwrap().path(), images.join(format!("{name}_{i}.jpg"))).unwrap();
            let list = if i == 0 { &mut test } else { &mut train };
            writeln!(list, "{name}_{i} {number} {species} 1").unwrap();
        }
    }
    std::fs::write(lists.join("trainval.txt"), train).unwrap();
    std::fs::write(lists.join("test.txt"), test).unwrap();
    format!("pets:{}", text(&folder.join("pets")))
}

#[test]
fn an_answer_may_be_what_classes_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let data = pets(folder.path());
    let output = folder.path().join("run");
    succeed(&train_on(&data, &output));
    let predict = |sure: &str| {
        let pictures = ["predict", "--checkpoint", text(&output), "--json", "--top-k", "1", "--sure", sure, &data];
        json(&pictures).as_array().unwrap().clone()
    };
    for (class, any) in predict("0").iter().zip(predict("0.7")) {
        let best = &class["predictions"][0];
        assert_eq!(class["predictions"].as_array().unwrap().len(), 1);
        assert_eq!((&class["surest"]["name"], class["surest"]["above"].as_u64()), (&best["class"], Some(0)));
        // Of three classes two are cats: an untrained network is sure of nothing else.
        assert!(any["surest"].is_null() || any["surest"]["probability"].as_f64() >= Some(0.7), "{any}");
    }
    let full = json(&["eval", "--checkpoint", text(&output), "--data", &data, "--full", "--json"]);
    let level = &full["levels"][0];
    assert_eq!((level["level"].as_u64(), level["groups"].as_u64()), (Some(1), Some(2)));
    assert!(level["top1"].as_f64() >= full["top1"].as_f64());
    let table = succeed(&["predict", "--checkpoint", text(&output), "--sure", "1", &data]);
    assert!(table.contains("sure of nothing"), "{table}");

    let plain = folder.path().join("plain");
    succeed(&train(&plain, &["--set", "method=baseline", "--set", "epochs=1"]));
    assert!(fail(2, &["predict", "--checkpoint", text(&plain), "--sure", "0.9", "x.png"]).contains("nabirds"));
    assert!(fail(2, &["predict", "--checkpoint", text(&output), "--sure", "90", "x.png"]).contains("0.9"));
}
