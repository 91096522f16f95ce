//! A folder for each class: `DIR/{train,val,test}/class/*.jpg`, or `DIR/class/*.jpg` without splits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::ALL;
use super::files::{entries, is_picture, require_folder};
use crate::{Dataset, Error, Kind, Result, Sample, Source};

const LAYOUT: &str = "`{train,test}/class/picture.jpg` or `class/picture.jpg`";

/// The pictures of each class, by the class's name.
type Classes = BTreeMap<String, Vec<String>>;

/// Reads a folder of class folders. If it holds `train` or `test`, those (and `val`) are the splits. Classes are sorted by
/// name, pictures by class and name.
pub(crate) fn open(root: &Path) -> Result<Dataset> {
    require_folder(root, LAYOUT)?;
    if !root.join("train").is_dir() && !root.join("test").is_dir() {
        let pictures = read_classes(root, "")?;
        let classes: Vec<String> = pictures.keys().cloned().collect();
        let splits = BTreeMap::from([(ALL.to_owned(), label(root, &classes, pictures))]);
        return Ok(super::dataset(Kind::Folder, root, classes, splits));
    }
    let mut by_split = BTreeMap::new();
    for split in ["train", "val", "test"] {
        let folder = root.join(split);
        if folder.is_dir() {
            by_split.insert(split, read_classes(&folder, &format!("{split}/"))?);
        }
    }
    // Without a training set, to evaluate only, the classes are those there are.
    let known: BTreeSet<String> = match by_split.get("train") {
        Some(train) => train.keys().cloned().collect(),
        None => by_split.values().flat_map(BTreeMap::keys).cloned().collect(),
    };
    for (split, pictures) in &by_split {
        if let Some(class) = pictures.keys().find(|c| !known.contains(*c)) {
            let message = format!("class `{class}` is not in `train`, expected only classes that are");
            return Err(Error::layout(&root.join(split), message));
        }
    }
    let classes: Vec<String> = known.into_iter().collect();
    let splits = by_split.into_iter().map(|(split, pictures)| (split.to_owned(), label(root, &classes, pictures)));
    let splits = splits.collect();
    Ok(super::dataset(Kind::Folder, root, classes, splits))
}

/// Gives the pictures their labels, indices into the sorted `classes`.
fn label(root: &Path, classes: &[String], mut pictures: Classes) -> Vec<Sample> {
    let source = Source::File { root: root.into() };
    let mut samples = Vec::new();
    for (label, class) in classes.iter().enumerate() {
        let files = pictures.remove(class).unwrap_or_default();
        samples.extend(files.into_iter().map(|file| Sample::new(file, label, source.clone())));
    }
    samples
}

fn read_classes(folder: &Path, prefix: &str) -> Result<Classes> {
    let mut classes = BTreeMap::new();
    let mut loose = 0;
    for class in entries(folder)? {
        if !class.is_folder {
            loose += usize::from(is_picture(&class.path));
            continue;
        }
        let pictures: Vec<String> = entries(&class.path)?
            .into_iter()
            .filter(|e| !e.is_folder && is_picture(&e.path))
            .map(|e| format!("{prefix}{}/{}", class.name, e.name))
            .collect();
        if pictures.is_empty() {
            return Err(Error::layout(&class.path, "this class has no picture, expected at least one"));
        }
        classes.insert(class.name, pictures);
    }
    match (classes.is_empty(), loose) {
        (false, _) => Ok(classes),
        (true, 0) => Err(Error::layout(folder, format!("is empty, expected {LAYOUT}"))),
        (true, _) => {
            Err(Error::layout(folder, format!("holds {loose} pictures but no folder of a class, expected {LAYOUT}")))
        }
    }
}
