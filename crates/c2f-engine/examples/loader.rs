//! Measures how fast the loader reads the pictures of a folder for training: decoding, random resized crop, flip,
//! normalisation, batches of 32.
//!
//! `cargo run --release -p c2f-engine --example loader -- FOLDER SIZE THREADS [CACHE]` reads a thousand of the pictures
//! `FOLDER/*/*.jpg` twice and prints a JSON object with the pictures per second of the second time; with the folder CACHE, the
//! first time puts the decoded pictures there, and the second reads them. `cargo xtask bench` sets torchvision beside it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use c2f_data::{DiskCache, Loader, LoaderConfig, Result, Sample, Source, TrainTransform, Transform};

/// Evenly spaced among those of the folder.
const MOST_PICTURES: usize = 1000;

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, size, threads, cache @ ..] = arguments.as_slice() else {
        return Err("expected FOLDER SIZE THREADS [CACHE]".into());
    };
    let size = size.parse()?;
    let transform =
        Transform::Train(TrainTransform { size, source_size: size, scale: (0.5, 1.0), ..TrainTransform::default() });
    let config = LoaderConfig { threads: threads.parse()?, shuffle: true, ..LoaderConfig::default() };
    let mut loader = Loader::new(samples(Path::new(folder))?.into(), transform, config);
    if let [cache] = cache {
        let disk = DiskCache::open(Path::new(cache), u64::MAX, loader.samples())?;
        loader = loader.with_disk_cache(disk);
    }
    // As the program does: the memory of a batch is used again for the next.
    c2f_ops::keep_freed_memory();
    // The first time fills the operating system's cache of files.
    read(&loader, 0)?;
    let start = Instant::now();
    let pictures = read(&loader, 1)?;
    println!(r#"{{"images_per_s": {}}}"#, pictures as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

/// Reads all batches of an epoch and gives the number of pictures.
fn read(loader: &Loader, epoch: u64) -> Result<usize> {
    loader.epoch(epoch, 0).map(|batch| Ok(batch?.labels.len())).sum()
}

/// The JPEGs in the folders in a folder, as torchvision's `ImageFolder` finds them.
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
    let root: Arc<Path> = folder.into();
    let sample = |path: PathBuf| {
        let file = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy();
        Sample::new(&*file, 0, Source::File { root: Arc::clone(&root) })
    };
    let step = paths.len().div_ceil(MOST_PICTURES).max(1);
    Ok(paths.into_iter().step_by(step).map(sample).collect())
}
