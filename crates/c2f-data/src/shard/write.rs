//! Any data set as shards: written so that a killed call goes on where it stopped, and what was written is read back.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Cursor, Write};
use std::path::{Path, PathBuf};

use image::ImageFormat;
use sha2::{Digest, Sha256};
use tar::{Builder, Header};

use super::{CLASSES, Contents, HIERARCHY, Shard};
use crate::decode::{decode, encoded};
use crate::formats::files::{Ending, ending};
use crate::{Dataset, Error, Kind, Limits, Result, Sample, Spec, open};

/// A picture of any size is copied: only who decodes it has to bound it.
const NO_LIMITS: Limits = Limits { max_megapixels: u32::MAX };

/// Writes a data set into the new folder `to`, for [`Kind::Webdataset`]: `SPLIT-000000.tar` and so on, each of about `shard_bytes`
/// and at least one picture, in the data set's order; `classes.txt`; and `hierarchy.tsv`, if something is above the classes.
/// Pictures that are stored are copied byte for byte, others become PNG. Boxes and parts are left behind.
///
/// Until all is there, it lies beside `to` in a folder that ends in `.partial`. A later call with the same data set keeps the shards
/// that are whole, and goes on. Each shard is read back before it gets its name, and compared with the source by SHA-256. `progress`
/// is told how many pictures are done.
///
/// # Errors
/// If `to` is there, a picture can't be read, the folder can't be written or holds shards of another data set, or the data set has
/// names that the lists can't hold.
pub fn write_shards(dataset: &Dataset, to: &Path, shard_bytes: u64, progress: &mut dyn FnMut(usize)) -> Result<()> {
    check(dataset)?;
    if to.exists() {
        let message = " is there already, expected the name of a new folder".to_owned();
        return Err(c2f_files::Error::Refused { path: to.to_owned(), message }.into());
    }
    let folder = partial(to);
    fs::create_dir_all(&folder).map_err(|e| c2f_files::Error::io(&folder, e))?;
    let lock = lock(&folder)?;
    c2f_files::atomic::sweep(&folder)?;
    let mut done = 0;
    for (split, samples) in &dataset.splits {
        let keys = keys(samples);
        let (mut next, mut number) = (0, 0);
        while next < samples.len() {
            let path = folder.join(format!("{split}-{number:06}.tar"));
            let rest = Rest { samples: &samples[next..], keys: &keys[next..] };
            let count = if path.exists() { rest.kept(&path)? } else { rest.write(&path, shard_bytes)? };
            next += count;
            number += 1;
            done += count;
            progress(done);
        }
    }
    write_lists(dataset, &folder)?;
    compare(dataset, &folder)?;
    c2f_files::atomic::rename(&folder, to)?;
    let path = to.join(LOCK);
    fs::remove_file(&path).map_err(|e| Error::read(&path, e))?;
    drop(lock);
    Ok(())
}

const LOCK: &str = ".lock";

/// The folder that holds what isn't complete.
fn partial(to: &Path) -> PathBuf {
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    to.with_file_name(name)
}

/// Takes the folder until the file is dropped, or the process ends.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|e| Error::read(&path, e))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::layout(folder, "is being written by another process")),
        // A file system without locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// What can't be told by the names of files and lines of text is refused before anything is written.
fn check(dataset: &Dataset) -> Result<()> {
    let error = |message: String| Error::Spec { spec: dataset.name.clone(), message };
    if dataset.splits.len() == 1 && dataset.splits.contains_key("train") {
        return Err(error("has the split `train` alone, which would be split anew where shards are read".to_owned()));
    }
    if let Some(split) = dataset.splits.keys().find(|split| !["train", "val", "test"].contains(&split.as_str())) {
        return Err(error(format!("has the split `{split}`, expected `train`, `val` and `test`")));
    }
    let is_line = |name: &String| !name.is_empty() && name.trim() == name && !name.contains(['\n', '\r', '\t']);
    if let Some(name) = dataset.classes.iter().chain(dataset.ancestors.iter().flatten()).find(|name| !is_line(name)) {
        return Err(error(format!("has the class {name:?}, whose name doesn't fit into a line of {CLASSES}")));
    }
    Ok(())
}

/// The key of each sample: its path without the ending, with no other dot in its last part. Each is there once.
fn keys(samples: &[Sample]) -> Vec<String> {
    let mut seen: HashSet<String> = HashSet::new();
    let key = |sample: &Sample| {
        let parts = sample.file.split(['/', '\\']).filter(|part| !["", ".", ".."].contains(part));
        let mut parts: Vec<&str> = parts.collect();
        let last = parts.pop().unwrap_or_default();
        let stem = match ending(Path::new(last)) {
            Ending::Other => last,
            _ => last.rsplit_once('.').map_or(last, |(stem, _)| stem),
        };
        let stem = stem.replace('.', "_");
        parts.push(if stem.is_empty() { "_" } else { &stem });
        let key = parts.join("/");
        let mut distinct = key.clone();
        for number in 2.. {
            if seen.insert(distinct.clone()) {
                break;
            }
            distinct = format!("{key}-{number}");
        }
        distinct
    };
    samples.iter().map(key).collect()
}

/// The samples of a split that no shard has yet.
struct Rest<'a> {
    samples: &'a [Sample],
    keys: &'a [String],
}

