//! Oxford-IIIT Pet: `images/*.jpg` and lists with `picture class species breed` in each line.

use std::collections::BTreeMap;
use std::path::Path;

use super::classes::NumberedClasses;
use super::files::{lines, read_text, require_folder, unpacked};
use super::pictures::{Listed, Pictures};
use crate::{Dataset, Error, Kind, Result};

const FORM: &str = "`picture class species breed`, three numbers from 1";

/// Reads the folder that holds `images` and `annotations`. A class's name is that of its pictures without their number.
pub(crate) fn open(root: &Path, listed: Listed) -> Result<Dataset> {
    require_folder(root, "the folder of Oxford-IIIT Pet with `images` and `annotations` in it")?;
    let base = unpacked(root, &["oxford-iiit-pet"]);
    let mut classes = NumberedClasses::default();
    let mut species = BTreeMap::new();
    let mut pictures = Pictures::new(root, &base, listed);
    let mut splits = BTreeMap::new();
    for (split, list) in [("train", "trainval.txt"), ("test", "test.txt")] {
        let list = base.join("annotations").join(list);
        let mut samples = Vec::new();
        for (line, text) in lines(&read_text(&list, &format!("{FORM} in each line"))?) {
            let error = |message: String| Error::line(&list, line, message);
            let (picture, number, kind) = parse(text).ok_or_else(|| error(format!("`{text}`: expected {FORM}")))?;
            let (breed, _) = picture.rsplit_once('_').unwrap_or((picture, ""));
            let label = classes.label(number, &title(breed)).map_err(error)?;
            if *species.entry(label).or_insert(kind) != kind {
                return Err(error(format!("class {number} is of another species in an earlier line")));
            }
            samples.push(pictures.sample(&format!("images/{picture}.jpg"), label).map_err(error)?);
        }
        if samples.is_empty() {
            return Err(Error::layout(&list, format!("names no picture, expected {FORM} in each line")));
        }
        splits.insert(split.to_owned(), samples);
    }
    let classes = classes.into_names().map_err(|message| Error::layout(&base.join("annotations"), message))?;
    let ancestors = species.into_values().map(|kind| vec![kind.to_owned()]).collect();
    Ok(Dataset { ancestors, ..super::dataset(Kind::Pets, root, classes, splits) })
}

/// The picture, the class's number and the species.
fn parse(line: &str) -> Option<(&str, usize, &'static str)> {
    let mut fields = line.split_whitespace();
    let (picture, number) = (fields.next()?, fields.next()?.parse().ok()?);
    let species = match fields.next()? {
        "1" => "Cat",
        "2" => "Dog",
        _ => return None,
    };
    Some((picture, number, species))
}

/// `american_bulldog` as `American Bulldog`.
fn title(breed: &str) -> String {
    let words = breed.split('_').map(|word| {
        let mut letters = word.chars();
        let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
        first + &letters.as_str().to_lowercase()
    });
    words.collect::<Vec<_>>().join(" ")
}
