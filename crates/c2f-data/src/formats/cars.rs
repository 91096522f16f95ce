//! Stanford Cars in each of the layouts in which it goes round.

use std::collections::BTreeMap;
use std::path::Path;

use super::classes::label_from_1;
use super::csv::{Separator, fields};
use super::files::{entries, lines, read_text, require_folder, unpacked};
use super::pictures::{Listed, Pictures};
use crate::mat::{self, Record};
use crate::{BoundingBox, Dataset, Error, Kind, Result, Sample, Skipped};

const ANNOTATIONS: &str = "`annotations` with `fname`, `class`, `bbox_x1`, `bbox_y1`, `bbox_x2` and `bbox_y2`";

/// Reads the folder that holds `devkit`, `cars_train` and `cars_test`; or `car_ims` and `cars_annos.mat`; or `car_data`
/// and `anno_train.csv`.
pub(crate) fn open(root: &Path, listed: Listed) -> Result<Dataset> {
    require_folder(root, "the folder of Stanford Cars with `devkit`, `cars_train` and `cars_test` in it")?;
    let base = unpacked(root, &["stanford_cars"]);
    if base.join("car_ims").is_dir() {
        joint(root, &base, listed)
    } else if base.join("anno_train.csv").is_file() {
        kaggle_csv(root, &base, listed)
    } else {
        with_devkit(root, &base, listed)
    }
}

/// `cars_train/*.jpg` and `cars_test/*.jpg`, which Kaggle doubled to `cars_train/cars_train/*.jpg`.
fn with_devkit(root: &Path, base: &Path, listed: Listed) -> Result<Dataset> {
    let devkit = unpacked(base, &["devkit", "car_devkit/devkit"]);
    require_folder(&devkit, "the development kit of Stanford Cars with `cars_meta.mat` in it")?;
    let classes = class_names(&devkit.join("cars_meta.mat"))?;
    // That with labels was published apart from the kit, in which the test set's has none.
    let test = "cars_test_annos_withlabels.mat";
    let test = [base.join(test), devkit.join(test), base.join("cars_test_annos_withlabels (1).mat")]
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| base.join(test));
    let mut pictures = Pictures::new(root, base, listed);
    let mut splits = BTreeMap::new();
    for (split, folder, path) in
        [("train", "cars_train", devkit.join("cars_train_annos.mat")), ("test", "cars_test", test)]
    {
        let inner =
            if base.join(folder).join(folder).is_dir() { format!("{folder}/{folder}") } else { folder.to_owned() };
        require_folder(&base.join(&inner), "the pictures of Stanford Cars, such as `00001.jpg`")?;
        let read = |record: Record<'_>| {
            let label = label_from_1(record.number("class")?, classes.len())?;
            Ok((split, pictures.sample(&format!("{inner}/{}", record.text("fname")?), label)?))
        };
        annotations(&path, &mut splits, read)?;
    }
    Ok(super::dataset(Kind::Cars, root, classes, splits))
}

/// `car_ims/*.jpg`, both sets in one file.
fn joint(root: &Path, base: &Path, listed: Listed) -> Result<Dataset> {
    let path = base.join("cars_annos.mat");
    let classes = class_names(&path)?;
    let mut pictures = Pictures::new(root, base, listed);
    let mut splits = BTreeMap::new();
    annotations(&path, &mut splits, |record| {
        let label = label_from_1(record.number("class")?, classes.len())?;
        let split = if record.number("test")? == 0.0 { "train" } else { "test" };
        Ok((split, pictures.sample(record.text("relative_im_path")?, label)?))
    })?;
    Ok(super::dataset(Kind::Cars, root, classes, splits))
}

