//! `predict` and `embed` on many pictures: from folders, lists and data sets, written as they come, in bounded memory.

mod common;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use common::{DATA, draw_pictures, fail, json, program, succeed, text, train};
use image::RgbImage;
use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::TempDir;

/// One run, and a folder of pictures, that the tests share.
fn shared() -> (PathBuf, PathBuf) {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        succeed(&train(&folder.path().join("run"), &["--set", "method=attention", "--set", "epochs=1"]));
        draw_pictures(&folder.path().join("pictures"), 2, |_| true);
        std::fs::write(folder.path().join("pictures/test/notes.txt"), "no picture").unwrap();
        folder
    });
    (folder.path().join("run"), folder.path().join("pictures"))
}

/// `predict` with what is on its stdin.
fn predict(more: &[&str], stdin: &str) -> Output {
    let (run, _) = shared();
    let mut child = program()
        .args(["predict", "--checkpoint", text(&run)])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that fails before it reads has closed it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn answers(more: &[&str], stdin: &str) -> Vec<Value> {
    let output = predict(&[more, &["--json"]].concat(), stdin);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn images(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["image"].as_str().unwrap()).collect()
}

/// The pictures of the shared folder, in the order of their paths.
fn files() -> Vec<String> {
    let (files, _) = c2f_data::pictures_below(&shared().1).unwrap();
    assert_eq!(files.len(), 6);
    files.iter().map(|file| text(file).to_owned()).collect()
}

#[test]
fn pictures_come_from_folders_lists_and_stdin_in_their_order() {
    let (_, folder) = shared();
    let files = files();
    let arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    let named = answers(&arguments, "");
    assert_eq!(images(&named), files);

    let output = predict(&["--json", text(&folder)], "");
    assert_eq!(serde_json::from_slice::<Vec<Value>>(&output.stdout).unwrap(), named);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.lines().count() == 1 && stderr.contains("1 file that is no picture"), "{stderr}");

    let reversed: Vec<&str> = arguments.iter().rev().copied().collect();
    for (list, end) in [(reversed.join("\n"), "\n"), (reversed.join("\0"), "\0")] {
        assert_eq!(images(&answers(&["-"], &(list + end))), reversed);
    }
    let list = folder.parent().unwrap().join("list.txt");
    std::fs::write(&list, reversed.join("\r\n")).unwrap();
    assert_eq!(images(&answers(&["--from", text(&list)], "")), reversed);
    assert_eq!(images(&answers(&[arguments[0], "--from", text(&list)], "")).len(), 7);

    assert!(
        fail(2, &["predict", "--checkpoint", text(&shared().0), text(&tempfile::tempdir().unwrap().keep())])
            .contains("no pictures")
    );
    assert!(fail(1, &["predict", "--checkpoint", text(&shared().0), "--from", "no/list.txt"]).contains("no/list.txt"));
}

#[test]
fn of_a_data_set_the_truth_is_known_and_predictions_are_those_of_eval() {
    let (run, folder) = shared();
    for views in [&[][..], &["--flip"], &["--five-crop", "--flip"]] {
        let arguments = [&["eval", "--checkpoint", text(&run), "--data", DATA, "--full", "--json"], views].concat();
        let evaluated = json(&arguments);
        let answers = answers(&[&[DATA, "--split", "test"], views].concat(), "");
        let pictures = evaluated["pictures"].as_array().unwrap();
        assert_eq!(answers.len(), pictures.len());
        for (answer, picture) in answers.iter().zip(pictures) {
            let first = &answer["predictions"][0];
            assert_eq!((&answer["image"], &first["index"]), (&picture["file"], &picture["predicted"]));
            let distance = first["probability"].as_f64().unwrap() - picture["probability"].as_f64().unwrap();
            assert!(distance.abs() < 1e-5, "{views:?}: {distance}");
            let is_right = first["class"] == answer["label"];
            assert_eq!(is_right, picture["predicted"] == picture["label"]);
        }
    }
    assert_eq!(answers(&[DATA], "").len(), 20, "all of it");
    let set = format!("folder:{}", text(&folder.join("test")));
    let classes: Vec<Value> = answers(&[&set], "").iter().map(|answer| answer["label"].clone()).collect();
    assert_eq!(classes[0], classes[1]);
    assert_ne!(classes[1], classes[2]);
    let line = fail(2, &["predict", "--checkpoint", text(&run), "--split", "tset", DATA]);
    assert!(line.contains("tset") && line.contains("it has: test, train"), "{line}");
}

