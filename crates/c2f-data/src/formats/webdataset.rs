//! Tar files with many pictures in each, as WebDataset has them: `train-{0000..0015}.tar`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::braces::expand;
use super::classes::{labels, sorted};
use super::files::{Entry, MAX_PICTURES, entries, read_text};
use super::split::split_name;
use crate::shard::{CLASSES, Contents, HIERARCHY, contents_of_all};
use crate::{Dataset, Error, Kind, Result, Sample, Skipped, Source};

const LAYOUT: &str = "tar files such as `train-000000.tar`";

/// The tar files of a data set.
struct Found {
    /// The smallest folder that holds them all: that of the index and of the class list.
    root: PathBuf,
    /// Their paths in it.
    names: Vec<String>,
    skipped: Skipped,
}

/// Reads one tar file, all of a folder and of folders of splits in it, or those that a pattern with braces stands for. A file's
/// split is the first word of its name that means one, or its folder's name; with `train` alone, or without such a word, there are
/// none. Classes are the lines of `classes.txt`, or the labels, sorted.
pub(crate) fn open(pattern: &Path) -> Result<Dataset> {
    let Found { root, names, mut skipped } = find(pattern)?;
    let splits_of_names: Vec<Option<&str>> = names.iter().map(|name| split_of(name)).collect();
    if splits_of_names.iter().any(Option::is_some)
        && let Some((name, _)) = names.iter().zip(&splits_of_names).find(|(_, split)| split.is_none())
    {
        let message = "its name has no split in it, as others have, expected `train`, `val` or `test`";
        return Err(Error::layout(&root.join(name), message));
    }
    let shards = contents_of_all(&root, &names)?;
    if shards.iter().map(|(_, contents)| contents.pictures.len()).sum::<usize>() > MAX_PICTURES {
        return Err(Error::layout(&root, format!("has more than {MAX_PICTURES} pictures")));
    }
    let listed = class_list(&root)?;
    let is_listed = listed.is_some();
    let classes = listed.unwrap_or_else(|| {
        let labels: BTreeSet<&str> =
            shards.iter().flat_map(|(_, contents)| contents.labels.iter().map(|label| &**label)).collect();
        sorted(labels.into_iter().map(str::to_owned))
    });
    let by_name = labels(&classes);
    let mut splits: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for ((shard, contents), (name, split)) in shards.into_iter().zip(names.iter().zip(splits_of_names)) {
        let labels = resolve(&contents, is_listed, &classes, &by_name)
            .map_err(|message| Error::layout(shard.path(), message))?;
        skipped.extend(contents.skipped.below(shard.path()));
        let shard = Arc::new(shard);
        let samples = splits.entry(split.unwrap_or(Dataset::ALL).to_owned()).or_default();
        samples.extend(contents.pictures.into_iter().map(|(offset, length, label, member)| {
            let source = Source::Shard { shard: Arc::clone(&shard), offset, length };
            Sample::new(format!("{name}/{member}"), labels[label as usize], source)
        }));
    }
    splits.retain(|_, samples| !samples.is_empty());
    if splits.is_empty() {
        return Err(Error::layout(&root, "has no picture with a label, expected `.cls` or `.json` beside each"));
    }
    if splits.len() == 1
        && let Some(samples) = splits.remove("train")
    {
        splits.insert(Dataset::ALL.to_owned(), samples);
    }
    let ancestors = hierarchy(&root, classes.len())?;
    Ok(Dataset { ancestors, skipped, ..super::dataset(Kind::Webdataset, &root, classes, splits) })
}

/// The label of each of a shard's texts: its place in the class list, or that of the class of its name.
fn resolve(
    contents: &Contents,
    is_listed: bool,
    classes: &[String],
    by_name: &HashMap<&str, usize>,
) -> Result<Vec<usize>, String> {
    let label = |(index, text): (usize, &str)| {
        let number = is_listed.then(|| text.parse::<usize>().ok()).flatten();
        let label = number.or_else(|| by_name.get(text).copied()).filter(|label| *label < classes.len());
        label.ok_or_else(|| {
            let picture = contents.pictures.iter().find(|picture| picture.2 as usize == index);
            let name = picture.map_or("", |picture| &*picture.3);
            format!("`{name}` is of class `{text}`, expected one of the {} of {CLASSES}, from 0", classes.len())
        })
    };
    contents.labels.iter().map(|text| &**text).enumerate().map(label).collect()
}

