//! Measures how fast the loader reads the pictures of a folder for training: decoding, random resized crop, flip,
//! normalisation, batches of 32.
//!
//! `cargo run --release -p c2f-data --example loader -- FOLDER SIZE THREADS` reads `FOLDER/*/*` twice and prints a JSON
//! object about the second time: pictures per second, the median time between two batches, and the most memory.
//! `cargo xtask bench` sets torchvision beside it.

use std::path::Path;
use std::time::Instant;

use c2f_data::{ColorJitter, Loader, LoaderConfig, Result, Sample, Source, TrainTransform, Transform};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, size, threads] = arguments.as_slice() else {
        return Err("expected FOLDER SIZE THREADS".into());
    };
    let size = size.parse()?;
    let transform = Transform::Train(TrainTransform {
        size,
        source_size: size,
        scale: (0.5, 1.0),
        ratio: (0.75, 4.0 / 3.0),
        flip: 0.5,
        jitter: ColorJitter::default(),
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
    });
    let config = LoaderConfig { threads: threads.parse()?, shuffle: true, ..LoaderConfig::default() };
    let loader = Loader::new(samples(Path::new(folder))?.into(), transform, config);
    // The first time fills the operating system's cache of files.
    epoch(&loader, 0)?;
    let start = Instant::now();
    let (pictures, mut times) = epoch(&loader, 1)?;
    let images_per_s = pictures as f64 / start.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
    let peak = peak_rss_mb().map_or("null".to_owned(), |mb| mb.to_string());
    println!(r#"{{"images_per_s": {images_per_s}, "step_ms_median": {median}, "peak_rss_mb": {peak}}}"#);
    Ok(())
}

/// The pictures of an epoch, and the milliseconds that each batch took.
fn epoch(loader: &Loader, epoch: u64) -> Result<(usize, Vec<f64>)> {
    let (mut pictures, mut times, mut last) = (0, Vec::new(), Instant::now());
    for batch in loader.epoch(epoch, 0) {
        pictures += batch?.labels.len();
        times.push(last.elapsed().as_secs_f64() * 1e3);
        last = Instant::now();
    }
    Ok((pictures, times))
}

/// The files in the folders in a folder, as torchvision's `ImageFolder` finds them.
fn samples(folder: &Path) -> std::io::Result<Vec<Sample>> {
    let mut paths = Vec::new();
    for class in std::fs::read_dir(folder)? {
        let class = class?.path();
        if class.is_dir() {
            for file in std::fs::read_dir(class)? {
                paths.push(file?.path());
            }
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    paths.sort();
    let sample = |path: std::path::PathBuf| Sample {
        file: path.display().to_string(),
        label: 0,
        source: Source::File(path),
    };
    Ok(paths.into_iter().map(sample).collect())
}

/// As Linux counts it.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}
