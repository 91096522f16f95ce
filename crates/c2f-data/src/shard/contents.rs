//! What a shard holds, read from its headers and its labels. No picture is read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tar::{Archive, Entry, EntryType};

use super::EXPECTED;
use crate::formats::files::{Ending, MAX_PICTURES, ending, is_of_the_system, open_file};
use crate::skipped::Sort;
use crate::{Error, Result, Skipped};

/// The fields of a `.json` that may hold the label: the first of them that is there counts.
const LABELS: [&str; 8] =
    ["cls", "label", "class", "class_name", "category", "category_name", "class_id", "category_id"];
/// What stands in place of the label of a picture that has none.
const UNLABELLED: &str = "-1";
/// The most bytes of a `.cls`, and of a `.json`.
const MAX_LABEL: u64 = 1000;
const MAX_JSON: u64 = 1 << 20;
/// The most bytes that are read of a member and of what gives its name: archives may claim any number.
const MAX_READ: u64 = 4 << 20;
/// Members begin at multiples of it.
const BLOCK: u64 = 512;

/// Offset and length of a picture's bytes, which of [`Contents::labels`] it has, and the name of its member.
pub(crate) type Stored = (u64, u64, u32, Box<str>);

/// What a shard holds.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// Those with a label, in the order of their first members.
    pub pictures: Vec<Stored>,
    /// As they stand there, each once: numbers or names.
    pub labels: Vec<Box<str>>,
    /// What is passed over, by the names of members.
    #[serde(with = "crate::skipped::parts")]
    pub skipped: Skipped,
}

/// The members of a sample.
#[derive(Default)]
struct Members {
    /// Offset, length, name.
    picture: Option<(u64, u64, Box<str>)>,
    cls: Option<Box<str>>,
    json: Option<Box<str>>,
    /// Whether it has a picture of a format that isn't read.
    has_other_picture: bool,
    /// The first member's name.
    name: Box<str>,
}

impl Contents {
    /// Reads the headers of a shard, and its labels.
    ///
    /// # Errors
    /// If it is no tar file, is damaged or cut off, or has two pictures or labels of one sample.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let file = open_file(path, EXPECTED)?;
        let length = file.metadata().map_err(|e| Error::read(path, e))?.len();
        let error = |message: String| Error::layout(path, message);
        let damaged = |e: io::Error| error(format!("can't be read: {e}, expected {EXPECTED}"));
        let mut samples = Samples::default();
        let mut skipped = Skipped::default();
        let mut end = 0;
        let mut archive = Archive::new(Bounded { file, left: MAX_READ });
        for entry in archive.entries_with_seek().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let (offset, size) = (entry.raw_file_position(), entry.size());
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if offset.checked_add(size).is_none_or(|end| end > length) {
                let left = length.saturating_sub(offset);
                return Err(error(format!("is cut off: `{name}` claims {size} bytes, and {left} are there")));
            }
            end = (offset + size).next_multiple_of(BLOCK);
            samples.add(&mut entry, &name, &mut skipped).map_err(error)?;
            if samples.samples.len() > MAX_PICTURES {
                return Err(error(format!("has more than {MAX_PICTURES} samples")));
            }
        }
        // What was written to its end has empty blocks there.
        if end.saturating_add(BLOCK) > length {
            return Err(error(format!("is cut off: its end is missing, expected {EXPECTED}")));
        }
        Ok(samples.into_contents(skipped))
    }
}

/// Samples by their keys, in the order in which they come.
#[derive(Default)]
struct Samples {
    samples: Vec<Members>,
    by_key: HashMap<Box<str>, usize>,
}

