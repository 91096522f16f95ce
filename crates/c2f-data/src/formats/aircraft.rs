//! FGVC-Aircraft 2013b: `images/*.jpg` and lists with `id label` in each line, at three levels of detail.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::classes::labels;
use super::files::{lines, read_text, require_folder, unpacked};
use super::pictures::{Listed, Pictures};
use crate::spec::Level;
use crate::{BoundingBox, Dataset, Error, Kind, Result};

/// Reads the folder `data`, or the one around it. The classes are those of `level`, in the order of its file of names.
pub(crate) fn open(root: &Path, level: Level, listed: Listed) -> Result<Dataset> {
    require_folder(root, "the folder of FGVC-Aircraft with `data` in it")?;
    let base = unpacked(root, &["fgvc-aircraft-2013b/data", "data"]);
    let names = base.join(match level {
        Level::Variant => "variants.txt",
        Level::Family => "families.txt",
        Level::Manufacturer => "manufacturers.txt",
    });
    let text = read_text(&names, "the name of a class in each line")?;
    let classes: Vec<String> = lines(&text).map(|(_, name)| name.to_owned()).collect();
    let labels = labels(&classes);
    let boxes = read_boxes(&base.join("images_box.txt"))?;
    // From the top down.
    let above: &[Level] = match level {
        Level::Variant => &[Level::Manufacturer, Level::Family],
        Level::Family => &[Level::Manufacturer],
        Level::Manufacturer => &[],
    };
    let list = |level: Level, split: &str| base.join(format!("images_{}_{split}.txt", level.name()));
    // Mirrors leave lists out that nobody asks for; a level that isn't known of all pictures is of none.
    let above: Vec<Level> =
        above.iter().copied().filter(|level| SPLITS.iter().all(|split| list(*level, split).is_file())).collect();
    let mut ancestors: Vec<Vec<String>> = vec![Vec::new(); classes.len()];
    let mut pictures = Pictures::new(root, &base, listed);
    let mut splits = BTreeMap::new();
    for split in SPLITS {
        let path = list(level, split);
        let text = read_text(&path, FORM)?;
        let above: Vec<HashMap<String, String>> =
            above.iter().map(|level| read_labels(&list(*level, split))).collect::<Result<_>>()?;
        let mut samples = Vec::new();
        for (line, text) in lines(&text) {
            let error = |message: String| Error::line(&path, line, message);
            let (id, class) = text.split_once(' ').ok_or_else(|| error(format!("`{text}`: expected {FORM}")))?;
            let label = *labels.get(class.trim()).ok_or_else(|| {
                error(format!("class `{class}` is not in {}", names.file_name().unwrap_or_default().display()))
            })?;
            let mut sample = pictures.sample(&format!("images/{id}.jpg"), label).map_err(error)?;
            sample.bounding_box = boxes.get(id).copied();
            if ancestors[label].is_empty() {
                ancestors[label] = above.iter().filter_map(|labels| labels.get(id).cloned()).collect();
            }
            samples.push(sample);
        }
        if samples.is_empty() {
            return Err(Error::layout(&path, format!("names no picture, expected {FORM}")));
        }
        splits.insert(split.to_owned(), samples);
    }
    if above.is_empty() {
        ancestors.clear();
    }
    Ok(Dataset { ancestors, ..super::dataset(Kind::Aircraft, root, classes, splits) })
}

const SPLITS: [&str; 3] = ["train", "val", "test"];
const FORM: &str = "`id label` in each line";

/// The label of each picture at another level.
fn read_labels(path: &Path) -> Result<HashMap<String, String>> {
    let text = read_text(path, FORM)?;
    let rows = lines(&text).map(|(line, text)| {
        let (id, label) =
            text.split_once(' ').ok_or_else(|| Error::line(path, line, format!("`{text}`: expected {FORM}")))?;
        Ok((id.to_owned(), label.trim().to_owned()))
    });
    rows.collect()
}

/// The box of each picture, if the file is there.
fn read_boxes(path: &Path) -> Result<HashMap<String, BoundingBox>> {
    const FORM: &str = "`id xmin ymin xmax ymax` in each line";
    if !path.is_file() {
        return Ok(HashMap::new());
    }
    let text = read_text(path, FORM)?;
    let rows = lines(&text).map(|(line, text)| {
        let mut fields = text.split_whitespace();
        let id = fields.next().unwrap_or_default();
        let numbers: Option<Vec<f32>> = fields.map(|n| n.parse().ok()).collect();
        let corners = numbers.and_then(|n| n.try_into().ok());
        let corners = corners.ok_or_else(|| Error::line(path, line, format!("`{text}`: expected {FORM}")))?;
        Ok((id.to_owned(), BoundingBox::from_pixels(corners)))
    });
    rows.collect()
}
