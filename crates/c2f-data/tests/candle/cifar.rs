//! CIFAR-10 as candle reads it.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use c2f_data::candle::candle_datasets::vision;
use c2f_data::{Dataset, decode, open_whole};
use image::{Rgb, RgbImage};
use parquet::column::writer::ColumnWriter;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A label, and red, green and blue of 32 x 32 pixels.
const RECORD: u64 = 1 + 3 * 32 * 32;

/// What each file has to have, at least.
const RECORDS: u64 = 10_000;

/// A picture in which each pixel says where it is.
fn picture(blue: u8) -> RgbImage {
    RgbImage::from_fn(32, 32, |x, y| Rgb([x as u8, 100 + y as u8, blue]))
}

/// A file of black pictures of the class 0, but for one. The black ones take no room on the disk.
fn write_batch(path: &Path, place: u64, label: u8, picture: &RgbImage) {
    let mut file = File::create(path).unwrap();
    file.set_len(RECORDS * RECORD).unwrap();
    file.seek(SeekFrom::Start(place * RECORD)).unwrap();
    file.write_all(&[label]).unwrap();
    for channel in 0..3 {
        let plane: Vec<u8> = picture.pixels().map(|pixel| pixel[channel]).collect();
        file.write_all(&plane).unwrap();
    }
}

#[test]
fn the_binary_files_arrive_pixel_by_pixel() {
    let folder = tempfile::tempdir().unwrap();
    for number in 1..=5 {
        let path = folder.path().join(format!("data_batch_{number}.bin"));
        write_batch(&path, 7, number, &picture(10 * number));
    }
    write_batch(&folder.path().join("test_batch.bin"), RECORDS - 1, 9, &picture(200));
    let candles = vision::cifar::load_dir(folder.path()).unwrap();
    let dataset = Dataset::from_candle("cifar10", &candles).unwrap();
    assert_eq!((dataset.classes.len(), &*dataset.classes[9]), (10, "9"));
    let (train, test) = (&dataset.splits["train"], &dataset.splits["test"]);
    assert_eq!((train.len(), test.len()), (50_000, 10_000));
    for number in 1..=5 {
        let sample = &train[usize::from(number - 1) * 10_000 + 7];
        assert_eq!((sample.label, decode(sample).unwrap()), (number.into(), picture(10 * number)));
    }
    assert_eq!((test[9_999].label, decode(&test[9_999]).unwrap()), (9, picture(200)));
    assert_eq!((train[8].label, decode(&train[8]).unwrap()), (0, RgbImage::new(32, 32)));
}

/// A Parquet file with one picture, as Hugging Face has CIFAR-10.
fn write_parquet(path: &Path, picture: &RgbImage) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    let png = png.into_inner().into();
    let schema = "message rows { optional group img { optional binary bytes; } required int64 label; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut file = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::default()).unwrap();
    let mut group = file.next_row_group().unwrap();
    while let Some(mut column) = group.next_column().unwrap() {
        let written = match column.untyped() {
            ColumnWriter::ByteArrayColumnWriter(column) => {
                column.write_batch(std::slice::from_ref(&png), Some(&[2]), None)
            }
            ColumnWriter::Int64ColumnWriter(column) => column.write_batch(&[3], None, None),
            _ => unreachable!("there is no other column"),
        };
        assert_eq!(written.unwrap(), 1);
        column.close().unwrap();
    }
    group.close().unwrap();
    file.close().unwrap();
}

/// Says that candle is to look into the cache of Hugging Face's that the test has made.
const IN_A_PROCESS_OF_ITS_OWN: &str = "C2F_TEST_CACHE";

#[test]
fn candle_transposes_what_it_reads_from_parquet() {
    if let Some(cache) = std::env::var_os(IN_A_PROCESS_OF_ITS_OWN) {
        return parquet_is_transposed(Path::new(&cache));
    }
    // The place of the cache is told by variables, which a process can't safely change for itself.
    let home = tempfile::tempdir().unwrap();
    let cache = home.path().join("hub/datasets--cifar10");
    let reference = cache.join("refs/refs/convert/parquet");
    fs::create_dir_all(reference.parent().unwrap()).unwrap();
    fs::write(reference, "0".repeat(40)).unwrap();
    let snapshot = cache.join("snapshots").join("0".repeat(40)).join("plain_text");
    for split in ["train", "test"] {
        write_parquet(&snapshot.join(split).join("0000.parquet"), &picture(7));
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cifar::candle_transposes_what_it_reads_from_parquet"])
        .env(IN_A_PROCESS_OF_ITS_OWN, snapshot)
        .env("HF_HOME", home.path())
        // So that what isn't found isn't looked for anywhere else.
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HUGGINGFACE_HUB_CACHE")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
}

fn parquet_is_transposed(snapshot: &Path) {
    let mut candles = vision::cifar::load().unwrap();
    let read = |candles: &_| decode(&Dataset::from_candle("cifar10", candles).unwrap().splits["test"][0]).unwrap();
    let ours = open_whole(&format!("parquet:{}", snapshot.display()).parse().unwrap()).unwrap();
    assert_eq!(decode(&ours.splits["test"][0]).unwrap(), picture(7));
    let turned = read(&candles);
    assert!((0..32).all(|x| (0..32).all(|y| turned.get_pixel(x, y) == picture(7).get_pixel(y, x))));
    // What docs/datasets.md says to do.
    candles.test_images = candles.test_images.transpose(2, 3).unwrap();
    assert_eq!(read(&candles), picture(7));
}