impl Rest<'_> {
    /// How many of them the shard of an earlier call holds: the first ones.
    fn kept(&self, path: &Path) -> Result<usize> {
        let contents = Contents::read(path)?;
        self.compare(path, &contents, contents.pictures.len())?;
        Ok(contents.pictures.len())
    }

    /// Writes a shard of the first of them, and reads it back. Gives their number.
    fn write(&self, path: &Path, shard_bytes: u64) -> Result<usize> {
        let error = |e| Error::from(c2f_files::Error::io(path, e));
        let mut file = c2f_files::atomic::temporary(path)?;
        let mut digests: Vec<[u8; 32]> = Vec::new();
        let mut archive = Builder::new(BufWriter::new(file.as_file_mut()));
        let mut written = 0;
        for (sample, key) in self.samples.iter().zip(self.keys) {
            let (bytes, suffix) = picture(sample)?;
            written += add(&mut archive, &format!("{key}.{suffix}"), &bytes).map_err(error)?;
            written += add(&mut archive, &format!("{key}.cls"), sample.label.to_string().as_bytes()).map_err(error)?;
            digests.push(Sha256::digest(&bytes).into());
            if written >= shard_bytes {
                break;
            }
        }
        archive.into_inner().and_then(|mut buffer| buffer.flush()).map_err(error)?;
        self.read_back(path, file.path(), &digests)?;
        c2f_files::atomic::persist(file, path)?;
        Ok(digests.len())
    }

    /// Compares what is in the file with what was to be written to `path`.
    fn read_back(&self, path: &Path, file: &Path, digests: &[[u8; 32]]) -> Result<()> {
        let contents = Contents::read(file)?;
        self.compare(path, &contents, digests.len())?;
        let shard = Shard::open(file)?;
        for ((offset, length, _, name), digest) in contents.pictures.iter().zip(digests) {
            if Sha256::digest(shard.picture(name, *offset, *length, NO_LIMITS)?).as_slice() != digest {
                return Err(Error::layout(path, format!("`{name}` reads back as other bytes than were written")));
            }
        }
        Ok(())
    }

    /// Fails unless a shard holds the first `count` of them, with their labels.
    fn compare(&self, path: &Path, contents: &Contents, count: usize) -> Result<()> {
        let mut expected = self.samples.iter().zip(self.keys);
        let is_same = contents.pictures.iter().all(|(_, _, label, name)| {
            expected.next().is_some_and(|(sample, key)| {
                name.strip_prefix(key.as_str()).is_some_and(|suffix| suffix.starts_with('.'))
                    && *contents.labels[*label as usize] == *sample.label.to_string()
            })
        });
        if !is_same || contents.pictures.len() != count || count == 0 {
            let message = "holds other pictures or labels than the data set, expected what an earlier call wrote; \
                           remove it, or give another name";
            return Err(Error::layout(path, message));
        }
        Ok(())
    }
}

/// The bytes of a sample, and the ending of its name.
fn picture(sample: &Sample) -> Result<(Vec<u8>, String)> {
    if !sample.source.is_encoded() {
        let mut bytes = Cursor::new(Vec::new());
        let written = decode(sample)?.write_to(&mut bytes, ImageFormat::Png);
        written.map_err(|e| Error::Picture { path: sample.file.as_ref().into(), message: e.to_string() })?;
        return Ok((bytes.into_inner(), "png".to_owned()));
    }
    let bytes = encoded(sample, NO_LIMITS)?;
    let named = Path::new(&*sample.file).extension().filter(|_| ending(Path::new(&*sample.file)) == Ending::Picture);
    let suffix = match named {
        Some(suffix) => suffix.to_string_lossy().into_owned(),
        // A row of a Parquet file; what is no picture stays one that can't be read.
        None => image::guess_format(&bytes).map_or("jpg", |format| format.extensions_str()[0]).to_owned(),
    };
    Ok((bytes, suffix))
}

/// Adds a member, the same on every day and for every user; gives the bytes that it takes.
fn add(archive: &mut Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<u64> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, bytes)?;
    Ok(512 + (bytes.len() as u64).next_multiple_of(512))
}

fn write_lists(dataset: &Dataset, folder: &Path) -> Result<()> {
    let lines = |lines: &[String]| lines.join("\n") + "\n";
    c2f_files::atomic::write(&folder.join(CLASSES), lines(&dataset.classes).as_bytes())?;
    if dataset.ancestors.iter().any(|above| !above.is_empty()) {
        let above: Vec<String> = dataset.ancestors.iter().map(|above| above.join("\t")).collect();
        c2f_files::atomic::write(&folder.join(HIERARCHY), lines(&above).as_bytes())?;
    }
    Ok(())
}

/// Fails unless the folder is read as the data set: what lies there besides, such as a shard of an earlier call, would be read, too.
fn compare(dataset: &Dataset, folder: &Path) -> Result<()> {
    let shards = open(&Spec::new(Kind::Webdataset, Some(folder.to_owned())))?;
    let labels = |dataset: &Dataset| -> Vec<(String, Vec<usize>)> {
        let splits = dataset.splits.iter();
        splits.map(|(split, samples)| (split.clone(), samples.iter().map(|s| s.label).collect())).collect()
    };
    if shards.classes != dataset.classes || labels(&shards) != labels(dataset) {
        let message =
            "holds more than the data set, expected what an earlier call wrote; remove it, or give another name";
        return Err(Error::layout(folder, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Source;

    #[test]
    fn keys_have_no_dot_and_stay_in_the_folder() {
        let sample = |file: &str| Sample::new(file, 0, Source::File { root: Path::new("").into() });
        let files = ["a.b/c.jpg", "/x/../d.e.PNG", "d_e", "d.e.jpg", ".jpg", "data/train-0.parquet/3"];
        let keys = keys(&files.map(sample));
        assert_eq!(keys, ["a.b/c", "x/d_e", "d_e", "d_e-2", "_jpg", "data/train-0.parquet/3"]);
    }
}
