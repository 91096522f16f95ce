//! A data set in memory: names, labels and where the pictures are, but no pixels.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use image::RgbImage;
use rand::seq::SliceRandom;

use crate::formats::Listed;
use crate::formats::split::stratified;
use crate::kind::Asked;
use crate::random::generator;
use crate::spec::TrainOn;
use crate::synthetic::Scene;
use crate::{Error, Maker, ParquetFile, Result, Shard, Skipped, Spec};

/// A data set: its classes and the pictures of each split.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The kind's name, and the last part of the path.
    pub name: String,
    /// The names of the classes, in the order of their labels.
    pub classes: Vec<String>,
    /// What each class belongs to, from the most general down (`["Animalia", "Chordata", "Aves"]`): as many as there are
    /// classes, or none where the archive has no hierarchy.
    pub ancestors: Vec<Vec<String>>,
    /// The names of the parts that [`Sample::parts`] locates; none where the archive has no parts.
    pub parts: Vec<String>,
    /// The pictures of `train`, `val` and `test`, as far as the data set has them, in a fixed order.
    pub splits: BTreeMap<String, Vec<Sample>>,
    /// Whether the splits were drawn by the seed, since the data set has none of its own.
    pub drawn: bool,
    /// What lies in the data set and is in none of the splits.
    pub skipped: Skipped,
}

/// One labelled picture.
///
/// There may be millions. The name is shared between clones, and the path of a file is put together when it is opened.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What to call the picture: its path in the data set's folder, or `synthetic/train/000012`.
    pub file: Arc<str>,
    /// Index into [`Dataset::classes`].
    pub label: usize,
    /// Where the pixels come from.
    pub source: Source,
    /// The box around the object, where the archive has one.
    pub bounding_box: Option<BoundingBox>,
    /// Where each of [`Dataset::parts`] is, `None` for one that can't be seen; empty where the archive has no parts.
    pub parts: Box<[Option<Point>]>,
}

impl Sample {
    /// A picture of which only its label is known.
    pub fn new(file: impl Into<Arc<str>>, label: usize, source: Source) -> Self {
        Self { file: file.into(), label, source, bounding_box: None, parts: Box::default() }
    }
}

/// Where the pixels of a picture come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The file that [`Sample::file`] names, in this folder.
    File {
        /// The folder.
        root: Arc<Path>,
    },
    /// A row of a Parquet file, read anew each time it is asked for.
    Parquet {
        /// The file, whose footer all its pictures share.
        file: Arc<ParquetFile>,
        /// The row, counted from 0.
        row: u64,
    },
    /// A member of a tar file, read anew each time it is asked for.
    Shard {
        /// The tar file.
        shard: Arc<Shard>,
        /// Where the picture begins in it, in bytes.
        offset: u64,
        /// How many bytes the picture has.
        length: u64,
    },
    /// A picture in memory.
    Memory {
        /// Its pixels.
        picture: Arc<RgbImage>,
    },
    /// A picture that a closure makes anew each time it is asked for.
    Made {
        /// The closure.
        make: Maker,
    },
    /// A scene of the synthetic data set, drawn anew each time it is asked for.
    Synthetic {
        /// What to draw; [`Scene::draw`] also gives the boxes of the deciding parts.
        scene: Scene,
        /// Width and height in pixels.
        size: u32,
    },
}

impl Source {
    /// Whether the picture is stored somewhere, as a file of a format that has to be decoded.
    pub fn is_encoded(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Parquet { .. } | Self::Shard { .. })
    }
}

/// A box in the picture as its file holds it, before any EXIF orientation. It is given in pixels as [`Point`] is, whatever
/// the archive counts from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundingBox {
    /// The left edge.
    pub left: f32,
    /// The upper edge.
    pub top: f32,
    /// From the left to the right edge.
    pub width: f32,
    /// From the upper to the lower edge.
    pub height: f32,
}

impl BoundingBox {
    /// The box whose first and last pixels are given, as MATLAB counts them: from 1.
    pub(crate) fn from_pixels([x1, y1, x2, y2]: [f32; 4]) -> Self {
        let (left, top) = ((x1 - 1.0).max(0.0), (y1 - 1.0).max(0.0));
        Self { left, top, width: (x2 - left).max(0.0), height: (y2 - top).max(0.0) }
    }
}

/// A place in a picture: pixels from its left and upper edge. The first pixel lies between 0 and 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// From the left edge.
    pub x: f32,
    /// From the upper edge.
    pub y: f32,
}

/// Reads the data set that `spec` names. Pixels are read only later, by [`crate::decode`] or the loader.
///
/// # Errors
/// If the files are not laid out as the kind says (the error names the file or folder and what was expected there), or
/// the data set has fewer classes than asked for.
pub fn open(spec: &Spec) -> Result<Dataset> {
    open_listed(spec, Listed::MustExist, true)
}

