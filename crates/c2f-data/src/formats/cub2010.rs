//! Caltech-UCSD Birds 200, 2010: `images/NNN.Class/*.jpg` and `lists/{train,test}.txt`.

use std::collections::BTreeMap;
use std::path::Path;

use super::classes::NumberedClasses;
use super::files::{lines, read_text, require_folder, unpacked};
use super::pictures::{Listed, Pictures};
use crate::{BoundingBox, Dataset, Error, Kind, Result, mat};

/// Reads the folder that holds `images` and `lists`. A line of a list is `NNN.Class/picture.jpg`; the label is
/// NNN - 1 and the class's name is its folder's.
pub(crate) fn open(root: &Path, listed: Listed) -> Result<Dataset> {
    require_folder(root, "the folder of CUB-200 (2010) with `images` and `lists` in it")?;
    let base = unpacked(root, &["CUB_200_2010"]);
    let expected = "the pictures of CUB-200 (2010), in folders such as `001.Black_footed_Albatross`";
    require_folder(&base.join("images"), expected)?;
    let boxes = unpacked(&base, &["annotations-mat", "annotations/annotations-mat", "annotations"]);
    let mut classes = NumberedClasses::default();
    let mut pictures = Pictures::new(root, &base, listed);
    let mut splits = BTreeMap::new();
    for split in ["train", "test"] {
        let list = base.join("lists").join(format!("{split}.txt"));
        let text = read_text(&list, "a list with one `NNN.Class/picture.jpg` a line")?;
        let mut samples = Vec::new();
        for (line, file) in lines(&text) {
            let error = |message: String| Error::line(&list, line, message);
            let (number, folder) = class_of(file)
                .ok_or_else(|| error(format!("`{file}`: expected `NNN.Class/picture.jpg`, NNN from 001")))?;
            let label = classes.label(number, folder).map_err(error)?;
            let mut sample = pictures.sample(&format!("images/{file}"), label).map_err(error)?;
            if boxes != base {
                let annotation = boxes.join(file).with_extension("mat");
                sample.bounding_box = annotation.is_file().then(|| read_box(&annotation)).transpose()?;
            }
            samples.push(sample);
        }
        if samples.is_empty() {
            return Err(Error::layout(&list, "names no picture, expected one `NNN.Class/picture.jpg` a line"));
        }
        splits.insert(split.to_owned(), samples);
    }
    let classes = classes.into_names().map_err(|message| Error::layout(&base.join("lists"), message))?;
    Ok(super::dataset(Kind::Cub2010, root, classes, splits))
}

/// The class's number, from 1, and its folder.
fn class_of(file: &str) -> Option<(usize, &str)> {
    let (folder, picture) = file.split_once('/')?;
    let (number, name) = folder.split_once('.')?;
    let number = number.parse().ok().filter(|&n| n >= 1)?;
    (!picture.is_empty() && !name.is_empty()).then_some((number, folder))
}

fn read_box(path: &Path) -> Result<BoundingBox> {
    const EXPECTED: &str = "`bbox` with `left`, `top`, `right` and `bottom`";
    let bbox = mat::read(path, "bbox", EXPECTED)?;
    let read = || -> Result<BoundingBox, String> {
        let record = bbox.records()?.next().ok_or("holds no structure")?;
        let number = |field| record.number(field).map(|n| n as f32);
        Ok(BoundingBox::from_pixels([number("left")?, number("top")?, number("right")?, number("bottom")?]))
    };
    read().map_err(|message| Error::layout(path, format!("`bbox` {message}, expected {EXPECTED}")))
}
