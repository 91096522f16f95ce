//! What was passed over in reading a data set, so that nothing is missing without a word.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

/// How many things of each sort were passed over, and the first of each. [`fmt::Display`] says it in one line; as JSON it is
/// an array of `{"what", "count", "first"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    sorts: BTreeMap<Sort, (usize, String)>,
}

/// What is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Sort {
    /// The name has the ending of a picture that no decoder here reads.
    OtherFormat,
    /// The file's name has no ending of a picture, where nothing else is read.
    NoPicture,
    /// The picture lies beside the class folders, or below one.
    Outside,
    /// The picture has no label.
    Unlabelled,
    /// The name begins with a dot.
    Hidden,
    /// The folder beside the splits is none.
    NoSplit,
    /// The class folder in a split other than `train` has no picture.
    EmptyClass,
    /// Training runs, not a class.
    Run,
    /// The operating system's or an archiver's, not the user's.
    System,
    /// The name is no UTF-8.
    NoText,
    /// The sample of a shard has no picture.
    NoPictureInSample,
    /// The picture in a shard is only a link to another file.
    Link,
}

impl Sort {
    /// What they are, one and several.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::OtherFormat => ["picture of a format that isn't read", "pictures of formats that aren't read"],
            Self::NoPicture => ["file that is no picture", "files that are no pictures"],
            Self::Outside => {
                ["picture beside or below the class folders", "pictures beside or below the class folders"]
            }
            Self::Unlabelled => ["picture without a label", "pictures without a label"],
            Self::Hidden => ["hidden picture", "hidden pictures"],
            Self::NoSplit => ["folder that is no split", "folders that are no split"],
            Self::EmptyClass => ["class folder without a picture", "class folders without a picture"],
            Self::Run => ["folder of training runs", "folders of training runs"],
            Self::System => ["name that the system made", "names that the system made"],
            Self::NoText => ["name that is no UTF-8", "names that are no UTF-8"],
            Self::NoPictureInSample => ["sample without a picture", "samples without a picture"],
            Self::Link => ["picture that is only a link", "pictures that are only links"],
        }
    }
}

impl Skipped {
    /// Whether nothing was passed over.
    pub fn is_empty(&self) -> bool {
        self.sorts.is_empty()
    }

    /// Adds what another has.
    pub fn extend(&mut self, other: Self) {
        for (sort, (count, first)) in other.sorts {
            self.sorts.entry(sort).or_insert((0, first)).0 += count;
        }
    }

    /// The same, where names are relative to `folder`.
    pub(crate) fn below(mut self, folder: &Path) -> Self {
        for (_, first) in self.sorts.values_mut() {
            *first = folder.join(&*first).display().to_string();
        }
        self
    }

    /// Adds one thing.
    pub(crate) fn add(&mut self, sort: Sort, path: &Path) {
        self.sorts.entry(sort).or_insert_with(|| (0, path.display().to_string())).0 += 1;
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing was passed over");
        }
        let sorts = self.sorts.iter().map(|(sort, (count, first))| {
            let [one, several] = sort.names();
            if *count == 1 { format!("1 {one} ({first})") } else { format!("{count} {several} ({first}, ...)") }
        });
        write!(f, "passed over: {}", sorts.collect::<Vec<_>>().join("; "))
    }
}

impl Serialize for Skipped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Entry<'a> {
            what: &'static str,
            count: usize,
            first: &'a str,
        }
        let mut entries = serializer.serialize_seq(Some(self.sorts.len()))?;
        for (sort, (count, first)) in &self.sorts {
            let [_, what] = sort.names();
            entries.serialize_element(&Entry { what, count: *count, first })?;
        }
        entries.end()
    }
}

/// As a part of a file that this crate reads again.
pub(crate) mod parts {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Skipped;

    pub(crate) fn serialize<S: Serializer>(skipped: &Skipped, serializer: S) -> Result<S::Ok, S::Error> {
        skipped.sorts.serialize(serializer)
    }

    pub(crate) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Skipped, D::Error> {
        Ok(Skipped { sorts: Deserialize::deserialize(deserializer)? })
    }
}