/// As [`open`], but a data set without splits of its own isn't split: all its pictures are the split `all`, a single picture of
/// a class, too. What `spec` asks of splits doesn't apply to it.
///
/// # Errors
/// As [`open`].
pub fn open_whole(spec: &Spec) -> Result<Dataset> {
    open_listed(spec, Listed::MustExist, false)
}

/// As [`open`], but the pictures that lists name needn't be there: for those who look at each, as [`crate::verify()`] does.
///
/// # Errors
/// As [`open`], but for pictures that aren't there.
pub fn open_with_missing(spec: &Spec) -> Result<Dataset> {
    open_listed(spec, Listed::MayBeMissing, true)
}

fn open_listed(spec: &Spec, listed: Listed, draw: bool) -> Result<Dataset> {
    let seed = spec.seed.unwrap_or(0);
    let mut dataset = spec.kind.open(&Asked { spec, listed })?;
    if draw && let Some(samples) = dataset.splits.remove(Dataset::ALL) {
        dataset.splits = stratified(spec.path.as_deref().unwrap_or(Path::new("")), &dataset.classes, samples, seed)?;
        dataset.drawn = true;
    }
    let has_splits = !dataset.splits.contains_key(Dataset::ALL);
    if has_splits && spec.train == Some(TrainOn::TrainVal) {
        dataset.train_on_val(spec)?;
    }
    if let Some(classes) = spec.classes {
        dataset.keep_classes(classes, spec)?;
    }
    if has_splits {
        if let Some(fold) = spec.fold {
            dataset.keep_fold(fold, seed)?;
        }
        if let Some(percent) = spec.holdout {
            dataset.hold_out(percent, seed)?;
        }
    }
    if let Some(size) = spec.size {
        dataset.keep_pictures(size, seed);
    }
    Ok(dataset)
}

impl Dataset {
    /// The name of the split that holds all pictures, where a data set has no splits of its own.
    pub const ALL: &str = "all";

    /// A data set without hierarchy and parts, of which nothing was passed over.
    pub(crate) fn plain(name: String, classes: Vec<String>, splits: BTreeMap<String, Vec<Sample>>) -> Self {
        let (ancestors, parts, skipped) = (Vec::new(), Vec::new(), Skipped::default());
        Self { name, classes, ancestors, parts, splits, drawn: false, skipped }
    }

    /// The pictures of a split.
    ///
    /// # Errors
    /// If the data set has no such split; the error lists those it has.
    pub fn split(&self, name: &str) -> Result<&[Sample]> {
        self.splits.get(name).map(Vec::as_slice).ok_or_else(|| {
            let names: Vec<&str> = self.splits.keys().map(String::as_str).collect();
            Error::Spec {
                spec: self.name.clone(),
                message: format!("has no split `{name}`, it has: {}", names.join(", ")),
            }
        })
    }

    /// Every picture of every split, the splits in the order of their names.
    pub fn all(&self) -> Vec<Sample> {
        self.splits.values().flatten().cloned().collect()
    }

    /// Adds `val` to `train`.
    fn train_on_val(&mut self, spec: &Spec) -> Result<()> {
        let Some(val) = self.splits.remove("val") else {
            let message = "train=trainval: the data set has no split `val`".to_owned();
            return Err(Error::Spec { spec: spec.to_string(), message });
        };
        self.splits.entry("train".to_owned()).or_default().extend(val);
        Ok(())
    }

    /// Keeps the first `count` classes and their pictures.
    fn keep_classes(&mut self, count: usize, spec: &Spec) -> Result<()> {
        if count > self.classes.len() {
            let message = format!("classes={count}: the data set has {} classes", self.classes.len());
            return Err(Error::Spec { spec: spec.to_string(), message });
        }
        self.classes.truncate(count);
        self.ancestors.truncate(count);
        for samples in self.splits.values_mut() {
            samples.retain(|s| s.label < count);
        }
        self.splits.retain(|_, samples| !samples.is_empty());
        Ok(())
    }

    /// Keeps at most `count` pictures of each split, taking turns between the classes; their order stays.
    fn keep_pictures(&mut self, count: usize, seed: u64) {
        for samples in self.splits.values_mut() {
            let mut by_class = vec![Vec::new(); self.classes.len()];
            for (index, sample) in samples.iter().enumerate() {
                by_class[sample.label].push(index);
            }
            // Each picture's turn in its class decides first, its class second.
            let mut turns: Vec<(usize, usize, usize)> = Vec::with_capacity(samples.len());
            for (label, indices) in by_class.iter_mut().enumerate() {
                indices.shuffle(&mut generator(seed, *b"keep    ", [label as u64, 0]));
                turns.extend(indices.iter().enumerate().map(|(turn, &index)| (turn, label, index)));
            }
            turns.sort_unstable();
            let mut kept: Vec<usize> = turns.iter().take(count).map(|t| t.2).collect();
            kept.sort_unstable();
            *samples = kept.into_iter().map(|i| samples[i].clone()).collect();
        }
    }
}
