//! Writes a large data set of tiny pictures as shards, to measure what finding its pictures costs (`docs/scale.md`).
//!
//! `cargo run --release -p c2f-data --example many_shards -- DIR` makes 500,000 pictures of 1000 classes in 128 shards.

use c2f_data::{Dataset, Sample, write_shards};
use image::{Rgb, RgbImage};

const CLASSES: usize = 1000;
const TRAIN: usize = 496_100;
const TEST: usize = 3_900;
/// So many bytes that there are 127 shards to train on, and one to test on: each picture takes four blocks of 512.
const SHARD_BYTES: u64 = TRAIN.div_ceil(127) as u64 * 4 * 512;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let to = std::env::args().nth(1).ok_or("expected DIR, a folder to make")?;
    let classes: Vec<String> = (0..CLASSES).map(|class| format!("class_{class:04}")).collect();
    let samples = |split: &str, count: usize| -> Vec<Sample> {
        let sample = |number: usize| {
            let shade = Rgb([(number % 251) as u8, (number % 241) as u8, (number % 239) as u8]);
            let make = move || Ok::<_, String>(RgbImage::from_pixel(8, 8, shade));
            Sample::of_closure(format!("{split}/{:04}_{number:06}", number % CLASSES), number % CLASSES, make)
        };
        (0..count).map(sample).collect()
    };
    let splits = [("train", samples("train", TRAIN)), ("test", samples("test", TEST))];
    let dataset = Dataset::of_samples("many", classes, splits)?;
    write_shards(&dataset, to.as_ref(), SHARD_BYTES, &mut |_| {})?;
    Ok(())
}
