//! Pictures anywhere below a folder, of no class.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::files::{Ending, ending, entries};
use crate::skipped::Sort;
use crate::{Error, Result, Skipped};

/// Every picture below `folder` that [`decode_file`](crate::decode_file) reads, told by the endings of names, and what else lies
/// there. What is in a folder is sorted by name; links are followed, but into no folder twice.
///
/// # Errors
/// If a folder can't be read.
pub fn pictures_below(folder: &Path) -> Result<(Vec<PathBuf>, Skipped)> {
    let mut walk = Walk::default();
    walk.enter(folder)?;
    Ok((walk.pictures, walk.skipped))
}

#[derive(Default)]
struct Walk {
    pictures: Vec<PathBuf>,
    skipped: Skipped,
    entered: HashSet<PathBuf>,
}

impl Walk {
    fn enter(&mut self, folder: &Path) -> Result<()> {
        if !self.entered.insert(folder.canonicalize().map_err(|e| Error::read(folder, e))?) {
            return Ok(());
        }
        for entry in entries(folder, &mut self.skipped)? {
            match ending(&entry.path) {
                _ if entry.is_folder => self.enter(&entry.path)?,
                Ending::Picture => self.pictures.push(entry.path),
                Ending::OtherPicture => self.skipped.add(Sort::OtherFormat, &entry.path),
                Ending::Other => self.skipped.add(Sort::NoPicture, &entry.path),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_order_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["b/2.JPG", "b/1.webp", "a.png", "c/deep/er/x.tiff", "c/notes.txt", "c/raw.heic", ".hidden.png"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path(), folder.path().join("c/again")).unwrap();
        let (pictures, skipped) = pictures_below(folder.path()).unwrap();
        let names: Vec<_> = pictures.iter().map(|path| path.strip_prefix(folder.path()).unwrap()).collect();
        assert_eq!(names, ["a.png", "b/1.webp", "b/2.JPG", "c/deep/er/x.tiff"].map(Path::new));
        let line = skipped.to_string();
        for part in ["1 file that is no picture", "notes.txt", "raw.heic", "1 hidden picture"] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(pictures_below(&folder.path().join("no")).unwrap_err().to_string().contains("no"));
    }
}
