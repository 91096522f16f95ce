//! A folder for each class: `DIR/{train,val,test}/class/*.jpg`, or `DIR/class/*.jpg` without splits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::files::{Ending, Entry, ending, entries, require_folder};
use super::split::split_name;
use super::unicode::same_name;
use crate::skipped::Sort;
use crate::{Dataset, Error, Kind, Result, Sample, Skipped, Source};

const LAYOUT: &str = "`{train,test}/class/picture.jpg` or `class/picture.jpg`";

/// The pictures of each class, by the class's name.
type Classes = BTreeMap<String, Vec<String>>;

/// Reads a folder of class folders. If it holds folders of splits, each with class folders in it, those are the splits.
/// Classes are sorted by name, pictures by class and name.
pub(crate) fn open(root: &Path) -> Result<Dataset> {
    require_folder(root, LAYOUT)?;
    let mut skipped = Skipped::default();
    let found = entries(root, &mut skipped)?;
    if !has_splits(&found)? {
        let Found { classes: pictures, loose } = read_classes(root, found, "", true, &mut skipped)?;
        require_classes(root, &pictures, &loose)?;
        for path in &loose {
            skipped.add(Sort::Outside, path);
        }
        let classes: Vec<String> = pictures.keys().cloned().collect();
        let samples = label(root, &classes, pictures);
        let splits = BTreeMap::from([(Dataset::ALL.to_owned(), samples)]);
        return Ok(Dataset { skipped, ..super::dataset(Kind::Folder, root, classes, splits) });
    }
    let mut folders: BTreeMap<&str, Entry> = BTreeMap::new();
    for entry in found {
        match split_name(&entry.name) {
            Some(split) if entry.is_folder => {
                if let Some(other) = folders.get(split) {
                    let message = format!("`{}` and `{}` are both the split `{split}`", other.name, entry.name);
                    return Err(Error::layout(root, message));
                }
                folders.insert(split, entry);
            }
            _ if entry.is_folder => skipped.add(Sort::NoSplit, &entry.path),
            _ => pass_over_file(&entry.path, &mut skipped),
        }
    }
    let mut by_split = BTreeMap::new();
    // In this order, since the classes are those of `train`.
    for split in ["train", "val", "test"] {
        let Some(Entry { path, name, .. }) = folders.remove(split) else { continue };
        let inside = entries(&path, &mut skipped)?;
        let Found { mut classes, loose } =
            read_classes(&path, inside, &format!("{name}/"), split == "train", &mut skipped)?;
        let sort = match by_split.get("train") {
            // The pictures to be told apart of a competition.
            Some(_) if classes.is_empty() && !loose.is_empty() => Sort::Unlabelled,
            train => {
                require_classes(&path, &classes, &loose)?;
                if let Some(train) = train {
                    classes = known_classes(&path, classes, train)?;
                }
                Sort::Outside
            }
        };
        for path in &loose {
            skipped.add(sort, path);
        }
        if !classes.is_empty() {
            by_split.insert(split, classes);
        }
    }
    // Without a training set, to evaluate only, the classes are those there are.
    let known: BTreeSet<&String> = by_split
        .get("train")
        .map_or_else(|| by_split.values().flat_map(BTreeMap::keys).collect(), |train| train.keys().collect());
    let classes: Vec<String> = known.into_iter().cloned().collect();
    let splits = by_split.into_iter().map(|(split, pictures)| (split.to_owned(), label(root, &classes, pictures)));
    let splits = splits.collect();
    Ok(Dataset { skipped, ..super::dataset(Kind::Folder, root, classes, splits) })
}

/// Whether there are folders of splits among these. One that holds pictures and no folder is a class that is called so, if
/// other classes are beside it.
fn has_splits(found: &[Entry]) -> Result<bool> {
    let (named, others): (Vec<&Entry>, Vec<&Entry>) =
        found.iter().filter(|entry| entry.is_folder).partition(|entry| split_name(&entry.name).is_some());
    for entry in &named {
        if entries(&entry.path, &mut Skipped::default())?.iter().any(|inner| inner.is_folder) {
            return Ok(true);
        }
    }
    Ok(!named.is_empty() && others.is_empty())
}

