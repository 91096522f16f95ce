//! Data sets in Parquet files, as Hugging Face publishes them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use c2f_data::{Dataset, DiskCache, EvalTransform, Loader, LoaderConfig, Sample, Transform, decode};
use common::{assert_has, files, message, open_as, tree, write};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parquet").join(name)
}

/// The red of the first pixel: ten times the number of the picture.
fn reds(dataset: &Dataset, split: &str) -> Vec<u8> {
    dataset.splits[split].iter().map(|sample| decode(sample).unwrap().get_pixel(0, 0)[0]).collect()
}

fn labels(dataset: &Dataset, split: &str) -> Vec<usize> {
    dataset.splits[split].iter().map(|sample| sample.label).collect()
}

#[test]
fn shards_are_one_split_with_the_names_of_the_classes() {
    let dataset = open_as("parquet", &fixture("named"), "").unwrap();
    assert_eq!(dataset.classes, ["robin", "crow", "auk"]);
    assert_eq!(labels(&dataset, "train"), [1, 0, 2, 1, 0, 2, 2]);
    // The first file has row groups of two.
    assert_eq!(reds(&dataset, "train"), [0, 10, 20, 30, 40, 50, 60]);
    assert_eq!((labels(&dataset, "val"), reds(&dataset, "val")), (vec![0, 2], vec![70, 80]));
    assert_eq!(files(&dataset, "train")[6], ("data/train-00001-of-00002.parquet/1".to_owned(), 2));
    let first = open_as("parquet", &fixture("named/data"), "classes=2&size=3").unwrap();
    assert_eq!((first.classes.len(), labels(&first, "train").len()), (2, 3));
    assert!(first.splits["train"][0].file.starts_with("train-00000-of-00002.parquet/"));
}

#[test]
fn labels_may_be_text_and_train_alone_is_split() {
    let dataset = open_as("parquet", &fixture("text"), "").unwrap();
    assert_eq!(dataset.classes, ["crow", "jay"]);
    let mut both = [reds(&dataset, "train"), reds(&dataset, "test")].concat();
    both.sort_unstable();
    // Each row of this file is a page of its own.
    assert_eq!(both, [0, 10, 20, 30]);
    assert_eq!(dataset.splits["test"].len(), 2);
}

#[test]
fn numbers_without_names_are_sorted_by_value() {
    let dataset = open_as("parquet", &fixture("numbers"), "").unwrap();
    assert_eq!(dataset.classes, ["9", "10"]);
    assert_eq!(labels(&dataset, "test"), [1, 0, 1]);
}

#[test]
fn threads_read_the_same_file() {
    let dataset = open_as("parquet", &fixture("named"), "").unwrap();
    let samples: Arc<[Sample]> = dataset.split("train").unwrap().into();
    let transform =
        EvalTransform { resize: 4, size: 4, source_size: 4, mean: [0.0; 3], std: [1.0; 3], ..EvalTransform::default() };
    let loader = |threads| {
        let config = LoaderConfig { batch_size: 7, threads, ..LoaderConfig::default() };
        Loader::new(Arc::clone(&samples), Transform::Eval(transform.clone()), config)
    };
    let kept = tempfile::tempdir().unwrap();
    let on_disk = || DiskCache::open(kept.path(), 1 << 20, &samples).unwrap();
    // The second with the cache reads what the first has put there.
    for loader in [loader(1), loader(8), loader(8).with_disk_cache(on_disk()), loader(1).with_disk_cache(on_disk())] {
        let batch = loader.epoch(0, 0).next().unwrap().unwrap();
        let reds: Vec<u8> = batch.images.chunks(3 * 4 * 4).map(|image| (image[0] * 255.0).round() as u8).collect();
        assert_eq!(reds, [0, 10, 20, 30, 40, 50, 60]);
    }
}

#[test]
fn names_what_is_wrong() {
    assert_has(&message("parquet", tree(&["data/readme.txt"]).path()), &["data: has no Parquet file"]);
    assert_has(
        &message("parquet", &fixture("outside")),
        &["outside/test.parquet: row 1: class 3, the file names 3 classes"],
    );
    assert_has(&message("parquet", &fixture("unlabelled")), &["unlabelled/test.parquet: ", "has 2 labels for 3 rows"]);
    let folder = tree(&[]);
    write(folder.path(), "train.parquet", "PAR1 and no footer");
    assert_has(&message("parquet", folder.path()), &["train.parquet: ", "expected a Parquet file"]);
    let folder = tree(&[]);
    fs::copy(fixture("text/train.parquet"), folder.path().join("held-out.parquet")).unwrap();
    assert_has(&message("parquet", folder.path()), &["held-out.parquet: unknown split `held`"]);
    // A file that goes away after it was opened.
    let folder = tree(&[]);
    fs::copy(fixture("numbers/test-00000-of-00001.parquet"), folder.path().join("test.parquet")).unwrap();
    let dataset = open_as("parquet", folder.path(), "").unwrap();
    fs::remove_file(folder.path().join("test.parquet")).unwrap();
    assert_has(&decode(&dataset.splits["test"][0]).unwrap_err().to_string(), &["test.parquet: no such file"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_never_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
        end in any::<bool>(),
    ) {
        let mut bytes = fs::read(fixture("numbers/test-00000-of-00001.parquet")).unwrap();
        let length = bytes.len();
        for (place, value) in changes {
            // The footer is the last part, and the one that is parsed.
            let place = if end { length - 1 - place.index(length / 2) } else { place.index(length) };
            bytes[place] = value;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("test.parquet"), bytes).unwrap();
        if let Ok(dataset) = open_as("parquet", folder.path(), "") {
            for sample in &dataset.splits["test"] {
                let _ = decode(sample);
            }
        }
    }
}
