//! The behaviour that the command line promises.

mod common;

use std::path::Path;
use std::sync::OnceLock;

use common::{DATA, draw_pictures, fail, json, metrics, program, run, succeed, text, train};
use serde_json::{Value, json};
use tempfile::TempDir;

/// One run that the tests share.
fn trained() -> &'static (TempDir, String) {
    static RUN: OnceLock<(TempDir, String)> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let stdout = succeed(&train(&folder.path().join("run"), &[]));
        (folder, stdout)
    })
}

fn trained_run() -> std::path::PathBuf {
    trained().0.path().join("run")
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn is_share(value: &Value) -> bool {
    value.as_f64().is_some_and(|v| (0.0..=1.0).contains(&v))
}

#[test]
fn a_run_leaves_what_it_promises() {
    let run = trained_run();
    for file in ["config.toml", "metrics.jsonl", "checkpoints/last.safetensors", "checkpoints/best.safetensors"] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let records = metrics(&run);
    assert_eq!(records.len(), 2);
    for (record, (epoch, stage)) in records.iter().zip([(1, "coarse"), (2, "fine")]) {
        assert_eq!((&record["epoch"], &record["stage"]), (&json!(epoch), &json!(stage)));
        assert!(is_share(&record["val_top1"]) && is_share(&record["val_top5"]), "{record}");
        for key in ["train_loss", "val_loss", "lr", "images_per_s"] {
            assert!(record[key].as_f64().is_some_and(f64::is_finite), "{key} in {record}");
        }
    }
    assert!(records[0]["val_top1_fine"].is_null() && is_share(&records[1]["val_top1_fine"]));
    assert!(records.iter().all(|record| is_share(&record["val_attention_similarity"])), "{records:?}");

    // The resolved recipe is a recipe.
    let config = c2f_engine::Recipe::from_file(&run.join("config.toml")).unwrap();
    assert_eq!((config.epochs, config.data.as_deref()), (2, Some(DATA)));

    let mut overlays: Vec<_> = std::fs::read_dir(run.join("overlays")).unwrap().map(|e| e.unwrap().path()).collect();
    // Another test resumes this run, and may be writing the same pictures again.
    overlays.retain(|path| path.extension().is_some_and(|ending| ending == "png"));
    assert_eq!(overlays.len(), 4, "one for each test picture: {overlays:?}");
    let overlay = image::open(&overlays[0]).unwrap();
    assert!(overlay.width() > 3 * 256 && overlay.height() > 256);
}

#[test]
fn the_end_of_training_says_where_things_are_and_what_is_next() {
    let stdout = &trained().1;
    let run = trained_run();
    for path in ["checkpoints/best.safetensors", "report.html", "overlays"] {
        assert!(stdout.contains(text(&run.join(path))), "{path} in {stdout}");
    }
    for command in [" eval --checkpoint ", " predict --checkpoint ", " train --data "] {
        assert!(stdout.contains(command), "{command} in {stdout}");
    }
    assert!(stdout.contains("top-1"), "{stdout}");
}

#[test]
fn the_report_needs_nothing_else() {
    let page = std::fs::read_to_string(trained_run().join("report.html")).unwrap();
    for needed in ["<svg", "data:image/jpeg;base64,", "coarse2fine-orthogonal", "[optimizer]", "What it looks at"] {
        assert!(page.contains(needed), "{needed} is missing");
    }
    for foreign in ["http://", "https://", "src=\"/", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign} in the page");
    }
    assert!(!page.contains("{{") && !page.contains("{%"));
}

