//! The layout that CUB-200-2011 and NABirds share: text files with `image_id value` in each line.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::files::{lines, read_text, require_folder};
use super::pictures::{Listed, Pictures};
use crate::{BoundingBox, Error, Point, Result, Sample};

/// Where the parts of one picture are.
type Points = Box<[Option<Point>]>;

/// What the files hold. Labels of the samples are the archive's class numbers still.
pub(crate) struct Caltech {
    /// The names in `classes.txt` by number.
    pub classes: BTreeMap<u64, String>,
    /// The names of the parts.
    pub parts: Vec<String>,
    pub train: Vec<Sample>,
    pub test: Vec<Sample>,
}

/// Reads `base`, which is `root` or lies in it. Boxes and parts have their first pixel at `origin`: 0 or 1.
pub(crate) fn read(root: &Path, base: &Path, listed: Listed, origin: f32) -> Result<Caltech> {
    let images = Images::read(root, base, listed)?;
    let classes = read_names(&base.join("classes.txt"))?;
    let labels = images.column("image_class_labels.txt", "`image_id class_id`", |text| {
        text.parse().ok().filter(|id| classes.contains_key(id))
    })?;
    let is_train = images.column(
        "train_test_split.txt",
        "`image_id is_training_image`, the latter 0 or 1",
        |text| match text {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        },
    )?;
    let boxes = if base.join("bounding_boxes.txt").is_file() {
        images.column("bounding_boxes.txt", "`image_id x y width height`", |text| {
            let [x, y, width, height] = numbers(text)?;
            Some(Some(BoundingBox { left: (x - origin).max(0.0), top: (y - origin).max(0.0), width, height }))
        })?
    } else {
        vec![None; images.samples.len()]
    };
    let (parts, points) = images.parts(origin)?;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for ((((mut sample, label), is_train), bounding_box), points) in
        images.samples.into_iter().zip(labels).zip(is_train).zip(boxes).zip(points)
    {
        sample.label = label as usize;
        sample.bounding_box = bounding_box;
        sample.parts = points;
        if is_train { &mut train } else { &mut test }.push(sample);
    }
    Ok(Caltech { classes, parts, train, test })
}

/// The names in a file with `number name` in each line.
fn read_names(path: &Path) -> Result<BTreeMap<u64, String>> {
    const EXPECTED: &str = "`number name` in each line, each number once";
    let mut names = BTreeMap::new();
    for (line, text) in lines(&read_text(path, EXPECTED)?) {
        let named = text.split_once(char::is_whitespace).and_then(|(id, name)| Some((id.parse().ok()?, name.trim())));
        let (id, name) = named.ok_or_else(|| Error::line(path, line, format!("`{text}`: expected {EXPECTED}")))?;
        if names.insert(id, name.to_owned()).is_some() {
            return Err(Error::line(path, line, format!("{id} has a name already, expected {EXPECTED}")));
        }
    }
    Ok(names)
}

fn numbers<const N: usize>(text: &str) -> Option<[f32; N]> {
    let numbers: Option<Vec<f32>> =
        text.split_whitespace().map(|n| n.parse().ok().filter(|n: &f32| n.is_finite())).collect();
    numbers?.try_into().ok()
}

/// The pictures in the order of `images.txt`.
struct Images {
    base: PathBuf,
    samples: Vec<Sample>,
    /// The place of each image id in `samples`.
    places: HashMap<String, usize>,
}

impl Images {
    fn read(root: &Path, base: &Path, listed: Listed) -> Result<Self> {
        const EXPECTED: &str = "`image_id file` in each line";
        require_folder(base, "a folder with `images`, `images.txt` and `image_class_labels.txt` in it")?;
        let path = base.join("images.txt");
        let mut pictures = Pictures::new(root, base, listed);
        let mut images = Self { base: base.to_owned(), samples: Vec::new(), places: HashMap::new() };
        for (line, text) in lines(&read_text(&path, EXPECTED)?) {
            let error = |message: String| Error::line(&path, line, message);
            let (id, file) =
                text.split_once(char::is_whitespace).ok_or_else(|| error(format!("`{text}`: expected {EXPECTED}")))?;
            if images.places.insert(id.to_owned(), images.samples.len()).is_some() {
                return Err(error(format!("image `{id}` is named twice, expected each once")));
            }
            images.samples.push(pictures.sample(&format!("images/{}", file.trim()), 0).map_err(error)?);
        }
        if images.samples.is_empty() {
            return Err(Error::layout(&path, format!("names no picture, expected {EXPECTED}")));
        }
        Ok(images)
    }

    /// The lines of a file that begin with an image's id: the line's number, the image's place, and the rest.
    fn rows<'a>(
        &'a self,
        path: &'a Path,
        text: &'a str,
        form: &'a str,
    ) -> impl Iterator<Item = Result<(u64, usize, &'a str)>> {
        lines(text).map(move |(line, text)| {
            let (id, rest) = text
                .split_once(char::is_whitespace)
                .ok_or_else(|| Error::line(path, line, format!("`{text}`: expected {form}")))?;
            let place = self.places.get(id).copied();
            let place = place.ok_or_else(|| Error::line(path, line, format!("image `{id}` is not in `images.txt`")))?;
            Ok((line, place, rest.trim()))
        })
    }

    /// What a file says of each picture, one line each; `form` is what a line looks like.
    fn column<T>(&self, file: &str, form: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
        let path = self.base.join(file);
        let text = read_text(&path, &format!("{form} in each line"))?;
        let mut column: Vec<Option<T>> = (0..self.samples.len()).map(|_| None).collect();
        for row in self.rows(&path, &text, form) {
            let (line, place, rest) = row?;
            let value = parse(rest).ok_or_else(|| Error::line(&path, line, format!("`{rest}`: expected {form}")))?;
            if column[place].replace(value).is_some() {
                return Err(Error::line(&path, line, "the image has a line already, expected one for each"));
            }
        }
        let missing = |place: usize| {
            let file = &self.samples[place].file;
            Error::layout(&path, format!("has no line for `{file}`, expected one for each line of `images.txt`"))
        };
        column.into_iter().enumerate().map(|(place, value)| value.ok_or_else(|| missing(place))).collect()
    }

    /// The names of the parts and where they are in each picture, if the archive has them.
    fn parts(&self, origin: f32) -> Result<(Vec<String>, Vec<Points>)> {
        const FORM: &str = "`image_id part_id x y visible`";
        let path = self.base.join("parts/part_locs.txt");
        if !path.is_file() {
            return Ok((Vec::new(), vec![Box::default(); self.samples.len()]));
        }
        let names = read_names(&self.base.join("parts/parts.txt"))?;
        let index: HashMap<u64, usize> = names.keys().enumerate().map(|(index, &id)| (id, index)).collect();
        let mut points = vec![vec![None; names.len()].into_boxed_slice(); self.samples.len()];
        for row in self.rows(&path, &read_text(&path, FORM)?, FORM) {
            let (line, place, rest) = row?;
            let part = numbers(rest).and_then(|[id, x, y, visible]| Some((*index.get(&(id as u64))?, x, y, visible)));
            let (part, x, y, visible) =
                part.ok_or_else(|| Error::line(&path, line, format!("`{rest}`: expected {FORM}")))?;
            if visible != 0.0 {
                points[place][part] = Some(Point { x: (x - origin).max(0.0), y: (y - origin).max(0.0) });
            }
        }
        Ok((names.into_values().collect(), points))
    }
}
