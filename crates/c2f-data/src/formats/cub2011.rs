//! Caltech-UCSD Birds 200, 2011: `images/NNN.Class/*.jpg` and text files with `image_id value` in each line.

use std::collections::BTreeMap;
use std::path::Path;

use super::caltech;
use super::files::{require_folder, unpacked};
use super::pictures::Listed;
use crate::{Dataset, Error, Kind, Result};

/// Reads the folder that holds `images` and `images.txt`. Classes are numbered from 1 in `classes.txt`.
pub(crate) fn open(root: &Path, listed: Listed) -> Result<Dataset> {
    require_folder(root, "the folder of CUB-200-2011 with `images` and `images.txt` in it")?;
    let base = unpacked(root, &["CUB_200_2011"]);
    let mut read = caltech::read(root, &base, listed, 1.0)?;
    if let Some(missing) = (1..=read.classes.len() as u64).find(|id| !read.classes.contains_key(id)) {
        let message = format!("has no class {missing}, expected numbers from 1 without a gap");
        return Err(Error::layout(&base.join("classes.txt"), message));
    }
    for sample in read.train.iter_mut().chain(&mut read.test) {
        sample.label -= 1;
    }
    let splits = BTreeMap::from([("train".to_owned(), read.train), ("test".to_owned(), read.test)]);
    let classes = read.classes.into_values().collect();
    Ok(Dataset { parts: read.parts, ..super::dataset(Kind::Cub2011, root, classes, splits) })
}