#[test]
fn eval_repeats_the_number_of_the_training() {
    let run = trained_run();
    let best = metrics(&run).into_iter().rfind(|record| record["stage"] == "fine").unwrap();
    let result = json(&["eval", "--checkpoint", text(&run), "--data", DATA, "--json"]);
    let expected = json!({
        "n": 4, "classes": 3, "top1": best["val_top1"], "top5": best["val_top5"],
        "top1_coarse": best["val_top1_coarse"], "top1_fine": best["val_top1_fine"],
    });
    assert_eq!(result, expected);

    let checkpoint = run.join("checkpoints/best.safetensors");
    assert_eq!(json(&["eval", "--checkpoint", text(&checkpoint), "--data", DATA, "--json"]), expected);
    let table = succeed(&["eval", "--checkpoint", text(&run), "--data", DATA]);
    assert!(table.contains("top-1, fine look"), "{table}");
    let split = json(&["eval", "--checkpoint", text(&run), "--data", DATA, "--json", "--split", "train"]);
    assert_eq!(split["n"], 16);
}

#[test]
fn a_full_evaluation_adds_to_the_plain_one() {
    let run = trained_run();
    let arguments = ["eval", "--checkpoint", text(&run), "--data", DATA];
    let plain = json(&[&arguments[..], &["--json"]].concat());
    let full = json(&[&arguments[..], &["--json", "--full"]].concat());
    let added = [
        "split",
        "trained_on",
        "parameters",
        "area",
        "loss",
        "brier",
        "calibration",
        "per_class",
        "levels",
        "confused",
        "pictures",
        "localisation",
        "keypoints",
        "attention_similarity",
    ];
    let mut expected = [keys(&plain), added.to_vec()].concat();
    expected.sort_unstable();
    assert_eq!(keys(&full), expected);
    assert!(keys(&plain).iter().all(|key| full[*key] == plain[*key]), "{full}");

    let calibration = &full["calibration"];
    assert_eq!(keys(calibration), ["bins", "ece"]);
    assert_eq!(calibration["bins"].as_array().unwrap().len(), 15);
    assert_eq!(keys(&calibration["bins"][0]), ["accuracy", "confidence", "from", "n", "to"]);
    assert_eq!(keys(&full["per_class"][0]), ["class", "correct", "n", "top1"]);
    let picture = &full["pictures"][3];
    let of_picture =
        ["correct_coarse", "correct_fine", "file", "label", "predicted", "probability", "probability_of_truth"];
    assert_eq!(keys(picture), of_picture);
    assert_eq!(picture["file"], "synthetic/test/000003");
    let localisation = &full["localisation"];
    assert_eq!(keys(localisation), ["attention", "fine_box", "n", "region"]);
    let of_map = ["box_area", "box_mass", "parts_area", "parts_mass", "parts_pointing", "pointing"];
    assert_eq!((keys(&localisation["attention"]), keys(&localisation["region"])), (of_map.to_vec(), of_map.to_vec()));

    let tables = succeed(&[&arguments[..], &["--full"]].concat());
    for title in ["top-1", "calibration", "where it looks (4 pictures)", "a uniform map", "worst classes"] {
        assert!(tables.contains(title), "{title} in {tables}");
    }
}

#[test]
fn what_a_method_lacks_is_null() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    succeed(&train(&run, &["--set", "method=baseline", "--set", "epochs=1"]));
    let result = json(&["eval", "--checkpoint", text(&run), "--data", DATA, "--json"]);
    assert!(result["top1_fine"].is_null() && is_share(&result["top1"]), "{result}");
    let full = json(&["eval", "--checkpoint", text(&run), "--data", DATA, "--json", "--full"]);
    assert!(
        full["localisation"].is_null() && full["keypoints"].is_null() && full["attention_similarity"].is_null(),
        "{full}"
    );
    assert!(metrics(&run)[0]["val_attention_similarity"].is_null());
}