impl Samples {
    fn add<R: Read>(&mut self, entry: &mut Entry<'_, R>, name: &str, skipped: &mut Skipped) -> Result<(), String> {
        if entry.header().entry_type() == EntryType::Directory {
            return Ok(());
        }
        let name = name.strip_prefix("./").unwrap_or(name);
        let path = Path::new(name);
        let base = name.rsplit('/').next().unwrap_or_default();
        if name.contains(char::REPLACEMENT_CHARACTER) {
            skipped.add(Sort::NoText, path);
            return Ok(());
        }
        if name.split('/').any(is_of_the_system) {
            skipped.add(Sort::System, path);
            return Ok(());
        }
        if base.starts_with('.') {
            if ending(path) == Ending::Picture {
                skipped.add(Sort::Hidden, path);
            }
            return Ok(());
        }
        let Some((_, suffix)) = base.split_once('.') else { return Ok(()) };
        let suffix = suffix.to_ascii_lowercase();
        // `left.jpg` isn't the picture of its sample.
        let kind = if suffix.contains('.') { Ending::Other } else { ending(path) };
        let is_label = suffix == "cls" || suffix == "json";
        if kind == Ending::Other && !is_label {
            return Ok(());
        }
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Continuous) {
            if kind != Ending::Other {
                skipped.add(Sort::Link, path);
            }
            return Ok(());
        }
        let key = &name[..name.len() - suffix.len() - 1];
        let members = self.members(key, name);
        let is_there = match (kind, suffix.as_str()) {
            (Ending::Picture, _) => {
                members.picture.replace((entry.raw_file_position(), entry.size(), name.into())).is_some()
            }
            (_, "cls") => members.cls.replace(text(entry, MAX_LABEL, name)?.into()).is_some(),
            (_, "json") => members.json.replace(label_of(&text(entry, MAX_JSON, name)?).into()).is_some(),
            _ => {
                members.has_other_picture = true;
                false
            }
        };
        if is_there {
            let what = if is_label { "label" } else { "picture" };
            return Err(format!("`{name}` is a second {what} of the sample `{key}`, expected one"));
        }
        Ok(())
    }

    fn members(&mut self, key: &str, name: &str) -> &mut Members {
        let index = if let Some(index) = self.by_key.get(key) {
            *index
        } else {
            self.by_key.insert(key.into(), self.samples.len());
            self.samples.push(Members { name: name.into(), ..Members::default() });
            self.samples.len() - 1
        };
        &mut self.samples[index]
    }

    fn into_contents(self, mut skipped: Skipped) -> Contents {
        let mut contents = Contents::default();
        let mut labels: HashMap<Box<str>, u32> = HashMap::new();
        for Members { picture, cls, json, has_other_picture, name } in self.samples {
            let Some((offset, length, name)) = picture else {
                let sort = if has_other_picture { Sort::OtherFormat } else { Sort::NoPictureInSample };
                skipped.add(sort, Path::new(&*name));
                continue;
            };
            let is_one = |label: &str| !label.is_empty() && label != UNLABELLED;
            let Some(label) = cls.into_iter().chain(json).find(|label| is_one(label)) else {
                skipped.add(Sort::Unlabelled, Path::new(&*name));
                continue;
            };
            let next = labels.len() as u32;
            let label = *labels.entry(label).or_insert_with_key(|label| {
                contents.labels.push(label.clone());
                next
            });
            contents.pictures.push((offset, length, label, name));
        }
        contents.skipped = skipped;
        contents
    }
}

/// What a small member holds; nothing if it is no text.
fn text<R: Read>(entry: &mut Entry<'_, R>, most: u64, name: &str) -> Result<String, String> {
    if entry.size() > most {
        return Err(format!("`{name}` has {} bytes, expected a label of at most {most}", entry.size()));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|e| format!("`{name}` can't be read: {e}"))?;
    let text = String::from_utf8(bytes).unwrap_or_default();
    Ok(text.trim().to_owned())
}

/// The label in a JSON object; nothing if there is none.
fn label_of(json: &str) -> String {
    let object: Value = serde_json::from_str(json).unwrap_or_default();
    let label = LABELS.iter().find_map(|field| object.get(field));
    match label {
        Some(Value::String(text)) if text.len() as u64 <= MAX_LABEL => text.trim().to_owned(),
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        _ => String::new(),
    }
}

/// A file of which no more than [`MAX_READ`] is read in one go: names are held in memory.
struct Bounded {
    file: File,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            return Err(io::Error::other(format!("a name has more than {MAX_READ} bytes")));
        }
        let most = (buffer.len() as u64).min(self.left) as usize;
        let read = self.file.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.left = MAX_READ;
        self.file.seek(to)
    }
}