fn class_names(path: &Path) -> Result<Vec<String>> {
    const EXPECTED: &str = "`class_names`, a name in each cell";
    let names = mat::read(path, "class_names", EXPECTED)?;
    let names = names
        .texts()
        .map_err(|message| Error::layout(path, format!("`class_names` {message}, expected {EXPECTED}")))?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Adds the samples that `read` makes of the annotations to the splits that it gives, with their boxes.
fn annotations(
    path: &Path,
    splits: &mut BTreeMap<String, Vec<Sample>>,
    mut read: impl FnMut(Record<'_>) -> Result<(&'static str, Sample), String>,
) -> Result<()> {
    let annotations = mat::read(path, "annotations", ANNOTATIONS)?;
    let error = |message: String| Error::layout(path, message);
    let records = annotations.records().map_err(|e| error(format!("`annotations` {e}, expected {ANNOTATIONS}")))?;
    let mut count = 0;
    for record in records {
        count += 1;
        let mut add = || -> Result<(), String> {
            let number = |field| record.number(field).map(|n| n as f32);
            let corners = [number("bbox_x1")?, number("bbox_y1")?, number("bbox_x2")?, number("bbox_y2")?];
            let (split, mut sample) = read(record)?;
            sample.bounding_box = Some(BoundingBox::from_pixels(corners));
            splits.entry(split.to_owned()).or_default().push(sample);
            Ok(())
        };
        add().map_err(|e| error(format!("annotations({count}): {e}")))?;
    }
    if count == 0 {
        return Err(error(format!("names no picture, expected {ANNOTATIONS}")));
    }
    Ok(())
}

/// `car_data/car_data/{train,test}/<class>/*.jpg`, with lists that have no header.
fn kaggle_csv(root: &Path, base: &Path, listed: Listed) -> Result<Dataset> {
    const FORM: &str = "`file,x1,y1,x2,y2,class`";
    let names = read_text(&base.join("names.csv"), "the name of a class in each line")?;
    let fields = |line: &str| fields(line, Separator::Character(','));
    let classes: Vec<String> =
        lines(&names).map(|(_, line)| fields(line).map_or_else(|_| line.to_owned(), |f| f.join(","))).collect();
    let folder = unpacked(base, &["car_data/car_data", "car_data"]);
    let mut pictures = Pictures::new(root, &folder, listed);
    let mut splits = BTreeMap::new();
    for split in ["train", "test"] {
        let folders = class_folders(&folder.join(split), &classes)?;
        let list = base.join(format!("anno_{split}.csv"));
        let mut samples = Vec::new();
        for (line, text) in lines(&read_text(&list, &format!("{FORM} in each line"))?) {
            let error = |message: String| Error::line(&list, line, message);
            let row = fields(text).unwrap_or_default();
            let numbers: Option<Vec<f64>> = row.iter().skip(1).map(|n| n.parse().ok()).collect();
            let (Some(file), Some(&[x1, y1, x2, y2, class])) = (row.first(), numbers.as_deref()) else {
                return Err(error(format!("`{text}`: expected {FORM}")));
            };
            let label = label_from_1(class, classes.len()).map_err(error)?;
            let mut sample = pictures.sample(&format!("{split}/{}/{file}", folders[label]), label).map_err(error)?;
            sample.bounding_box = Some(BoundingBox::from_pixels([x1, y1, x2, y2].map(|n| n as f32)));
            samples.push(sample);
        }
        if samples.is_empty() {
            return Err(Error::layout(&list, format!("names no picture, expected {FORM} in each line")));
        }
        splits.insert(split.to_owned(), samples);
    }
    Ok(super::dataset(Kind::Cars, root, classes, splits))
}

/// The folder of each class: its name, but for a slash in it, which no folder can have in its name.
fn class_folders(folder: &Path, classes: &[String]) -> Result<Vec<String>> {
    require_folder(folder, "a folder for each class of Stanford Cars")?;
    let names: Vec<String> = entries(folder, &mut Skipped::default())?.into_iter().map(|e| e.name).collect();
    let same = |class: &str, name: &str| {
        class.chars().count() == name.chars().count()
            && class.chars().zip(name.chars()).all(|(c, n)| c == n || c == '/')
    };
    let of = |class: &String| names.iter().find(|name| same(class, name)).unwrap_or(class).clone();
    Ok(classes.iter().map(of).collect())
}