#[test]
fn eval_matches_classes_by_name() {
    let run = trained_run();
    let classes = c2f_data::open(&DATA.parse().unwrap()).unwrap().classes;
    let folder = tempfile::tempdir().unwrap();
    // A set with the last class alone: its label there is 0, in the checkpoint 2.
    draw_pictures(folder.path(), 3, |class| class == classes[2]);
    let data = format!("folder:{}", text(folder.path()));
    let result = json(&["eval", "--checkpoint", text(&run), "--data", &data, "--json"]);
    assert_eq!(result["n"], 3);
    let pictures: Vec<_> = (0..3).map(|i| folder.path().join(format!("test/{}/{i}.png", classes[2]))).collect();
    let mut arguments = vec!["predict", "--checkpoint", text(&run), "--json"];
    arguments.extend(pictures.iter().map(|p| text(p)));
    let answers = json(&arguments);
    let right = answers.as_array().unwrap().iter().filter(|a| a["predictions"][0]["index"] == 2).count();
    let top1 = result["top1"].as_f64().unwrap();
    assert!((top1 - right as f64 / 3.0).abs() < 1e-9, "eval says {top1}, predict has {right} of 3");

    std::fs::rename(folder.path().join("test").join(&classes[2]), folder.path().join("test/griffin")).unwrap();
    let line = fail(1, &["eval", "--checkpoint", text(&run), "--data", &data]);
    assert!(line.contains("griffin"), "{line}");
}

#[test]
fn predict_answers_for_each_picture() {
    let run = trained_run();
    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 1, |_| true);
    let mut pictures: Vec<_> = std::fs::read_dir(folder.path().join("test"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("0.png"))
        .collect();
    pictures.sort();
    let overlays = folder.path().join("overlays");
    let mut arguments =
        vec!["predict", "--checkpoint", text(&run), "--top-k", "2", "--json", "--overlay", text(&overlays)];
    arguments.extend(pictures.iter().map(|p| text(p)));
    let answers = json(&arguments);
    for (answer, picture) in answers.as_array().unwrap().iter().zip(&pictures) {
        assert_eq!(keys(answer), ["image", "predictions"]);
        assert_eq!(answer["image"], text(picture));
        let predictions = answer["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), 2);
        assert!(predictions[0]["probability"].as_f64() >= predictions[1]["probability"].as_f64());
        for prediction in predictions {
            assert_eq!(keys(prediction), ["class", "index", "probability"]);
            assert!(is_share(&prediction["probability"]));
        }
    }
    // The three pictures have one name.
    for name in ["0.png", "0-2.png", "0-3.png"] {
        assert!(overlays.join(name).is_file(), "{name} is missing");
    }
    let list = succeed(&["predict", "--checkpoint", text(&run), text(&pictures[0])]);
    assert_eq!(list.lines().count(), 1 + 3, "three classes, though five were asked for: {list}");
}

#[test]
fn one_unreadable_picture_leaves_the_others_their_answers() {
    let run = trained_run();
    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 1, |_| true);
    let class = std::fs::read_dir(folder.path().join("test")).unwrap().next().unwrap().unwrap().path();
    let (good, bad) = (class.join("0.png"), folder.path().join("gone.jpg"));
    let output = self::run(&["predict", "--checkpoint", text(&run), "--json", text(&bad), text(&good)]);
    assert_eq!(output.status.code(), Some(1));
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(keys(&answers[0]), ["error", "image"]);
    assert!(answers[0]["error"].as_str().unwrap().contains("gone.jpg"));
    assert_eq!(answers[1]["predictions"].as_array().unwrap().len(), 3);
    let line = common::one_line(&[], &String::from_utf8(output.stderr).unwrap());
    assert!(line.contains("gone.jpg"), "{line}");
}

#[test]
fn data_inspect_lists_what_the_loader_sees() {
    let inspection = json(&["data", "inspect", DATA, "--json"]);
    assert_eq!(keys(&inspection), ["classes", "name", "splits"]);
    assert_eq!(inspection["classes"].as_array().unwrap().len(), 3);
    let train = &inspection["splits"]["train"];
    assert_eq!(keys(train), ["files", "labels", "n"]);
    assert_eq!(train["n"], 16);
    assert_eq!(train["labels"].as_array().unwrap().len(), 16);
    assert_eq!(train["files"][12], "synthetic/train/000012");
    assert!(train["labels"].as_array().unwrap().iter().all(|l| l.as_u64().unwrap() < 3));
    assert!(succeed(&["data", "inspect", DATA]).contains("16 pictures"));
}

