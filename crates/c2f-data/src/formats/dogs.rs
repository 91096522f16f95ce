//! Stanford Dogs: `Images/nNNNNNNNN-breed/*.jpg`, lists in MATLAB's format, boxes in XML.

use std::collections::BTreeMap;
use std::path::Path;

use super::classes::NumberedClasses;
use super::files::{read_text, require_folder};
use super::pictures::{Listed, Pictures};
use crate::{BoundingBox, Dataset, Error, Kind, Result, mat};

/// Reads the folder that holds `Images`, `train_list.mat` and `test_list.mat`, and perhaps `Annotation`. Classes are
/// numbered from 1 by `labels`; a class's name is its folder's.
pub(crate) fn open(root: &Path, listed: Listed) -> Result<Dataset> {
    const LISTS: &str = "`file_list`, a file in each cell, and `labels`, a number for each";
    require_folder(root, "the folder of Stanford Dogs with `Images` and `train_list.mat` in it")?;
    require_folder(&root.join("Images"), "the pictures of Stanford Dogs, in folders such as `n02085620-Chihuahua`")?;
    let mut classes = NumberedClasses::default();
    let mut pictures = Pictures::new(root, root, listed);
    let mut splits = BTreeMap::new();
    for split in ["train", "test"] {
        let list = root.join(format!("{split}_list.mat"));
        let error = |message: String| Error::layout(&list, message);
        let files = mat::read(&list, "file_list", LISTS)?;
        let files = files.texts().map_err(|e| error(format!("`file_list` {e}")))?;
        let labels = mat::read(&list, "labels", LISTS)?;
        let labels = labels.numbers().map_err(|e| error(format!("`labels` {e}")))?;
        if files.is_empty() || files.len() != labels.len() {
            let message = format!("has {} files and {} labels, expected as many of each", files.len(), labels.len());
            return Err(error(message));
        }
        let mut samples = Vec::new();
        for (index, (file, number)) in files.iter().zip(labels).enumerate() {
            let error = |message: String| error(format!("file_list({}): {message}", index + 1));
            let (folder, _) = file
                .split_once('/')
                .ok_or_else(|| error(format!("`{file}`: expected `nNNNNNNNN-breed/picture.jpg`")))?;
            if number.fract() != 0.0 {
                return Err(error(format!("class {number}: expected a whole number")));
            }
            let label = classes.label(*number as usize, folder).map_err(error)?;
            let mut sample = pictures.sample(&format!("Images/{file}"), label).map_err(error)?;
            let annotation = root.join("Annotation").join(file).with_extension("");
            sample.bounding_box = annotation.is_file().then(|| read_box(&annotation)).transpose()?;
            samples.push(sample);
        }
        splits.insert(split.to_owned(), samples);
    }
    let classes = classes.into_names().map_err(|message| Error::layout(root, message))?;
    Ok(super::dataset(Kind::Dogs, root, classes, splits))
}

const EXPECTED: &str = "XML with `xmin`, `ymin`, `xmax` and `ymax` in each `bndbox`";
/// The most bytes of an annotation. Each dog takes some 400.
const MAX_ANNOTATION: usize = 1 << 20;

/// The smallest box around all dogs of a picture.
fn read_box(path: &Path) -> Result<BoundingBox> {
    parse_box(path, &read_text(path, EXPECTED)?)
}

fn parse_box(path: &Path, text: &str) -> Result<BoundingBox> {
    if text.len() > MAX_ANNOTATION {
        return Err(Error::layout(path, format!("is larger than {} MiB, expected {EXPECTED}", MAX_ANNOTATION >> 20)));
    }
    // Namespaces in namespaces take the parser longer than the square of their number; the archive has none.
    if text.contains("xmlns") {
        return Err(Error::layout(path, format!("declares a namespace, expected {EXPECTED}")));
    }
    let document = roxmltree::Document::parse(text)
        .map_err(|e| Error::line(path, e.pos().row.into(), format!("{e}, expected {EXPECTED}")))?;
    let mut around: Option<[f32; 4]> = None;
    for node in document.descendants().filter(|node| node.has_tag_name("bndbox")) {
        let number = |name: &str| -> Option<f32> {
            node.children().find(|child| child.has_tag_name(name))?.text()?.trim().parse().ok()
        };
        let corners = || Some([number("xmin")?, number("ymin")?, number("xmax")?, number("ymax")?]);
        let [x1, y1, x2, y2] = corners().ok_or_else(|| {
            let line = document.text_pos_at(node.range().start).row;
            Error::line(path, line.into(), format!("a box lacks a number, expected {EXPECTED}"))
        })?;
        around = Some(match around {
            None => [x1, y1, x2, y2],
            Some([left, top, right, bottom]) => [left.min(x1), top.min(y1), right.max(x2), bottom.max(y2)],
        });
    }
    let around = around.ok_or_else(|| Error::layout(path, format!("has no box, expected {EXPECTED}")))?;
    Ok(BoundingBox::from_pixels(around))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_box_is_around_all_dogs() {
        let dog = |x: u32| {
            format!("<object><bndbox><xmin>{x}</xmin><ymin>5</ymin><xmax>9{x}</xmax><ymax>20</ymax></bndbox></object>")
        };
        let text = format!("<annotation>{}{}</annotation>", dog(3), dog(4));
        let found = parse_box(Path::new("a"), &text).unwrap();
        assert_eq!(found, BoundingBox { left: 2.0, top: 4.0, width: 92.0, height: 16.0 });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn never_panics(text in "(<a|<!|<?|</|>|/>|bndbox|xmin|xmax|ymin|ymax|[=\"'& ;#0-9]|<!DOCTYPE|<!ENTITY|\\PC){0,40}") {
            let _ = parse_box(Path::new("a"), &format!("<annotation>{text}</annotation>"));
            let _ = parse_box(Path::new("a"), &text);
        }
    }
}