#[test]
fn each_format_says_the_same_and_an_unreadable_picture_has_a_row() {
    let (run, folder) = shared();
    let (list, gone) = (folder.to_str().unwrap(), "gone.jpg");
    let wanted = predict(&["--json", gone, list], "");
    let wanted: Vec<Value> = serde_json::from_slice(&wanted.stdout).unwrap();
    assert_eq!(wanted.len(), 7);
    let output = folder.parent().unwrap();

    let lines = predict(&["--format", "jsonl", gone, list], "");
    assert_eq!(lines.status.code(), Some(1));
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert_eq!(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>(), wanted);

    let file = output.join("answers.csv");
    // Written whole, though one of the pictures couldn't be read.
    assert_eq!(predict(&["--format", "csv", "--output", text(&file), gone, list], "").status.code(), Some(1));
    let csv = std::fs::read_to_string(&file).unwrap();
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!((rows.len(), rows[0]), (2 + 6 * 3, "image,label,rank,class,index,probability,error,unknown"));
    assert!(rows[1].starts_with("gone.jpg,,,,,,") && rows[1].contains("No such file"), "{}", rows[1]);
    let first = &wanted[1]["predictions"][0];
    let row: Vec<&str> = rows[2].split(',').collect();
    let expected = [wanted[1]["image"].as_str().unwrap(), "", "1", first["class"].as_str().unwrap()];
    assert_eq!(row[..4], expected);
    assert!((row[5].parse::<f64>().unwrap() - first["probability"].as_f64().unwrap()).abs() < 1e-6);

    let table = String::from_utf8(predict(&[gone, list], "").stdout).unwrap();
    assert_eq!(table.lines().count(), 2 + 6 * 4, "{table}");
    assert!(table.lines().nth(1).unwrap().trim().starts_with("error"), "{table}");

    // Nothing of others is replaced, and no picture.
    let other = output.join("other.csv");
    std::fs::write(&other, "precious").unwrap();
    for kept in [text(&other), &files()[0]] {
        let before = std::fs::read(kept).unwrap();
        fail(2, &["predict", "--checkpoint", text(&run), "--format", "csv", "--output", kept, &files()[0]]);
        assert_eq!(std::fs::read(kept).unwrap(), before);
    }
    let arguments = ["predict", "--checkpoint", text(&run), "--json", "--format", "csv", list];
    assert!(fail(2, &arguments).contains("--format"));
}

#[test]
fn a_reader_that_has_gone_away_ends_the_work() {
    let (run, folder) = shared();
    let mut child = program()
        .args(["predict", "--checkpoint", text(&run), "--format", "jsonl", text(&folder)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn embeddings_of_a_data_set_have_labels_and_views_are_averaged() {
    let (run, folder) = shared();
    let output = folder.parent().unwrap().join("embeddings.safetensors");
    let embed = |more: &[&str]| {
        succeed(&[&["embed", "--checkpoint", text(&run), "--output", text(&output)], more].concat());
        let bytes = std::fs::read(&output).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let view = tensors.tensor("embeddings").unwrap();
        let values: Vec<f32> = view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let rows: Vec<Vec<f32>> = values.chunks(view.shape()[1]).map(<[f32]>::to_vec).collect();
        (rows, header.metadata().clone().unwrap())
    };
    let (rows, metadata) = embed(&[DATA, "--split", "test"]);
    let labels: Vec<String> = serde_json::from_str(&metadata["labels"]).unwrap();
    let dataset = c2f_data::open(&DATA.parse().unwrap()).unwrap();
    let truth = dataset.splits["test"].iter().map(|sample| dataset.classes[sample.label].clone());
    assert_eq!((rows.len(), labels), (4, truth.collect::<Vec<_>>()));
    let (_, metadata) = embed(&[text(&folder)]);
    assert!(!metadata.contains_key("labels"));
    assert_eq!(serde_json::from_str::<Value>(&metadata["images"]).unwrap(), json!(files()));

    // Of two views: half way between them, and as long as one.
    let (both, _) = embed(&[DATA, "--split", "test", "--flip"]);
    for (row, mean) in rows.iter().zip(&both) {
        let product: f32 = row.iter().zip(mean).map(|(a, b)| a * b).sum();
        let length: f32 = mean.iter().map(|v| v * v).sum();
        assert!((length - 1.0).abs() < 1e-4 && product > 0.5 && product < 1.0 - 1e-6, "{length} {product}");
    }

    let photograph = folder.parent().unwrap().join("photograph.safetensors");
    std::fs::write(&photograph, "precious").unwrap();
    fail(2, &["embed", "--checkpoint", text(&run), "--output", text(&photograph), &files()[0]]);
    assert_eq!(std::fs::read(&photograph).unwrap(), b"precious");
}

/// The most memory that the program had at once, in MiB.
#[cfg(target_os = "linux")]
fn peak(arguments: &[&str]) -> u64 {
    let mut child = program().args(arguments).env("RAYON_NUM_THREADS", "2").stdout(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        peak = kilobytes.unwrap_or(peak);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    peak >> 10
}

#[test]
#[cfg(target_os = "linux")]
fn large_pictures_are_not_kept() {
    let (run, _) = shared();
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("large.png");
    // 17 MiB of pixels.
    RgbImage::from_fn(3000, 2000, |x, _| image::Rgb([(x >> 4) as u8; 3])).save(&picture).unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, vec![text(&picture); 40].join("\n")).unwrap();
    let output = folder.path().join("out.safetensors");
    let one = peak(&["predict", "--checkpoint", text(&run), text(&picture)]);
    for arguments in [
        &["predict", "--checkpoint", text(&run), "--from", text(&list)][..],
        &["embed", "--checkpoint", text(&run), "--output", text(&output), "--from", text(&list)],
    ] {
        let many = peak(arguments);
        assert!(many < one + 100, "{arguments:?}: {many} MiB, of one picture {one}");
    }
}
