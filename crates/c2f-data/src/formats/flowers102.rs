//! Oxford Flowers 102: `jpg/image_NNNNN.jpg`, labels and splits in MATLAB's format.

use std::collections::BTreeMap;
use std::path::Path;

use super::classes::label_from_1;
use super::files::{require_folder, unpacked};
use super::pictures::{Listed, Pictures};
use crate::{Dataset, Error, Kind, Result, mat};

/// The names of the classes. The archive has none; these are torchvision's, from the web page of the data set.
const NAMES: &str = include_str!("flowers102.txt");

/// Reads the folder that holds `jpg`, `imagelabels.mat` and `setid.mat`.
pub(crate) fn open(root: &Path, listed: Listed) -> Result<Dataset> {
    require_folder(root, "the folder of Oxford Flowers 102 with `jpg` and `setid.mat` in it")?;
    let base = unpacked(root, &["flowers-102"]);
    require_folder(&base.join("jpg"), "the pictures of Oxford Flowers 102, such as `image_00001.jpg`")?;
    let classes: Vec<String> = NAMES.lines().map(str::to_owned).collect();
    let labels = read_numbers(&base.join("imagelabels.mat"), "labels", "`labels`, the class of each picture from 1")?;
    let path = base.join("setid.mat");
    let mut pictures = Pictures::new(root, &base, listed);
    let mut splits = BTreeMap::new();
    for (split, variable) in [("train", "trnid"), ("val", "valid"), ("test", "tstid")] {
        let ids = read_numbers(&path, variable, "`trnid`, `valid` and `tstid`, numbers of pictures from 1")?;
        let mut sample = |id: f64| {
            let picture = label_from_1(id, labels.len()).map_err(|_| {
                format!("picture {id}: expected a number from 1 to {}, as `imagelabels.mat` has labels", labels.len())
            })?;
            let label = label_from_1(labels[picture], classes.len())?;
            pictures.sample(&format!("jpg/image_{:05}.jpg", picture + 1), label)
        };
        let samples = ids
            .into_iter()
            .enumerate()
            .map(|(index, id)| sample(id).map_err(|e| Error::layout(&path, format!("{variable}({}): {e}", index + 1))));
        splits.insert(split.to_owned(), samples.collect::<Result<Vec<_>>>()?);
    }
    Ok(super::dataset(Kind::Flowers102, root, classes, splits))
}

fn read_numbers(path: &Path, variable: &str, expected: &str) -> Result<Vec<f64>> {
    let numbers = mat::read(path, variable, expected)?;
    let numbers = numbers.numbers().map_err(|e| Error::layout(path, format!("`{variable}` {e}")))?;
    if numbers.is_empty() {
        return Err(Error::layout(path, format!("`{variable}` is empty, expected {expected}")));
    }
    Ok(numbers.to_vec())
}