#[test]
fn data_verify_says_what_is_wrong() {
    let good = json(&["data", "verify", DATA, "--json"]);
    assert_eq!(keys(&good), ["counts", "findings", "name", "pictures"]);
    assert_eq!((&good["pictures"], &good["counts"]["unreadable"]), (&json!(20), &json!(0)));

    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 2, |_| true);
    let test = folder.path().join("test");
    std::fs::create_dir(folder.path().join("train")).unwrap();
    for class in std::fs::read_dir(&test).unwrap().map(|entry| entry.unwrap().path()) {
        let train = folder.path().join("train").join(class.file_name().unwrap());
        std::fs::create_dir(&train).unwrap();
        std::fs::rename(class.join("1.png"), train.join("1.png")).unwrap();
    }
    let data = format!("folder:{}", text(folder.path()));
    let class = std::fs::read_dir(&test).unwrap().next().unwrap().unwrap().path();
    let twin = folder.path().join("train").join(class.file_name().unwrap()).join("twin.png");
    std::fs::copy(class.join("0.png"), twin).unwrap();
    // What can be read is no failure, however odd.
    let list = succeed(&["data", "verify", &data]);
    assert!(
        list.starts_with("leak ") && list.contains("twin.png (train): the same picture in several splits"),
        "{list}"
    );
    assert!(list.lines().last().unwrap().contains("7 pictures; 0 missing, 0 unreadable, 1 leak"), "{list}");

    std::fs::write(class.join("0.png"), "no picture").unwrap();
    let output = run(&["data", "verify", &data, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["counts"]["unreadable"], &found["counts"]["leak"]), (&json!(1), &json!(0)));
    let line = common::one_line(&[], &String::from_utf8(output.stderr).unwrap());
    assert!(line.contains("1 of 7 pictures can't be read"), "{line}");
    assert!(fail(1, &["data", "verify", "folder:/no/such/place"]).contains("/no/such/place"));
    assert!(fail(2, &["data", "verify", "foldr:x"]).contains("folder"));
}

#[test]
fn data_sheet_shows_each_class() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sheet.png");
    let sheet = |more: &[&str]| {
        let mut arguments = vec!["data", "sheet", DATA, "--output", text(&file), "--per-class", "2"];
        arguments.extend(more);
        assert_eq!(succeed(&arguments).trim(), text(&file));
        image::open(&file).unwrap().into_rgb8()
    };
    let plain = sheet(&[]);
    assert!(plain.width() > 2 * 112 && plain.height() > 2 * 112);
    assert_eq!(sheet(&[]), plain);
    assert_ne!(sheet(&["--set", "augment.policy=trivial-augment"]), plain);
    assert_ne!(sheet(&["--split", "test"]), plain);
    assert!(fail(2, &["data", "sheet", DATA, "--output", "sheet.jpg"]).contains(".png"));
    let output = ["--output", text(&file)];
    assert!(
        fail(2, &[&["data", "sheet", DATA, "--set", "augment.flp=1"], &output[..]].concat()).contains("augment.flip")
    );
    assert!(fail(2, &[&["data", "sheet", DATA, "--per-class", "0"], &output[..]].concat()).contains("--per-class"));
    let nowhere = folder.path().join("no/sheet.png");
    assert!(fail(1, &["data", "sheet", DATA, "--output", text(&nowhere)]).contains("no/sheet.png"));
}

#[test]
fn bench_measures_training_and_inference() {
    for mode in ["train", "infer"] {
        let tiny = ["--backbone", "c2f_tiny", "--image-size", "32", "--batch-size", "2", "--steps", "3"];
        let mut arguments = vec!["bench", "--mode", mode, "--json"];
        arguments.extend(tiny);
        let speed = json(&arguments);
        assert_eq!(keys(&speed), ["images_per_s", "peak_rss_mb", "step_ms_median"]);
        let number = |key: &str| speed[key].as_f64().unwrap();
        assert!(number("images_per_s") > 0.0 && number("peak_rss_mb") > 1.0, "{speed}");
        let expected = 2.0 * 1e3 / number("step_ms_median");
        assert!((number("images_per_s") / expected - 1.0).abs() < 1e-6, "{speed}");
    }
}