/// The classes of another split under the names that `train` has for them.
fn known_classes(folder: &Path, classes: Classes, train: &Classes) -> Result<Classes> {
    let rename = |(class, pictures): (String, Vec<String>)| {
        if train.contains_key(&class) {
            return Ok((class, pictures));
        }
        let known = train.keys().find(|known| same_name(known, &class)).cloned();
        let message = || format!("class `{class}` is not in `train`, expected only classes that are");
        Ok((known.ok_or_else(|| Error::layout(folder, message()))?, pictures))
    };
    classes.into_iter().map(rename).collect()
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

/// What a folder of class folders holds.
struct Found {
    classes: Classes,
    /// The pictures beside the class folders.
    loose: Vec<PathBuf>,
}

/// The classes among the entries of `folder`. If all of them must have pictures, one without is an error.
fn read_classes(
    folder: &Path,
    found: Vec<Entry>,
    prefix: &str,
    must_have_pictures: bool,
    skipped: &mut Skipped,
) -> Result<Found> {
    let mut classes = BTreeMap::new();
    let mut loose = Vec::new();
    for class in found {
        if !class.is_folder {
            match ending(&class.path) {
                Ending::Picture => loose.push(class.path),
                _ => pass_over_file(&class.path, skipped),
            }
            continue;
        }
        let mut pictures = Vec::new();
        let mut passed_over = Skipped::default();
        for entry in entries(&class.path, &mut passed_over)? {
            if entry.is_folder {
                pass_over_folder(&entry.path, 0, &mut passed_over)?;
            } else if ending(&entry.path) == Ending::Picture {
                pictures.push(format!("{prefix}{}/{}", class.name, entry.name));
            } else {
                pass_over_file(&entry.path, &mut passed_over);
            }
        }
        if !pictures.is_empty() {
            classes.insert(class.name, pictures);
        } else if holds_runs(&class.path) {
            skipped.add(Sort::Run, &class.path);
            continue;
        } else if must_have_pictures {
            let why = if passed_over.is_empty() { String::new() } else { format!(" ({passed_over})") };
            let message = format!("this class has no picture{why}, expected at least one");
            return Err(Error::layout(&folder.join(class.name), message));
        } else {
            skipped.add(Sort::EmptyClass, &class.path);
        }
        skipped.extend(passed_over);
    }
    Ok(Found { classes, loose })
}

/// Whether a folder is that of a training run of c2f, or has nothing but such folders in it: somebody trains among the pictures.
fn holds_runs(folder: &Path) -> bool {
    let is_run = |folder: &Path| folder.join("config.toml").is_file() || folder.join(".lock").is_file();
    let inside = || entries(folder, &mut Skipped::default()).unwrap_or_default();
    let are_runs = |inside: Vec<Entry>| !inside.is_empty() && inside.iter().all(|entry| is_run(&entry.path));
    is_run(folder) || are_runs(inside())
}

fn require_classes(folder: &Path, classes: &Classes, loose: &[PathBuf]) -> Result<()> {
    match (classes.is_empty(), loose.len()) {
        (false, _) => Ok(()),
        (true, 0) => Err(Error::layout(folder, format!("is empty, expected {LAYOUT}"))),
        (true, loose) => {
            Err(Error::layout(folder, format!("holds {loose} pictures but no folder of a class, expected {LAYOUT}")))
        }
    }
}

/// Counts a file that isn't in its place, or isn't read, if it is a picture.
fn pass_over_file(path: &Path, skipped: &mut Skipped) {
    match ending(path) {
        Ending::Picture => skipped.add(Sort::Outside, path),
        Ending::OtherPicture => skipped.add(Sort::OtherFormat, path),
        Ending::Other => {}
    }
}

/// Counts the pictures in a folder below a class. Links may lead round in a circle, so there is an end to the depth.
fn pass_over_folder(folder: &Path, depth: usize, skipped: &mut Skipped) -> Result<()> {
    for entry in entries(folder, skipped)? {
        if !entry.is_folder {
            pass_over_file(&entry.path, skipped);
        } else if depth < 4 && !entry.path.is_symlink() {
            pass_over_folder(&entry.path, depth + 1, skipped)?;
        }
    }
    Ok(())
}
