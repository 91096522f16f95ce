//! The pictures that the lists of a data set name.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::unicode::spellings;
use crate::{Sample, Source};

/// What is asked of the pictures that lists name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Each is there.
    MustExist,
    /// Whoever reads them finds out which are there.
    MayBeMissing,
}

/// Makes samples of the pictures that lists name, and sees to it that each is there, and is named once.
pub(crate) struct Pictures {
    root: Arc<Path>,
    listed: Listed,
    /// The path from the data set's folder to the one that lists begin at, with a slash behind it if it isn't empty.
    prefix: String,
    named: HashSet<Arc<str>>,
}

impl Pictures {
    /// Lists name files relative to `base`, which is the data set's folder `root` or lies in it.
    pub(crate) fn new(root: &Path, base: &Path, listed: Listed) -> Self {
        let inner = base.strip_prefix(root).unwrap_or(Path::new("")).to_string_lossy();
        let prefix = if inner.is_empty() { String::new() } else { format!("{inner}/") };
        Self { root: root.into(), listed, prefix, named: HashSet::new() }
    }

    /// The picture `file`. The error has no place yet: it is for the one who knows the line to add it.
    pub(crate) fn sample(&mut self, file: &str, label: usize) -> Result<Sample, String> {
        let file = format!("{}{file}", self.prefix);
        let file: Arc<str> = match self.find(&file) {
            Some(found) => found.into(),
            None if self.listed == Listed::MayBeMissing => file.into(),
            None => {
                let path = self.root.join(&file);
                return Err(format!("{}: no such file, expected the picture that the list names", path.display()));
            }
        };
        if !self.named.insert(Arc::clone(&file)) {
            return Err(format!("`{file}` is named twice, expected each picture once"));
        }
        Ok(Sample::new(file, label, Source::File { root: Arc::clone(&self.root) }))
    }

    /// The name under which the file is there: as the list has it, with slashes for a list from Windows, or in the other
    /// spelling of Unicode.
    fn find(&self, file: &str) -> Option<String> {
        let is_there = |file: &String| self.root.join(file).is_file();
        let written = file.to_owned();
        if is_there(&written) {
            return Some(written);
        }
        let slashes = file.replace('\\', "/");
        [slashes.clone()].into_iter().chain(spellings(&slashes)).find(is_there)
    }
}
