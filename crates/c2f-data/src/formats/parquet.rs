//! A data set as Hugging Face publishes it: `data/train-00000-of-00002.parquet` and so on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::ALL;
use super::classes::{labels, sorted};
use super::files::{entries, require_folder, unpacked};
use super::split::split_name;
use crate::parquet::{Labels, ParquetFile};
use crate::{Dataset, Error, Kind, Result, Sample, Skipped, Source};

const LAYOUT: &str = "files such as `data/train-00000-of-00002.parquet`";

/// The rows of one file.
struct Shard {
    split: &'static str,
    file: Arc<ParquetFile>,
    /// The file's path in the data set's folder.
    name: String,
    labels: Labels,
}

/// Reads the folder that holds `data`, or the Parquet files themselves. The split is what their names begin with; with
/// `train` alone there are none. Classes have the order of the file's names, or are sorted.
pub(crate) fn open(root: &Path) -> Result<Dataset> {
    require_folder(root, LAYOUT)?;
    let base = unpacked(root, &["data"]);
    let prefix = if base == root { "" } else { "data/" };
    let mut skipped = Skipped::default();
    let mut shards = Vec::new();
    for entry in entries(&base, &mut skipped)? {
        let Some(stem) = entry.name.strip_suffix(".parquet") else { continue };
        let name = stem.split('-').next().unwrap_or(stem);
        let unknown =
            || Error::layout(&entry.path, format!("unknown split `{name}`, expected `train`, `val` or `test`"));
        let split = split_name(name).ok_or_else(unknown)?;
        let file = ParquetFile::open(&entry.path)?;
        let labels = file.labels()?;
        shards.push(Shard { split, file: Arc::new(file), name: format!("{prefix}{}", entry.name), labels });
    }
    if shards.is_empty() {
        return Err(Error::layout(&base, format!("has no Parquet file in it, expected {LAYOUT}")));
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
        let samples = (0..).zip(labels).map(|(row, label)| {
            Sample::new(format!("{name}/{row}"), label, Source::Parquet { file: Arc::clone(&file), row })
        });
        splits.entry(split.to_owned()).or_default().extend(samples);
    }
    if splits.len() == 1
        && let Some(samples) = splits.remove("train")
    {
        splits.insert(ALL.to_owned(), samples);
    }
    Ok(super::dataset(Kind::Parquet, root, classes, splits))
}

/// Each shard with the labels of its rows.
type Labelled = Vec<(Shard, Vec<usize>)>;

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
            let label = usize::try_from(*number).ok().filter(|label| *label < classes.len());
            label.ok_or_else(|| {
                error(format!("row {row}: class {number}, the file names {} classes, from 0", classes.len()))
            })
        };
        let labels = numbers.iter().enumerate().map(label).collect::<Result<_>>()?;
        labelled.push((shard, labels));
    }
    Ok((classes, labelled))
}

/// Classes without an order of their own.
fn label_by_name(shards: Vec<Shard>) -> (Vec<String>, Labelled) {
    let names = |labels: &Labels| -> Vec<String> {
        match labels {
            Labels::Numbers(numbers, _) => numbers.iter().map(ToString::to_string).collect(),
            Labels::Names(names) => names.clone(),
        }
    };
    let classes = sorted(shards.iter().flat_map(|shard| names(&shard.labels)));
    let labels = labels(&classes);
    let label = |shard: Shard| {
        let labels = names(&shard.labels).iter().map(|name| labels[name.as_str()]).collect();
        (shard, labels)
    };
    let labelled = shards.into_iter().map(label).collect();
    (classes, labelled)
}
