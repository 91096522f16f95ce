//! Event files, which TensorBoard reads: numbers, pictures and histograms by the step of the training.
//!
//! A file is a row of TFRecords (tensorflow/core/lib/io/record_writer.h), each of which is a message `Event`
//! (tensorboard/compat/proto/event.proto and summary.proto), of which these are the fields that are written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::{Error, Histogram, Result};

/// The first event of every file.
const VERSION: &str = "brain.Event:2";

/// A file that grows by events. Each is whole once [`Self::numbers`], [`Self::png`] or [`Self::histogram`] has come back.
#[derive(Debug)]
pub struct EventFile {
    file: File,
    path: PathBuf,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    /// `simple_value`.
    #[prost(float, optional, tag = "2")]
    number: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
    #[prost(message, optional, tag = "5")]
    histo: Option<HistogramProto>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// 3: RGB.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramProto {
    #[prost(double, tag = "1")]
    min: f64,
    #[prost(double, tag = "2")]
    max: f64,
    #[prost(double, tag = "3")]
    num: f64,
    #[prost(double, tag = "4")]
    sum: f64,
    #[prost(double, tag = "5")]
    sum_squares: f64,
    /// The upper end of each bucket.
    #[prost(double, repeated, tag = "6")]
    bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    bucket: Vec<f64>,
}

impl EventFile {
    /// A new file in `folder`, which is made if need be: `events.out.tfevents.TIME.PROCESS`. TensorBoard takes all files of a folder
    /// together, such as those of a run and of its continuation.
    ///
    /// # Errors
    /// If it can't be made or written.
    pub fn create(folder: &Path) -> Result<Self> {
        let io = |path: &Path, source| Error::Files(c2f_files::Error::io(path, source));
        fs::create_dir_all(folder).map_err(|source| io(folder, source))?;
        let name = format!("events.out.tfevents.{:010}.{}", now() as u64, std::process::id());
        let path = folder.join(name);
        let file = File::options().append(true).create(true).open(&path).map_err(|source| io(&path, source))?;
        let mut events = Self { file, path };
        events.write(&Event { wall_time: now(), file_version: Some(VERSION.to_owned()), ..Event::default() })?;
        Ok(events)
    }

    /// Adds numbers, each with its tag; a slash in it makes groups.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn numbers(&mut self, step: usize, numbers: &[(&str, f64)]) -> Result<()> {
        let value = |&(tag, number): &(&str, f64)| Value {
            tag: tag.to_owned(),
            number: Some(number as f32),
            ..Value::default()
        };
        self.summary(step, numbers.iter().map(value).collect())
    }

    /// Adds a picture, the bytes of a PNG of `width` by `height` pixels.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn png(&mut self, step: usize, tag: &str, png: Vec<u8>, (width, height): (u32, u32)) -> Result<()> {
        let (width, height) = (width as i32, height as i32);
        let image = Image { height, width, colorspace: 3, encoded_image_string: png };
        self.summary(step, vec![Value { tag: tag.to_owned(), image: Some(image), ..Value::default() }])
    }

    /// Adds a histogram, unless nothing was counted.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn histogram(&mut self, step: usize, tag: &str, histogram: &Histogram) -> Result<()> {
        let Some([min, max]) = histogram.range() else { return Ok(()) };
        let (bucket_limit, bucket) = histogram.buckets().unzip();
        let [num, sum, sum_squares] = histogram.moments();
        let histo = Some(HistogramProto { min, max, num, sum, sum_squares, bucket_limit, bucket });
        self.summary(step, vec![Value { tag: tag.to_owned(), histo, ..Value::default() }])
    }

    fn summary(&mut self, step: usize, value: Vec<Value>) -> Result<()> {
        let summary = Some(Summary { value });
        self.write(&Event { wall_time: now(), step: step as i64, summary, ..Event::default() })
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        let record = record(&event.encode_to_vec());
        self.file.write_all(&record).map_err(|source: io::Error| c2f_files::Error::io(&self.path, source).into())
    }
}

/// The length and its checksum, the bytes and theirs.
fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_checksum(&length), data, &masked_checksum(data)].concat()
}

/// A CRC of what holds CRCs itself is turned and moved, so that it doesn't come out even.
fn masked_checksum(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_tensorflows() {
        // As tf.io.TFRecordWriter writes b"abc".
        let expected = b"\x03\0\0\0\0\0\0\0\xb0\x99\x49\x0eabc\x6e\x57\xf1\x21";
        assert_eq!(record(b"abc"), expected);
    }

    #[test]
    fn what_was_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(&folder.path().join("board")).unwrap();
        events.numbers(7, &[("train/loss", 0.5), ("lr", 0.01)]).unwrap();
        events.png(8, "seen", vec![1, 2, 3], (4, 5)).unwrap();
        let mut histogram = Histogram::default();
        events.histogram(9, "empty", &histogram).unwrap();
        histogram.add(&[0.0, 0.5, 0.5]);
        events.histogram(9, "attention", &histogram).unwrap();
        let bytes = fs::read(&events.path).unwrap();
        let mut rest = &bytes[..];
        let mut read = Vec::new();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_checksum(&rest[..8]));
            assert_eq!(rest[12 + length..16 + length], masked_checksum(&rest[12..12 + length]));
            read.push(Event::decode(&rest[12..12 + length]).unwrap());
            rest = &rest[16 + length..];
        }
        assert_eq!(read[0].file_version.as_deref(), Some(VERSION));
        let values = |event: &Event| event.summary.as_ref().unwrap().value.clone();
        assert_eq!((read[1].step, values(&read[1])[0].number), (7, Some(0.5)));
        assert_eq!(values(&read[1])[1].tag, "lr");
        assert_eq!(values(&read[2])[0].image.as_ref().unwrap().height, 5);
        let histogram = values(&read[3])[0].histo.clone().unwrap();
        assert_eq!((read.len(), histogram.num, histogram.max, histogram.bucket), (4, 3.0, 0.5, vec![1.0, 2.0]));
    }
}
