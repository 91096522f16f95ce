//! NABirds: `images/NNNN/*.jpg`, the text files of CUB-200-2011, and a hierarchy of which the leaves are the classes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::classes::distinct;
use super::files::{lines, read_text, require_folder, unpacked};
use super::pictures::Listed;
use super::{caltech, dataset};
use crate::{Dataset, Error, Kind, Result};

/// Reads the folder that holds `images` and `images.txt`. Of the numbers in `classes.txt` those that a picture has are
/// the classes, in the order of the numbers.
pub(crate) fn open(root: &Path, listed: Listed) -> Result<Dataset> {
    require_folder(root, "the folder of NABirds with `images` and `images.txt` in it")?;
    let base = unpacked(root, &["nabirds"]);
    let mut read = caltech::read(root, &base, listed, 0.0)?;
    let samples = || read.train.iter().chain(&read.test);
    let used: BTreeSet<u64> = samples().map(|sample| sample.label as u64).collect();
    let labels: HashMap<usize, usize> = used.iter().enumerate().map(|(label, &id)| (id as usize, label)).collect();
    let ancestors = read_ancestors(&base.join("hierarchy.txt"), &read.classes, &used)?;
    for sample in read.train.iter_mut().chain(&mut read.test) {
        sample.label = labels[&sample.label];
    }
    let classes = distinct(used.iter().map(|id| (*id, read.classes[id].clone())));
    let splits = BTreeMap::from([("train".to_owned(), read.train), ("test".to_owned(), read.test)]);
    Ok(Dataset { ancestors, parts: read.parts, ..dataset(Kind::Nabirds, root, classes, splits) })
}

/// The names above each used class, from the top down.
fn read_ancestors(path: &Path, names: &BTreeMap<u64, String>, used: &BTreeSet<u64>) -> Result<Vec<Vec<String>>> {
    const EXPECTED: &str = "`class_id parent_id` in each line, of the numbers in `classes.txt`";
    let mut parents = HashMap::new();
    for (line, text) in lines(&read_text(path, EXPECTED)?) {
        let pair = text.split_once(char::is_whitespace).and_then(|(child, parent)| {
            let (child, parent): (u64, u64) = (child.parse().ok()?, parent.trim().parse().ok()?);
            (names.contains_key(&child) && names.contains_key(&parent)).then_some((child, parent))
        });
        let (child, parent) = pair.ok_or_else(|| Error::line(path, line, format!("`{text}`: expected {EXPECTED}")))?;
        if parents.insert(child, parent).is_some_and(|earlier| earlier != parent) {
            return Err(Error::line(path, line, format!("class {child} has a parent already, expected one")));
        }
    }
    let above = |id: &u64| {
        let mut above: Vec<String> = Vec::new();
        let mut node = id;
        while let Some(parent) = parents.get(node) {
            if above.len() > parents.len() {
                return Err(Error::layout(path, format!("class {id} is above itself, expected a tree")));
            }
            above.push(names[parent].clone());
            node = parent;
        }
        above.reverse();
        Ok(above)
    };
    used.iter().map(above).collect()
}
