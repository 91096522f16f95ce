//! The synthetic data set: nothing is read, every picture is drawn when it is asked for.

use std::collections::BTreeMap;
use std::path::Path;

use crate::synthetic::{CLASSES, DEFAULT_CLASSES, DEFAULT_PICTURE_SIZE, DEFAULT_TRAIN_SIZE, Scene, Split, class_names};
use crate::{Dataset, Error, Kind, Result, Sample, Source, Spec};

/// The most pictures for training. Each takes some 150 bytes before it is drawn.
const MAX_TRAIN_SIZE: usize = 4_000_000;

pub(crate) fn open(spec: &Spec) -> Result<Dataset> {
    let classes = spec.classes.unwrap_or(DEFAULT_CLASSES);
    if classes > CLASSES.len() {
        let message = format!("classes={classes}: there are {} classes", CLASSES.len());
        return Err(Error::Spec { spec: spec.to_string(), message });
    }
    let seed = spec.seed.unwrap_or(0);
    let train = spec.size.unwrap_or(DEFAULT_TRAIN_SIZE);
    if train > MAX_TRAIN_SIZE {
        let message =
            format!("size={train}: expected at most {MAX_TRAIN_SIZE}, since the name of each is held in memory");
        return Err(Error::Spec { spec: spec.to_string(), message });
    }
    // Below four pictures for training a quarter would be none.
    let test = (train / 4).max(1);
    let samples = |name: &str, split, count: usize| -> Vec<Sample> {
        (0..count as u64)
            .map(|index| {
                let scene = Scene::new(seed, split, index, classes);
                let source = Source::Synthetic { scene, size: DEFAULT_PICTURE_SIZE };
                Sample::new(format!("synthetic/{name}/{index:06}"), scene.class, source)
            })
            .collect()
    };
    let splits = BTreeMap::from([
        ("train".to_owned(), samples("train", Split::Train, train)),
        ("test".to_owned(), samples("test", Split::Test, test)),
    ]);
    Ok(super::dataset(Kind::Synthetic, Path::new(""), class_names(classes), splits))
}
