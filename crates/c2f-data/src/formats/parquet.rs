//! A data set as Hugging Face publishes it: `data/train-00000-of-00002.parquet` and so on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::classes::{labels, sorted};
use super::files::{Entry, entries, require_folder};
use super::split::split_name;
use crate::parquet::{Labels, ParquetFile};
use crate::skipped::Sort;
use crate::{Dataset, Error, Kind, Result, Sample, Skipped, Source};

const LAYOUT: &str = "files such as `data/train-00000-of-00002.parquet`";
/// What data sets have in place of the label of a picture that has none.
const UNLABELLED: i64 = -1;

/// One of the files, before it is opened.
struct Place {
    path: PathBuf,
    /// The file's path in the data set's folder.
    name: String,
    /// As the file's name or that of its folder says.
    split: Option<&'static str>,
}

impl Place {
    /// A file in a folder for `split`, if it is in one.
    fn new(path: PathBuf, name: String, split: Option<&'static str>) -> Self {
        let own = split_name(&first_word(&path));
        Self { path, name, split: own.or(split) }
    }
}

/// What a file's name begins with: `train` of `train-00000-of-00002.parquet`.
fn first_word(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    name.chars().take_while(|letter| letter.is_alphabetic()).collect()
}

/// The rows of one file.
struct Shard {
    split: &'static str,
    file: Arc<ParquetFile>,
    name: String,
    labels: Labels,
}

/// Reads one file, or the folder that holds them: directly, or in `data` or in the folder of a configuration. The split is
/// what their names begin with, or the name of their folder; with `train` alone, or files that are only numbered, there are
/// none. Classes have the order of the file's names, or are sorted.
pub(crate) fn open(root: &Path) -> Result<Dataset> {
    let mut skipped = Skipped::default();
    let places = find(root, &mut skipped)?;
    let has_splits = places.iter().any(|place| place.split.is_some());
    let mut shards = Vec::new();
    for Place { path, name, split } in places {
        // One that is named itself, and files that are only numbered, are everything there is.
        if split.is_none() && (has_splits || (path != root && !first_word(&path).is_empty())) {
            let message = format!("unknown split `{}`, expected `train`, `val` or `test`", first_word(&path));
            return Err(Error::layout(&path, message));
        }
        let file = ParquetFile::open(&path)?;
        let labels = file.labels()?;
        shards.push(Shard { split: split.unwrap_or(Dataset::ALL), file: Arc::new(file), name, labels });
    }
    let named = shards.iter().find_map(|shard| match &shard.labels {
        Labels::Numbers(_, names) => names.clone(),
        Labels::Names(_) => None,
    });
    let (classes, shards) = match named {
        Some(classes) => label_by_number(classes, shards)?,
        None => label_by_name(shards),
    };
    let mut splits: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for (Shard { split, file, name, .. }, labels) in shards {
        for (row, label) in (0..).zip(labels) {
            let Some(label) = label else {
                skipped.add(Sort::Unlabelled, &file.path().join(row.to_string()));
                continue;
            };
            let source = Source::Parquet { file: Arc::clone(&file), row };
            splits.entry(split.to_owned()).or_default().push(Sample::new(format!("{name}/{row}"), label, source));
        }
    }
    if splits.is_empty() {
        return Err(Error::layout(root, "has no picture with a label, expected labels from 0"));
    }
    if splits.len() == 1
        && let Some(samples) = splits.remove("train")
    {
        splits.insert(Dataset::ALL.to_owned(), samples);
    }
    Ok(Dataset { skipped, ..super::dataset(Kind::Parquet, root, classes, splits) })
}

