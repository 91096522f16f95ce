//! Caltech-UCSD Birds 200, 2010: `images/NNN.Class/*.jpg` and `lists/{train,test}.txt`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::files::{read_text, require_folder};
use crate::{Dataset, Error, Kind, Result, Sample, Source};

/// Reads the folder that holds `images` and `lists`. A line of a list is `NNN.Class/picture.jpg`; the label is
/// NNN - 1 and the class's name is its folder's.
pub(crate) fn open(root: &Path) -> Result<Dataset> {
    require_folder(root, "the folder of CUB-200 (2010) with `images` and `lists` in it")?;
    let images = root.join("images");
    require_folder(&images, "the pictures of CUB-200 (2010), in folders such as `001.Black_footed_Albatross`")?;
    let mut classes = BTreeMap::new();
    let mut listed = HashMap::new();
    let mut splits = BTreeMap::new();
    for split in ["train", "test"] {
        let list = root.join("lists").join(format!("{split}.txt"));
        let text = read_text(&list, "a list with one `NNN.Class/picture.jpg` a line")?;
        let mut samples = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let file = line.trim();
            let error = |message: String| Error::line(&list, index as u64 + 1, message);
            if file.is_empty() {
                continue;
            }
            let (number, folder) = class_of(file)
                .ok_or_else(|| error(format!("`{file}`: expected `NNN.Class/picture.jpg`, NNN from 001")))?;
            let known = classes.entry(number).or_insert_with(|| folder.to_owned());
            if known != folder {
                return Err(error(format!("class {number:03} is `{known}` in an earlier line and `{folder}` here")));
            }
            if let Some(earlier) = listed.insert(file.to_owned(), split) {
                return Err(error(format!("`{file}` is already in the list `{earlier}`")));
            }
            let path = images.join(file);
            if !path.is_file() {
                return Err(error(format!(
                    "{}: no such file, expected the picture that the list names",
                    path.display()
                )));
            }
            samples.push(Sample { file: format!("images/{file}"), label: number - 1, source: Source::File(path) });
        }
        if samples.is_empty() {
            return Err(Error::layout(&list, "names no picture, expected one `NNN.Class/picture.jpg` a line"));
        }
        splits.insert(split.to_owned(), samples);
    }
    if let Some(missing) = (1..=classes.len()).find(|n| !classes.contains_key(n)) {
        let message = format!("no list names a picture of class {missing:03}, expected classes without a gap");
        return Err(Error::layout(&root.join("lists"), message));
    }
    Ok(Dataset { name: super::name(Kind::Cub2010, root), classes: classes.into_values().collect(), splits })
}

/// The class's number, from 1, and its folder.
fn class_of(file: &str) -> Option<(usize, &str)> {
    let (folder, picture) = file.split_once('/')?;
    let (number, name) = folder.split_once('.')?;
    let number = number.parse().ok().filter(|&n| n >= 1)?;
    (!picture.is_empty() && !name.is_empty()).then_some((number, folder))
}
