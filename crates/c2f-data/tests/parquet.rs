//! Data sets in Parquet files, as Hugging Face publishes them.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::basic::{Compression, GzipLevel, ZstdLevel};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use c2f_data::{Dataset, DiskCache, EvalTransform, Loader, LoaderConfig, Sample, Transform, decode, open_whole};
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

/// A file with a picture and a label of each row, as `make_parquet.py` writes them.
fn write_rows(path: &Path, compression: Compression, labels: &[i64]) {
    let schema = "message rows { optional group image { optional binary bytes; } required int64 label; }";
    write_columns(path, schema, compression, labels.len(), |column, pictures| match column {
        ColumnWriter::ByteArrayColumnWriter(column) => {
            column.write_batch(pictures, Some(&vec![2; pictures.len()]), None).unwrap()
        }
        ColumnWriter::Int64ColumnWriter(column) => column.write_batch(labels, None, None).unwrap(),
        _ => unreachable!("there is no other column"),
    });
}

fn write_columns(
    path: &Path,
    schema: &str,
    compression: Compression,
    count: usize,
    mut write: impl FnMut(&mut ColumnWriter<'_>, &[ByteArray]) -> usize,
) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pictures: Vec<ByteArray> = (0..count.min(26)).map(picture).collect();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, properties.into()).unwrap();
    let mut group = file.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        write(column.untyped(), &pictures);
        column.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
}

/// A picture whose red is ten times its number.
fn picture(number: usize) -> ByteArray {
    let image = image::RgbImage::from_pixel(4, 3, image::Rgb([10 * number as u8, 0, 0]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner().into()
}

#[test]
fn every_usual_compression_is_read() {
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4_RAW,
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_rows(&folder.path().join("test.parquet"), compression, &[4, 2, 4]);
        let dataset = open_as("parquet", folder.path(), "").unwrap();
        assert_eq!(
            (labels(&dataset, "test"), reds(&dataset, "test")),
            (vec![1, 0, 1], vec![0, 10, 20]),
            "{compression}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    write_rows(&folder.path().join("test.parquet"), Compression::LZ4, &[4, 2, 4]);
    assert_has(
        &message("parquet", folder.path()),
        &["is packed with LZ4, which isn't read (ZSTD, SNAPPY, GZIP and LZ4_RAW are)"],
    );
}

#[test]
fn rows_without_a_label_are_counted_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    write_rows(&folder.path().join("train.parquet"), Compression::SNAPPY, &[5, 3, -1, 5]);
    write_rows(&folder.path().join("test.parquet"), Compression::SNAPPY, &[-1, -1]);
    let dataset = open_whole(&format!("parquet:{}", folder.path().display()).parse().unwrap()).unwrap();
    assert_eq!((&dataset.classes[..], labels(&dataset, "all")), (&["3", "5"].map(str::to_owned)[..], vec![1, 0, 1]));
    // The rows keep their numbers.
    assert_eq!(reds(&dataset, "all"), [0, 10, 30]);
    assert_has(&dataset.skipped.to_string(), &["passed over: 3 pictures without a label", "test.parquet/0"]);
    fs::remove_file(folder.path().join("train.parquet")).unwrap();
    assert_has(&message("parquet", folder.path()), &["has no picture with a label"]);
}

#[test]
fn layouts_of_the_hub_are_found() {
    for (files, split, count) in [
        (&["default/train/0000.parquet", "default/train/0001.parquet", "default/test/0000.parquet"][..], "train", 6),
        (&["default/partial-train/0000.parquet", "default/test/0000.parquet"], "train", 3),
        (&["data/train-00000-of-00005-2a3f.parquet", "data/validation-00000-of-00001.parquet"], "val", 3),
        (&["plain_text/train-00000-of-00001.parquet", "plain_text/test-00000-of-00001.parquet"], "test", 3),
        (&["0000.parquet", "0001.parquet"], "all", 6),
        (&["train.parquet"], "all", 3),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            write_rows(&folder.path().join(file), Compression::SNAPPY, &[0, 1, 0]);
        }
        let dataset = open_whole(&format!("parquet:{}", folder.path().display()).parse().unwrap()).unwrap();
        assert_eq!(dataset.splits[split].len(), count, "{files:?}");
        // The file itself may be named, whatever it is called.
        let file = folder.path().join("mine.parquet");
        fs::copy(folder.path().join(files[0]), &file).unwrap();
        let alone = open_whole(&format!("parquet:{}", file.display()).parse().unwrap()).unwrap();
        assert_eq!((alone.splits["all"].len(), &*alone.splits["all"][0].file), (3, "mine.parquet/0"));
    }
    let folder = tempfile::tempdir().unwrap();
    for configuration in ["cats", "dogs"] {
        write_rows(&folder.path().join(configuration).join("train/0000.parquet"), Compression::SNAPPY, &[0, 1]);
    }
    assert_has(&message("parquet", folder.path()), &["several data sets, expected the folder of one: cats, dogs"]);
}

#[test]
fn what_a_small_file_claims_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("test.parquet");
    let schema = "message rows { optional group image { optional binary bytes; } required int64 label; }";
    let count = 1_000_000;
    write_columns(&file, schema, Compression::SNAPPY, count, |column, _| match column {
        ColumnWriter::ByteArrayColumnWriter(column) => column.write_batch(&[], Some(&vec![0; count]), None).unwrap(),
        ColumnWriter::Int64ColumnWriter(column) => column.write_batch(&vec![7; count], None, None).unwrap(),
        _ => unreachable!("there is no other column"),
    });
    assert_has(&message("parquet", folder.path()), &["test.parquet: claims more rows than its"]);
    let schema = "message rows { optional group image { optional binary bytes; } required binary label; }";
    let label = ByteArray::from(vec![b'a'; 2000]);
    write_columns(&file, schema, Compression::SNAPPY, 2, |column, pictures| match column {
        ColumnWriter::ByteArrayColumnWriter(column) if column.get_descriptor().name() == "label" => {
            column.write_batch(&[label.clone(), label.clone()], None, None).unwrap()
        }
        ColumnWriter::ByteArrayColumnWriter(column) => column.write_batch(pictures, Some(&[2, 2]), None).unwrap(),
        _ => unreachable!("there is no other column"),
    });
    assert_has(&message("parquet", folder.path()), &["a label has 2000 bytes, expected at most 1000"]);
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
    #![proptest_config(ProptestConfig::with_cases(2000))]

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
