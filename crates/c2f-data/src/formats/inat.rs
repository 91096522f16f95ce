//! The iNaturalist competitions: pictures in folders, and annotations like COCO's in JSON.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{BufReader, Read};
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::classes::distinct;
use super::files::{MAX_PICTURES, open_file, require_folder};
use super::nan::WithoutNan;
use super::pictures::{Listed, Pictures};
use crate::{Dataset, Error, Kind, Result, Sample};

const EXPECTED: &str = "the competition's JSON with `images`, `annotations` and `categories`";

/// The most bytes of JSON that are read, as a largest file of 2021 has somewhat more than 1 GB; longer ones end too early.
const MAX_BYTES: u64 = 2 << 30;

#[derive(Deserialize)]
struct Competition {
    #[serde(deserialize_with = "bounded::<_, _, MAX_PICTURES>")]
    images: Vec<Image>,
    #[serde(deserialize_with = "bounded::<_, _, MAX_PICTURES>")]
    annotations: Vec<Annotation>,
    #[serde(deserialize_with = "bounded::<_, _, MAX_PICTURES>")]
    categories: Vec<Category>,
}

#[derive(Deserialize)]
struct Image {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: u64,
    category_id: u64,
}

/// A class. What is above it is named from 2018 on, or its supercategory alone.
#[derive(Deserialize)]
struct Category {
    id: u64,
    name: String,
    supercategory: Option<String>,
    kingdom: Option<String>,
    phylum: Option<String>,
    class: Option<String>,
    order: Option<String>,
    family: Option<String>,
    genus: Option<String>,
}

impl Category {
    fn ancestors(&self) -> Vec<String> {
        let ranks = [&self.kingdom, &self.phylum, &self.class, &self.order, &self.family, &self.genus];
        let ranks: Vec<String> = ranks.into_iter().flatten().cloned().collect();
        if ranks.is_empty() { self.supercategory.iter().cloned().collect() } else { ranks }
    }
}

/// Reads the folder in which pictures and JSON were unpacked. The order of the classes is that of their ids.
pub(crate) fn open(root: &Path, kind: Kind, mini: bool, listed: Listed) -> Result<Dataset> {
    require_folder(root, "the folder of an iNaturalist competition with its JSON and pictures in it")?;
    let year = match kind {
        Kind::Inat2017 => "2017",
        Kind::Inat2018 => "2018",
        Kind::Inat2019 => "2019",
        // From 2021 on the files' names have no year.
        _ => "",
    };
    let mut pictures = Pictures::new(root, root, listed);
    let mut categories: Option<BTreeMap<u64, Category>> = None;
    let mut splits = BTreeMap::new();
    for (split, file) in [("train", if mini { "train_mini" } else { "train" }), ("val", "val")] {
        let path = root.join(format!("{file}{year}.json"));
        let Competition { images, annotations, categories: named } = read(&path)?;
        // Both files name the same categories.
        let categories = categories.get_or_insert_with(|| named.into_iter().map(|c| (c.id, c)).collect());
        let labels: HashMap<u64, usize> = categories.keys().enumerate().map(|(label, &id)| (id, label)).collect();
        splits.insert(split.to_owned(), join(&path, images, annotations, &labels, &mut pictures)?);
    }
    let mut categories = categories.unwrap_or_default();
    // In 2018 and 2019 the names were withheld while the competition ran, and published in a file of their own.
    let names = root.join("categories.json");
    if names.is_file() {
        for category in read::<Vec<Category>>(&names)? {
            categories.entry(category.id).and_modify(|c| *c = category);
        }
    }
    let ancestors: Vec<Vec<String>> = categories.values().map(Category::ancestors).collect();
    let ancestors = if ancestors.iter().all(Vec::is_empty) { Vec::new() } else { ancestors };
    let classes = distinct(categories.into_values().map(|c| (c.id, c.name)));
    Ok(Dataset { ancestors, ..super::dataset(kind, root, classes, splits) })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse(path, open_file(path, EXPECTED)?)
}

fn parse<T: DeserializeOwned>(path: &Path, json: impl Read) -> Result<T> {
    let json = WithoutNan::new(json.take(MAX_BYTES));
    serde_json::from_reader(BufReader::new(json)).map_err(|e| match e.io_error_kind() {
        Some(kind) => Error::read(path, kind.into()),
        None if e.line() > 0 => Error::line(path, e.line() as u64, format!("{e}, expected {EXPECTED}")),
        None => Error::layout(path, format!("{e}, expected {EXPECTED}")),
    })
}

/// A list of at most `MOST` values.
fn bounded<'de, D: Deserializer<'de>, T: Deserialize<'de>, const MOST: usize>(from: D) -> Result<Vec<T>, D::Error> {
    struct Bounded<T, const MOST: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Bounded<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST} values")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(value) = values.next_element()? {
                if list.len() == MOST {
                    return Err(A::Error::invalid_length(MOST + 1, &self));
                }
                list.push(value);
            }
            Ok(list)
        }
    }
    from.deserialize_seq(Bounded::<T, MOST>(PhantomData))
}

/// The pictures in the order of `images`, with the labels that `annotations` has for their ids.
fn join(
    path: &Path,
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    labels: &HashMap<u64, usize>,
    pictures: &mut Pictures,
) -> Result<Vec<Sample>> {
    let error = |message: String| Error::layout(path, message);
    if images.is_empty() {
        return Err(error(format!("names no picture, expected {EXPECTED}")));
    }
    let mut by_image = HashMap::with_capacity(annotations.len());
    for Annotation { image_id, category_id } in annotations {
        let label = *labels
            .get(&category_id)
            .ok_or_else(|| error(format!("image_id {image_id}: category {category_id} is not in `categories`")))?;
        if by_image.insert(image_id, label).is_some() {
            return Err(error(format!("image_id {image_id} has two annotations, expected one")));
        }
    }
    let samples = images.into_iter().map(|Image { id, file_name }| {
        // Taken out, so that a second image of the same id finds none.
        let label = by_image.remove(&id);
        let label = label.ok_or_else(|| error(format!("image {id} has no annotation of its own, expected one")))?;
        pictures.sample(&file_name, label).map_err(|e| error(format!("image {id}: {e}")))
    });
    let samples: Vec<Sample> = samples.collect::<Result<_>>()?;
    match by_image.keys().min() {
        Some(id) => Err(error(format!("image_id {id} is not in `images`"))),
        None => Ok(samples),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_have_an_end() {
        let read = |json: &str| bounded::<_, u8, 3>(&mut serde_json::Deserializer::from_str(json));
        assert_eq!(read("[1, 2, 3]").unwrap(), [1, 2, 3]);
        assert!(read("[1, 2, 3, 4]").unwrap_err().to_string().contains("a list of at most 3 values"));
        assert!(read("{}").is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn damaged_json_never_panics(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), "[\\[\\]{}\",:0-9eEN-]{0,3}|\\PC"), 1..5),
        ) {
            let mut json = r#"{"images": [{"id": 7, "file_name": "a.jpg", "width": NaN}], "annotations": [{"image_id": 7,
                "category_id": 3}], "categories": [{"id": 3, "name": "Jay", "supercategory": "Aves"}]}"#.as_bytes().to_vec();
            prop_assert!(parse::<Competition>(Path::new("a"), &json[..]).is_ok());
            for (place, text) in changes {
                let place = place.index(json.len());
                json.splice(place..=place, text.into_bytes());
            }
            let _ = parse::<Competition>(Path::new("a"), &json[..]);
        }
    }
}