#[test]
fn runs_are_numbered_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("small.toml");
    std::fs::write(
        &recipe,
        "method = \"attention\"\nbackbone = \"c2f_tiny\"\nimage_size = 32\nbatch_size = 4\nepochs = 1\n\
         data = \"synthetic?classes=2&size=4\"\n[attention]\nmaps = 2\n",
    )
    .unwrap();
    let start = |arguments: &[&str]| {
        let output = program().current_dir(folder.path()).arg("train").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    start(&["--recipe", "small.toml"]);
    start(&["--recipe", "small.toml", "--seed", "7"]);
    // With data, but no recipe, the run has the method's name.
    start(&[
        "--data",
        "synthetic?classes=2&size=4",
        "--set",
        "backbone=c2f_tiny",
        "--set",
        "image_size=32",
        "--set",
        "epochs=1",
        "--set",
        "method=ws-dan",
        "--set",
        "batch_size=4",
        "--set",
        "attention.maps=2",
    ]);
    let config =
        |run: &str| c2f_engine::Recipe::from_file(&folder.path().join("runs").join(run).join("config.toml")).unwrap();
    assert_eq!((config("small-1").seed, config("small-2").seed), (1, 7));
    assert_eq!(config("ws-dan-1").method, c2f_engine::Method::WsDan);

    let before = std::fs::read(folder.path().join("runs/small-1/checkpoints/last.safetensors")).unwrap();
    let again = folder.path().join("runs/small-1");
    let line = fail(2, &["train", "--recipe", text(&recipe), "--output", text(&again)]);
    assert!(line.contains("--resume") && line.contains("small-1"), "{line}");
    let after = std::fs::read(folder.path().join("runs/small-1/checkpoints/last.safetensors")).unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_resumed_run_keeps_its_recipe() {
    let run = trained_run();
    // Complete already: nothing is trained, the results are told again.
    let stdout = succeed(&["train", "--resume", "--output", text(&run)]);
    assert_eq!(stdout, trained().1);
    // The same settings again are fine, others are not.
    succeed(&train(&run, &["--resume"]));
    let line = fail(2, &["train", "--resume", "--output", text(&run), "--set", "optimizer.lr=0.5"]);
    assert!(line.contains("optimizer.lr"), "{line}");
    assert!(fail(2, &["train", "--resume"]).contains("--output"));
    let nowhere = Path::new("no/such/run");
    assert!(fail(2, &["train", "--resume", "--output", text(nowhere)]).contains("no/such/run"));
}

#[test]
fn a_network_of_ones_own_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let next = folder.path().join("next");
    let first = trained_run();
    let settings = ["--data", "synthetic?classes=4&size=16", "--set", "method=attention", "--set", "epochs=1"];
    // The settings of the tiny run come first; what is given again here counts.
    let arguments: Vec<&str> = train(&next, &["--weights", text(&first)]).into_iter().skip(3).collect();
    let output = run(&[&["train"][..], &arguments, &settings].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let said: Vec<&str> = stderr.lines().filter(|line| line.contains("taken over")).collect();
    assert_eq!(said.len(), 1, "{stderr}");
    assert!(said[0].contains("the 3 classes there aren't the 4 here"), "{stderr}");
    let recipe = c2f_engine::Recipe::from_file(&next.join("config.toml")).unwrap();
    assert_eq!(recipe.weights.as_deref(), Some(text(&first.join("checkpoints/best.safetensors"))));
    let line = fail(2, &train(&folder.path().join("none"), &["--weights", text(folder.path())]));
    assert!(line.contains("without a run's checkpoints"), "{line}");

    let resume = |epochs| ["train", "--resume", "--output", text(&next), "--set", epochs];
    succeed(&resume("epochs=3"));
    assert_eq!(metrics(&next).len(), 3);
    assert!(fail(2, &resume("epochs=2")).contains("more, not fewer"));
}

#[test]
fn help_and_version_are_results() {
    for arguments in [["--help"], ["--version"]] {
        assert!(succeed(&arguments).contains("c2f-train"));
    }
}

#[test]
fn a_recipe_is_shown_whole_and_is_one_again() {
    let shown = succeed(&["recipe", "show", "quickstart", "--set", "epochs=3", "--set", "method=ws-dan"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, &shown).unwrap();
    assert_eq!(succeed(&["recipe", "show", text(&file)]), shown);
    let value = json(&["recipe", "show", text(&file), "--json"]);
    assert_eq!((value["epochs"].as_u64(), value["method"].as_str()), (Some(3), Some("ws-dan")));
    assert!(value["optimizer"]["momentum"].is_number(), "what `default` says isn't shown");
    assert!(succeed(&["recipe", "show"]).contains("[optimizer]"));
    assert!(fail(2, &["recipe", "show", "quickstar"]).contains("quickstart"));
    assert!(fail(2, &["recipe", "show", "--set", "epochs=0"]).contains("epochs"));
}

#[test]
fn an_old_name_of_a_field_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.toml");
    std::fs::write(&file, "[augment]\nerase = 0.25\n").unwrap();
    let output = run(&["recipe", "show", text(&file), "--set", "augment.erase=0.5"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.matches("augment.erase is called augment.random_erasing today").count(), 1, "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("random_erasing = 0.5"));
}

#[test]
fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = succeed(&["completions", shell]);
        assert!(["predict", "top-k", "inspect"].iter().all(|word| script.contains(word)), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let first = succeed(&["man", "--to", text(&pages)]);
    assert_eq!(first, format!("{}\n", pages.join("c2f-train.1").display()));
    for (page, option) in [("c2f-train-train.1", "resume"), ("c2f-train-data-inspect.1", "json")] {
        let page = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(page.contains(".SH SYNOPSIS") && page.contains(option), "{page}");
    }
}

#[test]
fn a_run_is_exported_and_goes_on_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (run, file) = (folder.path().join("run"), folder.path().join("backbone.safetensors"));
    succeed(&train(&run, &["--set", "method=attention", "--set", "epochs=1"]));
    let told = succeed(&["export", text(&run), "--format", "safetensors", "--output", text(&file)]);
    assert!(told.starts_with(text(&file)) && told.contains("c2f_tiny"), "{told}");
    let fits = succeed(&["weights", "inspect", text(&file)]);
    assert!(fits.contains("c2f_tiny"), "{fits}");
    let onnx = folder.path().join("run.onnx");
    for form in [&[][..], &["--u8"], &["--coarse"]] {
        let told = succeed(&[&["export", text(&run), "--format", "onnx", "--output", text(&onnx)], form].concat());
        assert!(told.contains("attention on c2f_tiny") && c2f_files::is_free(&onnx, c2f_onnx::HEAD), "{told}");
    }
    let page = folder.path().join("page");
    for _ in 0..2 {
        succeed(&["export", text(&run), "--format", "web", "--output", text(&page)]);
    }
    assert!(std::fs::read(page.join("model.onnx")).unwrap().starts_with(c2f_onnx::HEAD.as_bytes()));
    assert!(std::fs::read_to_string(page.join("index.html")).unwrap().contains(r#""crop":{"crop":"#));
    for (arguments, said) in [
        (["--format", "onnx", "--output", text(&file)], "holds something else"),
        (["--format", "pickle", "--output", text(&file)], "safetensors"),
    ] {
        let line = fail(2, &[&["export", text(&run)], &arguments[..]].concat());
        assert!(line.contains(said), "{line}");
    }
    let line = fail(1, &["export", text(&run), "--format", "web", "--output", text(&file)]);
    assert!(line.contains(text(&file)), "{line}");
    let line = fail(2, &["export", text(&run), "--format", "safetensors", "--u8", "--output", text(&file)]);
    assert!(line.contains("--u8"), "{line}");
}
