//! What the layouts share in looking at folders.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::skipped::Sort;
use crate::{Error, Result, Skipped};

/// The endings of the pictures that [`crate::decode`] reads, in lower case.
const READ: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"];
/// The endings of other pictures: photographs of telephones and cameras, and what editors and the web make.
const NOT_READ: [&str; 30] = [
    "avif", "heic", "heif", "jxl", "jp2", "j2k", "jpx", "mpo", "jng", "apng", "svg", "ico", "psd", "xcf", "tga", "dds",
    "pbm", "pgm", "ppm", "pnm", "qoi", "exr", "hdr", "dng", "cr2", "cr3", "nef", "arw", "orf", "raf",
];

/// What the ending of a file's name says, in any letter case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// A picture of a format that is read.
    Picture,
    /// A picture of another format.
    OtherPicture,
    /// Anything else, or nothing.
    Other,
}

/// What the ending of a file's name says.
pub(crate) fn ending(path: &Path) -> Ending {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    match extension.as_deref() {
        Some(e) if READ.contains(&e) => Ending::Picture,
        Some(e) if NOT_READ.contains(&e) => Ending::OtherPicture,
        _ => Ending::Other,
    }
}

/// What operating systems, archivers and servers put into folders, in lower case.
const OF_THE_SYSTEM: [&str; 12] = [
    "__macosx",
    "@eadir",
    "lost+found",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "#recycle",
    "system volume information",
    ".ds_store",
    ".trashes",
    ".spotlight-v100",
];

/// Whether the system made a file or folder of this name. What macOS keeps of a file on other disks begins with `._`.
pub(crate) fn is_of_the_system(name: &str) -> bool {
    name.starts_with("._") || OF_THE_SYSTEM.contains(&name.to_ascii_lowercase().as_str())
}

/// Fails if `path` is no folder; `expected` says what it should hold.
pub(crate) fn require_folder(path: &Path, expected: &str) -> Result<()> {
    match fs::metadata(path) {
        Ok(m) if m.is_dir() => Ok(()),
        Ok(_) => Err(Error::layout(path, format!("is no folder, expected {expected}"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::layout(path, format!("no such folder, expected {expected}")))
        }
        Err(e) => Err(Error::read(path, e)),
    }
}

/// The most bytes of a list or an annotation that is read at once. A line of a list has some 100.
const MAX_BYTES: u64 = 512 << 20;

/// The most pictures that a data set may name, three times as many as the largest published ones have. A file of little more
/// than commas would take a hundred times its size.
pub(crate) const MAX_PICTURES: usize = 10_000_000;

/// Reads a file; `expected` says what it should hold.
pub(crate) fn read_bytes(path: &Path, expected: &str) -> Result<Vec<u8>> {
    let file = open_file(path, expected)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Error::read(path, e))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::layout(path, format!("is larger than {} MiB, expected {expected}", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}

/// Opens a file; `expected` says what it should hold.
pub(crate) fn open_file(path: &Path, expected: &str) -> Result<File> {
    // Reading a pipe could wait for ever, and a device has no end.
    if !fs::metadata(path).map_err(|e| not_read(path, e, expected))?.is_file() {
        return Err(Error::layout(path, format!("is no file, expected {expected}")));
    }
    File::open(path).map_err(|e| not_read(path, e, expected))
}

fn not_read(path: &Path, error: std::io::Error, expected: &str) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::layout(path, format!("no such file, expected {expected}"));
    }
    Error::read(path, error)
}

/// Reads a text file; `expected` says what it should hold.
pub(crate) fn read_text(path: &Path, expected: &str) -> Result<String> {
    let bytes = read_bytes(path, expected)?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].split(|&b| b == b'\n').count();
        Error::line(path, line as u64, format!("is no UTF-8 text, expected {expected}"))
    })?;
    // Some editors put a byte order mark first.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// The lines of a text that aren't empty, without the spaces around them, each with its number.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty())
}

/// The folder that holds the data set: the first of `names` that is a folder in `root`, or `root` itself. So a data set is
/// found both by the folder that its archive makes and by the one in which that was unpacked.
pub(crate) fn unpacked(root: &Path, names: &[&str]) -> PathBuf {
    names.iter().map(|name| root.join(name)).find(|path| path.is_dir()).unwrap_or_else(|| root.to_owned())
}

/// What lies in a folder and isn't hidden, sorted by name: each path, its name, and whether it is a folder. What the
/// system made, hidden pictures and names that are no UTF-8 are added to `skipped`.
pub(crate) fn entries(folder: &Path, skipped: &mut Skipped) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| Error::read(folder, e))? {
        let path = entry.map_err(|e| Error::read(folder, e))?.path();
        let Some(name) = path.file_name().and_then(|n| n.to_str()).map(str::to_owned) else {
            skipped.add(Sort::NoText, &path);
            continue;
        };
        if is_of_the_system(&name) {
            skipped.add(Sort::System, &path);
        } else if !name.starts_with('.') {
            // A link counts as what it points to.
            entries.push(Entry { is_folder: path.is_dir(), path, name });
        } else if ending(&path) == Ending::Picture {
            skipped.add(Sort::Hidden, &path);
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// What [`entries`] finds.
pub(crate) struct Entry {
    pub path: PathBuf,
    pub name: String,
    pub is_folder: bool,
}