/// The files of the data set.
fn find(root: &Path, skipped: &mut Skipped) -> Result<Vec<Place>> {
    if root.is_file() {
        let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(vec![Place::new(root.to_owned(), name, None)]);
    }
    require_folder(root, LAYOUT)?;
    // What the hub makes of other data sets lies in `default`.
    for (folder, prefix) in [(root.join("data"), "data/"), (root.join("default"), "default/"), (root.to_owned(), "")] {
        if folder.is_dir() {
            let found = in_folder(&folder, prefix, skipped)?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    let mut configurations = Vec::new();
    for entry in entries(root, &mut Skipped::default())?.into_iter().filter(|entry| entry.is_folder) {
        let found = in_folder(&entry.path, &format!("{}/", entry.name), skipped)?;
        if !found.is_empty() {
            configurations.push((entry.name, found));
        }
    }
    if configurations.len() > 1 {
        let names: Vec<&str> = configurations.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!("holds several data sets, expected the folder of one: {}", names.join(", "));
        return Err(Error::layout(root, message));
    }
    let data = root.join("data");
    let base = if data.is_dir() { &data } else { root };
    let missing = || Error::layout(base, format!("has no Parquet file in it, expected {LAYOUT}"));
    configurations.pop().map(|(_, found)| found).ok_or_else(missing)
}

/// The files in a folder, and in the folders of splits in it.
fn in_folder(folder: &Path, prefix: &str, skipped: &mut Skipped) -> Result<Vec<Place>> {
    let is_parquet = |entry: &Entry| !entry.is_folder && entry.name.ends_with(".parquet");
    let mut places = Vec::new();
    for entry in entries(folder, skipped)? {
        // Of a large data set the hub converts a part.
        let split = split_name(entry.name.trim_start_matches("partial-"));
        if is_parquet(&entry) {
            places.push(Place::new(entry.path, format!("{prefix}{}", entry.name), None));
        } else if entry.is_folder && split.is_some() {
            let inside = entries(&entry.path, skipped)?.into_iter().filter(is_parquet);
            let name = |file: &Entry| format!("{prefix}{}/{}", entry.name, file.name);
            places.extend(inside.map(|file| Place::new(file.path.clone(), name(&file), split)));
        }
    }
    Ok(places)
}

/// Each shard with the labels of its rows, of those that have one.
type Labelled = Vec<(Shard, Vec<Option<usize>>)>;

/// The labels are the numbers, of which the files give the names.
fn label_by_number(classes: Vec<String>, shards: Vec<Shard>) -> Result<(Vec<String>, Labelled)> {
    let mut labelled = Vec::new();
    for shard in shards {
        let error = |message: String| Error::layout(shard.file.path(), message);
        let Labels::Numbers(numbers, names) = &shard.labels else {
            return Err(error("has names for labels, expected numbers as other files have".to_owned()));
        };
        if names.as_ref().is_some_and(|names| *names != classes) {
            return Err(error("names other classes than the first file, expected the same".to_owned()));
        }
        let label = |(row, number): (usize, &i64)| {
            if *number == UNLABELLED {
                return Ok(None);
            }
            let label = usize::try_from(*number).ok().filter(|label| *label < classes.len());
            let outside =
                || error(format!("row {row}: class {number}, the file names {} classes, from 0", classes.len()));
            label.map(Some).ok_or_else(outside)
        };
        let labels = numbers.iter().enumerate().map(label).collect::<Result<_>>()?;
        labelled.push((shard, labels));
    }
    Ok((classes, labelled))
}

/// Classes without an order of their own.
fn label_by_name(shards: Vec<Shard>) -> (Vec<String>, Labelled) {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for shard in &shards {
        match &shard.labels {
            Labels::Numbers(numbers, _) => {
                let numbers: BTreeSet<i64> = numbers.iter().copied().filter(|number| *number != UNLABELLED).collect();
                names.extend(numbers.iter().map(ToString::to_string));
            }
            Labels::Names(found) => {
                names.extend(found.iter().collect::<BTreeSet<_>>().into_iter().map(ToString::to_string));
            }
        }
    }
    let classes = sorted(names);
    let by_name = labels(&classes);
    let label = |shard: Shard| {
        let labels = match &shard.labels {
            Labels::Numbers(numbers, _) => {
                numbers.iter().map(|number| by_name.get(number.to_string().as_str()).copied()).collect()
            }
            Labels::Names(names) => names.iter().map(|name| by_name.get(&**name).copied()).collect(),
        };
        (shard, labels)
    };
    let labelled = shards.into_iter().map(label).collect();
    (classes, labelled)
}
