//! Numbers at the ends of their types: one line, and neither a panic nor an abort.

mod common;

use std::path::Path;

use common::{DATA, fail, text, train};

const I64: &str = "9223372036854775807";
const MORE_THAN_I64: &str = "9223372036854775808";
const U64: &str = "18446744073709551615";
const MORE_THAN_U64: &str = "18446744073709551616";

#[test]
fn settings() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    for field in [
        "seed",
        "epochs",
        "batch_size",
        "image_size",
        "optimizer.lr",
        "optimizer.grad_accum_steps",
        "augment.rand_ops",
        "augment.rand_magnitude",
        "attention.maps",
        "inverse.channels",
        "inverse.decoder_channels",
        "inverse.source_scale",
        "loader.threads",
        "loader.prefetch",
        "loader.cache_mb",
        "loader.disk_cache_mb",
        "checkpoint.every_batches",
        "schedule.step_epochs",
        "ema.decay",
    ] {
        let mut numbers = vec!["-1", "-9223372036854775808", MORE_THAN_I64, U64, MORE_THAN_U64, "1e999", "-inf", "nan"];
        if field != "seed" {
            numbers.push(I64);
        }
        for number in numbers {
            let line = fail(2, &train(&output, &["--set", &format!("{field}={number}")]));
            assert!(line.contains(field), "{field}={number}: {line}");
        }
    }
    assert!(!output.exists());
}

#[test]
fn settings_that_are_too_much_together() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let line = fail(2, &train(&output, &["--set", "batch_size=4096", "--set", "image_size=2048"]));
    assert!(line.contains("batch_size") && line.contains("image_size"), "{line}");
    let line = fail(2, &["bench", "--batch-size", "4096", "--image-size", "2048"]);
    assert!(line.contains("batch_size"), "{line}");
}

#[test]
fn arguments() {
    let none = Path::new("/no/such");
    for number in [MORE_THAN_I64, U64, MORE_THAN_U64, "-1", "nan", "1e9", ""] {
        for (argument, arguments) in [
            ("--seed", vec!["train", "--data", DATA]),
            ("--image-size", vec!["embed", "--backbone", "c2f_tiny", "--weights", "w", "--output", "o", "i"]),
            ("--top-k", vec!["predict", "--checkpoint", text(none), "i"]),
            ("--steps", vec!["bench"]),
            ("--per-class", vec!["data", "sheet", DATA, "--output", "s.png"]),
        ] {
            let argument_and_value = format!("{argument}={number}");
            let line = fail(2, &[arguments, vec![&argument_and_value]].concat());
            assert!(line.contains(argument), "{line}");
        }
        for (field, argument) in [("batch_size", "--batch-size"), ("image_size", "--image-size")] {
            let line = fail(2, &["bench", &format!("{argument}={number}")]);
            assert!(line.contains(field) || line.contains(argument), "{line}");
        }
    }
}

#[test]
fn the_largest_seed_is_a_seed() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    common::succeed(&train(&output, &["--seed", I64, "--set", "method=attention", "--set", "epochs=1"]));
    assert!(std::fs::read_to_string(output.join("config.toml")).unwrap().contains(I64));
}
