//! How c2f's cost of a picture depends on the batch and on the picture's size.

use anyhow::Result;

use super::programs::{Programs, Speed};
use super::steps::{LITE0, Workload};
use crate::table::{Table, digits, or_unknown};

/// Few: the runs are many, and the differences of interest are large.
const STEPS: u32 = 3;
const BATCH_SIZES: [u32; 6] = [1, 2, 4, 8, 16, 32];
const IMAGE_SIZES: [u32; 5] = [112, 160, 224, 320, 448];

/// A table over batch sizes at 224 pixels, and one over picture sizes in batches of 4.
pub fn tables(programs: &Programs) -> Result<[Table; 2]> {
    let over_batches = BATCH_SIZES.map(|batch_size| training(224, batch_size));
    let over_sizes = IMAGE_SIZES.map(|image_size| training(image_size, 4));
    Ok([measure(programs, &over_batches)?, measure(programs, &over_sizes)?])
}

fn training(image_size: u32, batch_size: u32) -> Workload {
    Workload { backbone: LITE0, method: "baseline", mode: "train", image_size, batch_size }
}

fn measure(programs: &Programs, workloads: &[Workload]) -> Result<Table> {
    let columns = ["images/s", "ms per image", "ms per megapixel", "peak MB"];
    let mut table = Table::new(&[&["baseline tf_efficientnet_lite0, train"], &columns[..]].concat());
    for workload in workloads {
        eprintln!("scaling: batch {} at {} pixels", workload.batch_size, workload.image_size);
        table.push(row(workload, &workload.c2f(programs, STEPS)?));
    }
    Ok(table)
}

fn row(workload: &Workload, speed: &Speed) -> [String; 5] {
    let ms_per_image = 1e3 / speed.images_per_s;
    let megapixels = f64::from(workload.image_size).powi(2) / 1e6;
    [
        format!("batch {} at {} px", workload.batch_size, workload.image_size),
        digits(speed.images_per_s),
        digits(ms_per_image),
        digits(ms_per_image / megapixels),
        or_unknown(speed.peak_rss_mb),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_per_picture_and_per_pixel() {
        let speed = Speed { images_per_s: 20.0, step_ms_median: 200.0, peak_rss_mb: Some(512.0) };
        let row = row(&training(500, 4), &speed);
        assert_eq!(row, ["batch 4 at 500 px", "20.0", "50.0", "200", "512"].map(str::to_owned));
    }
}
