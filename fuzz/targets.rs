//! Everything that reads bytes which anybody may have written: a function for each format. Whatever the bytes, it returns: no
//! panic, no abort, no endless loop, no memory that the bytes don't account for. The fuzzer calls these, and so does the test
//! of mutated inputs (`crates/c2f-train/tests/mutated.rs`).

use std::path::Path;

use c2f_data::{Spec, decode, decode_file, open_with_missing};
use c2f_engine::checkpoint::Checkpoint;
use c2f_engine::{Recipe, read_metrics};

/// Reads the bytes. The folder is for files that it takes; it may hold those of the last call.
pub type Target = fn(&Path, &[u8]);

/// Each with the name of its folder in `fuzz/corpus`.
pub const TARGETS: [(&str, Target); 12] = [
    ("annotation", annotation),
    ("checkpoint", checkpoint),
    ("inat", inat),
    ("list", list),
    ("mat", mat),
    ("metrics", metrics),
    ("parquet", parquet),
    ("picture", picture),
    ("recipe", recipe),
    ("spec", spec),
    ("webdataset", webdataset),
    ("weights", weights),
];

/// Pascal VOC's XML, as Stanford Dogs has it.
pub fn annotation(folder: &Path, bytes: &[u8]) {
    write(folder, "train_list.mat", include_bytes!("../crates/c2f-data/tests/fixtures/layouts/dogs/train_list.mat"));
    write(folder, "test_list.mat", include_bytes!("../crates/c2f-data/tests/fixtures/layouts/dogs/test_list.mat"));
    write(folder, "Annotation/n02085782-Japanese_spaniel/n02085782_1", bytes);
    open("dogs", folder);
}

/// A checkpoint of c2f.
pub fn checkpoint(folder: &Path, bytes: &[u8]) {
    let _ = Checkpoint::read(&write(folder, "x.safetensors", bytes));
}

/// The JSON of iNaturalist.
pub fn inat(folder: &Path, bytes: &[u8]) {
    write(folder, "train2018.json", bytes);
    write(folder, "val2018.json", bytes);
    open("inat2018", folder);
}

/// A list of pictures.
pub fn list(folder: &Path, bytes: &[u8]) {
    open("list", &write(folder, "list.csv", bytes));
}

/// A MATLAB file, as Stanford Cars has it.
pub fn mat(folder: &Path, bytes: &[u8]) {
    write(folder, "cars_annos.mat", bytes);
    open("cars", folder);
}

/// A run's `metrics.jsonl`.
pub fn metrics(folder: &Path, bytes: &[u8]) {
    let _ = read_metrics(&write(folder, "metrics.jsonl", bytes));
}

/// A Parquet file, and the first pictures in it.
pub fn parquet(folder: &Path, bytes: &[u8]) {
    write(folder, "train.parquet", bytes);
    decode_first("parquet", folder);
}

/// A picture of any format.
pub fn picture(folder: &Path, bytes: &[u8]) {
    let _ = decode_file(&write(folder, "picture", bytes));
}

/// A recipe.
pub fn recipe(_: &Path, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Recipe::from_toml("mutated", text);
    }
}

/// The name of a data set.
pub fn spec(_: &Path, bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = text.parse::<Spec>();
    }
}

/// A tar file of samples, and the first pictures in it.
pub fn webdataset(folder: &Path, bytes: &[u8]) {
    write(folder, "train.tar", bytes);
    decode_first("webdataset", folder);
}

/// A file of weights: safetensors, or a pickle with or without a zip archive around it.
pub fn weights(folder: &Path, bytes: &[u8]) {
    let _ = c2f_backbone::read_weights(&write(folder, "weights", bytes));
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, bytes).expect("a scratch file");
    path
}

fn decode_first(kind: &str, path: &Path) {
    let spec: Spec = format!("{kind}:{}", path.display()).parse().expect("a spec");
    if let Ok(dataset) = c2f_data::open_whole(&spec) {
        for sample in dataset.all().iter().take(4) {
            let _ = decode(sample);
        }
    }
}

fn open(kind: &str, path: &Path) {
    let spec: Spec = format!("{kind}:{}", path.display()).parse().expect("a spec");
    let _ = open_with_missing(&spec);
}