/// The first word of a shard's name that means a split, or that of its folder: `cc-train-0000.tar`, `train/0000.tar`.
fn split_of(name: &str) -> Option<&'static str> {
    let mut parts = name.rsplit('/');
    let file = parts.next()?.trim_end_matches(".tar");
    let word = file.split(|letter: char| !letter.is_alphabetic()).find_map(split_name);
    word.or_else(|| parts.find_map(split_name))
}

fn find(pattern: &Path) -> Result<Found> {
    let mut skipped = Skipped::default();
    if pattern.is_dir() {
        let names = in_folder(pattern, &mut skipped)?;
        if names.is_empty() {
            return Err(Error::layout(pattern, format!("has no tar file in it, expected {LAYOUT}")));
        }
        return Ok(Found { root: pattern.to_owned(), names, skipped });
    }
    let text = pattern.to_string_lossy();
    let texts = if pattern.exists() {
        vec![text.into_owned()]
    } else {
        expand(&text).map_err(|message| Error::layout(pattern, message))?
    };
    let mut root = Path::new(&texts[0]).parent().unwrap_or(Path::new(""));
    while !texts.iter().all(|text| Path::new(text).starts_with(root)) {
        root = root.parent().unwrap_or(Path::new(""));
    }
    let mut seen = BTreeSet::new();
    for text in &texts {
        if !Path::new(text).is_file() {
            let what = if texts.len() > 1 { "each tar file that the pattern names" } else { LAYOUT };
            return Err(Error::layout(Path::new(text), format!("no such file, expected {what}")));
        }
        if !seen.insert(text) {
            return Err(Error::layout(Path::new(text), "is named twice, expected each tar file once"));
        }
    }
    let name = |text: &String| {
        let name = Path::new(text).strip_prefix(root).unwrap_or(Path::new(text));
        name.to_string_lossy().into_owned()
    };
    Ok(Found { root: root.to_owned(), names: texts.iter().map(name).collect(), skipped })
}

/// The tar files of a folder, and of the folders of splits in it.
fn in_folder(folder: &Path, skipped: &mut Skipped) -> Result<Vec<String>> {
    let is_tar = |entry: &Entry| !entry.is_folder && entry.path.extension().is_some_and(|ending| ending == "tar");
    let mut names = Vec::new();
    for entry in entries(folder, skipped)? {
        if is_tar(&entry) {
            names.push(entry.name);
        } else if entry.is_folder && split_name(&entry.name).is_some() {
            let inside = entries(&entry.path, skipped)?.into_iter().filter(is_tar);
            names.extend(inside.map(|file| format!("{}/{}", entry.name, file.name)));
        }
    }
    Ok(names)
}

/// The lines of `classes.txt`, if it is there.
fn class_list(root: &Path) -> Result<Option<Vec<String>>> {
    let path = root.join(CLASSES);
    if !path.exists() {
        return Ok(None);
    }
    let text = read_text(&path, "the name of a class in each line, in the order of the labels")?;
    let classes: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    let mut seen = BTreeSet::new();
    for (line, class) in (1..).zip(&classes) {
        if class.is_empty() || !seen.insert(class) {
            let what = if class.is_empty() { "is empty".to_owned() } else { format!("`{class}` is there twice") };
            return Err(Error::line(&path, line, format!("{what}, expected the name of a class, each once")));
        }
    }
    Ok(Some(classes))
}

/// The lines of `hierarchy.tsv`: what is above each class, from the top down, with tabs in between.
fn hierarchy(root: &Path, classes: usize) -> Result<Vec<Vec<String>>> {
    let path = root.join(HIERARCHY);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = read_text(&path, "a line for each class, with what is above it from the top down")?;
    let above = |line: &str| line.split('\t').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let ancestors: Vec<Vec<String>> = text.lines().map(above).collect();
    if ancestors.len() != classes {
        let message = format!("has {} lines, expected one for each of the {classes} classes", ancestors.len());
        return Err(Error::layout(&path, message));
    }
    Ok(ancestors)
}
