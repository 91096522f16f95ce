//! What the tests of layouts share.
// Each test file is a crate of its own and uses some of these.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use c2f_data::{Dataset, Result, open};
use proptest::prelude::*;
use proptest::sample::Index;
use serde::Deserialize;
use tempfile::TempDir;

/// A folder with these files; pixels are not read here, so a name is enough.
pub fn tree(files: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        write(folder.path(), file, "");
    }
    folder
}

pub fn write(folder: &Path, file: &str, text: &str) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

pub fn open_as(kind: &str, path: &Path, options: &str) -> Result<Dataset> {
    open(&format!("{kind}:{}?{options}", path.display()).parse()?)
}

pub fn message(kind: &str, path: &Path) -> String {
    let message = open_as(kind, path, "").unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

pub fn files(dataset: &Dataset, split: &str) -> Vec<(String, usize)> {
    dataset.splits[split].iter().map(|s| (s.file.to_string(), s.label)).collect()
}

pub fn assert_has(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in `{message}`");
    }
}

/// Places in a file with what is put there instead of a byte, and where it is cut off, if it is.
pub type Damages = (Vec<(Index, String)>, Option<Index>);

pub fn damages() -> impl Strategy<Value = Damages> {
    (proptest::collection::vec((any::<Index>(), "[ -~\n]|\\PC"), 1..5), proptest::option::of(any::<Index>()))
}

pub fn damage(path: &Path, (changes, cut): Damages) {
    let mut bytes = fs::read(path).unwrap();
    for (place, text) in changes {
        let place = place.index(bytes.len());
        bytes.splice(place..=place, text.into_bytes());
    }
    if let Some(cut) = cut {
        bytes.truncate(cut.index(bytes.len()));
    }
    fs::write(path, bytes).unwrap();
}

/// What `make_layouts.py` writes beside a layout.
#[derive(Deserialize)]
pub struct Expected {
    /// Every picture of the layout.
    pictures: Vec<String>,
    pub classes: Vec<String>,
    splits: std::collections::BTreeMap<String, Vec<(String, usize)>>,
}

impl Expected {
    pub fn read(layout: &str, file: &str) -> Self {
        serde_json::from_slice(&fs::read(fixtures(layout).join(file)).unwrap()).unwrap()
    }

    /// Compares pictures and labels of a split, in any order: torchvision lists folders, or JSON that has none.
    pub fn assert_split(&self, dataset: &Dataset, split: &str, expected: &str) {
        let mut found = files(dataset, split);
        found.sort();
        assert_eq!(found, self.splits[expected], "{split}");
    }
}

pub fn fixtures(layout: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layouts").join(layout)
}

/// A copy of one of the layouts that `make_layouts.py` makes, with its pictures.
pub fn layout(name: &str, expected: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures(name), folder.path());
    for picture in Expected::read(name, expected).pictures {
        write(folder.path(), &picture, "");
    }
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}
