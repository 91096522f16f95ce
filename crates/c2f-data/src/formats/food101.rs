//! Food-101: `images/class/*.jpg` and lists with `class/picture` in each line.

use std::collections::BTreeMap;
use std::path::Path;

use super::classes::{labels, sorted};
use super::files::{lines, read_text, require_folder, unpacked};
use super::pictures::{Listed, Pictures};
use crate::{Dataset, Error, Kind, Result};

/// Reads the folder that holds `images` and `meta`. Classes are sorted by name.
pub(crate) fn open(root: &Path, listed: Listed) -> Result<Dataset> {
    const FORM: &str = "`class/picture` in each line";
    require_folder(root, "the folder of Food-101 with `images` and `meta` in it")?;
    let base = unpacked(root, &["food-101"]);
    let names = base.join("meta/classes.txt");
    let text = read_text(&names, "the name of a class in each line")?;
    let classes = sorted(lines(&text).map(|(_, name)| name.to_owned()));
    let labels = labels(&classes);
    let mut pictures = Pictures::new(root, &base, listed);
    let mut splits = BTreeMap::new();
    for split in ["train", "test"] {
        let list = base.join("meta").join(format!("{split}.txt"));
        let mut samples = Vec::new();
        for (line, text) in lines(&read_text(&list, FORM)?) {
            let error = |message: String| Error::line(&list, line, message);
            let (class, _) = text.split_once('/').ok_or_else(|| error(format!("`{text}`: expected {FORM}")))?;
            let label = labels.get(class).ok_or_else(|| error(format!("class `{class}` is not in classes.txt")))?;
            samples.push(pictures.sample(&format!("images/{text}.jpg"), *label).map_err(error)?);
        }
        if samples.is_empty() {
            return Err(Error::layout(&list, format!("names no picture, expected {FORM}")));
        }
        splits.insert(split.to_owned(), samples);
    }
    Ok(super::dataset(Kind::Food101, root, classes, splits))
}
