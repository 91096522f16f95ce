//! Decoded pictures that are kept in a folder, up to a bound, from one run to the next.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use image::RgbImage;
use sha2::{Digest, Sha256};

use super::entry;
use super::room::{Counted, Room};
use crate::stamp::Stamp;
use crate::{Error, Limits, Result, Sample, Source, decode_within};

const SUFFIX: &str = ".rgb";
const TEMPORARY: &str = ".tmp";
/// No picture takes as long to write, so a temporary file that is older was left by a killed process.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder of decoded pictures, for those that take long to read or to decode: on slow disks, in Parquet files, of slow formats.
/// It holds pixels as they are, which take some ten times the space of a JPEG.
///
/// An entry is known by the path of the picture's file, and valid as long as that has the same size and time; one that is
/// damaged counts as none. Entries appear whole. Processes may share the folder, and its bound. When it is full, pictures of
/// other data sets make room, the oldest first; where all belong to this one, no more are added, as each epoch wants all of them.
#[derive(Debug)]
pub struct DiskCache {
    folder: PathBuf,
    room: Mutex<Room>,
    has_warned: AtomicBool,
}

impl DiskCache {
    /// The cache in `folder`, which is made if need be, of at most `limit` bytes (lengths of files), for these samples.
    ///
    /// # Errors
    /// If the folder can't be made, read or written.
    pub fn open(folder: &Path, limit: u64, samples: &[Sample]) -> Result<Self> {
        let error = |source| Error::Read { path: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(error)?;
        let own: HashSet<PathBuf> = samples.iter().filter_map(|s| Some(Key::of(s)?.path(folder))).collect();
        let room = Room::open(&folder.join("bytes"), limit, || list(folder), |path| !own.contains(path));
        Ok(Self {
            folder: folder.to_owned(),
            room: Mutex::new(room.map_err(error)?),
            has_warned: AtomicBool::new(false),
        })
    }

    /// The pixels of a sample.
    pub(super) fn decode(&self, sample: &Sample, limits: Limits) -> Result<RgbImage> {
        let key = Key::of(sample);
        // The stamp is older than the pixels: a change in between makes the entry invalid, not wrong.
        let stamp = key.as_ref().and_then(|key| Stamp::of(&key.file));
        let (Some(key), Some(stamp)) = (key, stamp) else { return decode_within(sample, limits) };
        let path = key.path(&self.folder);
        if let Some(picture) = entry::read(&path, stamp) {
            return Ok(picture);
        }
        let picture = decode_within(sample, limits)?;
        if stamp.is_settled()
            && let Err(error) = self.keep(&path, stamp, &picture)
            && !self.has_warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("{}: {error}; pictures are decoded again instead", self.folder.display());
        }
        Ok(picture)
    }

    /// Adds a picture if there is room for it.
    fn keep(&self, path: &Path, stamp: Stamp, picture: &RgbImage) -> io::Result<()> {
        // What was there is of another time, or damaged.
        if let Ok(old) = fs::metadata(path)
            && fs::remove_file(path).is_ok()
        {
            self.room().give_back(old.len())?;
        }
        let bytes = entry::size(picture);
        if !self.room().take(bytes)? {
            return Ok(());
        }
        let written = write_entry(path, stamp, picture);
        if !matches!(written, Ok(true)) {
            self.room().give_back(bytes)?;
        }
        written.map(|_| ())
    }

    /// What a thread that panicked left is whole: the count is written last.
    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an entry is known by.
struct Key {
    /// The file that is stamped.
    file: PathBuf,
    /// 40 hexadecimal digits of the path and, where a file holds several pictures, of the picture's place in it.
    name: String,
}

impl Key {
    /// None for a drawing, and where the path can't be made absolute.
    fn of(sample: &Sample) -> Option<Self> {
        let (file, place) = match &sample.source {
            Source::File { root } => (root.join(&*sample.file), None),
            Source::Parquet { file, row } => (file.path().to_owned(), Some(*row)),
            Source::Shard { shard, offset, .. } => (shard.path().to_owned(), Some(*offset)),
            Source::Synthetic { .. } | Source::Memory { .. } | Source::Made { .. } => return None,
        };
        let mut sha = Sha256::new();
        sha.update(std::path::absolute(&file).ok()?.as_os_str().as_encoded_bytes());
        if let Some(place) = place {
            // No path holds a zero.
            sha.update([0]);
            sha.update(place.to_le_bytes());
        }
        let name = sha.finalize()[..20].iter().fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        });
        Some(Self { file, name })
    }

    /// Where the entry lies: in one of 256 folders, as some file systems are slow with large ones.
    fn path(&self, folder: &Path) -> PathBuf {
        let (first, rest) = self.name.split_at(2);
        folder.join(first).join(format!("{rest}{SUFFIX}"))
    }
}

/// The entries in a folder, and what is being written. What killed processes left is removed.
fn list(folder: &Path) -> io::Result<Vec<Counted>> {
    let mut files = Vec::new();
    for inner in fs::read_dir(folder)? {
        let inner = inner?.path();
        // Whatever else lies in the folder is none of the cache's business.
        let is_ours = |name: &str| name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit());
        if !inner.file_name().and_then(|name| name.to_str()).is_some_and(is_ours) || !inner.is_dir() {
            continue;
        }
        for file in fs::read_dir(&inner)? {
            let path = file?.path();
            let ends = |end| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(end));
            // One that another process has just removed isn't there to be counted.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let modified = metadata.modified()?;
            let age = SystemTime::now().duration_since(modified).unwrap_or_default();
            if ends(TEMPORARY) && age > ABANDONED {
                let _ = fs::remove_file(&path);
            } else if ends(TEMPORARY) || ends(SUFFIX) {
                files.push(Counted { path, bytes: metadata.len(), modified });
            }
        }
    }
    Ok(files)
}

/// Writes an entry; false where another process has just done so.
fn write_entry(path: &Path, stamp: Stamp, picture: &RgbImage) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut temporary = tempfile::Builder::new();
    temporary.suffix(TEMPORARY);
    // For whom the umask makes files: several people may train on the same pictures.
    #[cfg(unix)]
    temporary.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = temporary.tempfile_in(folder)?;
    entry::write(&mut file, stamp, picture)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(e.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;
    use std::fs::File;
    use tempfile::TempDir;

    /// Width and height of the pictures, and the length of their entries.
    const SIDE: u32 = 10;
    const ENTRY: u64 = 44 + 300;

    fn picture(shade: u8) -> RgbImage {
        RgbImage::from_fn(SIDE, SIDE, |x, y| Rgb([shade, x as u8, y as u8]))
    }

    /// Saves a picture as of a minute ago.
    fn save(path: &Path, shade: u8) {
        picture(shade).save(path).unwrap();
        File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(SystemTime::now() - Duration::from_secs(60))
            .unwrap();
    }

    /// A folder with pictures of shade 0, 1, ...
    fn pictures(count: u8) -> (TempDir, Vec<Sample>) {
        let folder = tempfile::tempdir().unwrap();
        let sample = |i: u8| {
            save(&folder.path().join(format!("{i}.bmp")), i);
            Sample::new(format!("{i}.bmp"), 0, Source::File { root: folder.path().into() })
        };
        let samples = (0..count).map(sample).collect();
        (folder, samples)
    }

    fn entries(folder: &Path) -> Vec<PathBuf> {
        list(folder).unwrap().into_iter().map(|file| file.path).collect()
    }

    fn assert_all_right(cache: &DiskCache, samples: &[Sample]) {
        for (shade, sample) in (0..).zip(samples) {
            assert_eq!(cache.decode(sample, Limits::default()).unwrap(), picture(shade));
        }
    }

    #[test]
    fn pictures_are_kept_and_changed_ones_read_again() {
        let (folder, samples) = pictures(3);
        let kept = tempfile::tempdir().unwrap();
        let open = || DiskCache::open(kept.path(), 1 << 20, &samples).unwrap();
        assert_all_right(&open(), &samples);
        assert_eq!(entries(kept.path()).len(), 3);
        // What is kept is used: an entry with other pixels, made as the cache makes them, is what is given.
        let path = folder.path().join("1.bmp");
        let key = Key::of(&samples[1]).unwrap();
        fs::remove_file(key.path(kept.path())).unwrap();
        assert!(write_entry(&key.path(kept.path()), Stamp::of(&path).unwrap(), &picture(99)).unwrap());
        assert_eq!(open().decode(&samples[1], Limits::default()).unwrap(), picture(99));
        // The same size, but another time.
        save(&path, 7);
        let cache = open();
        assert_eq!(cache.decode(&samples[1], Limits::default()).unwrap(), picture(7));
        assert_eq!(cache.decode(&samples[1], Limits::default()).unwrap(), picture(7));
        assert_eq!(entries(kept.path()).len(), 3);
        // Just written, it could change again without another stamp.
        picture(8).save(&path).unwrap();
        assert_eq!(cache.decode(&samples[1], Limits::default()).unwrap(), picture(8));
        picture(9).save(&path).unwrap();
        assert_eq!(cache.decode(&samples[1], Limits::default()).unwrap(), picture(9));
        fs::remove_file(&path).unwrap();
        assert!(cache.decode(&samples[1], Limits::default()).is_err());
    }

    #[test]
    fn damaged_entries_are_read_anew() {
        let (_folder, samples) = pictures(2);
        let kept = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(kept.path(), 1 << 20, &samples).unwrap();
        assert_all_right(&cache, &samples);
        for path in entries(kept.path()) {
            let mut bytes = fs::read(&path).unwrap();
            bytes[100] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        assert_all_right(&cache, &samples);
        for path in entries(kept.path()) {
            fs::write(&path, b"c2f").unwrap();
        }
        assert_all_right(&cache, &samples);
        // And they are whole again.
        assert!(entries(kept.path()).iter().all(|path| fs::metadata(path).unwrap().len() == ENTRY));
    }

    #[test]
    fn the_bound_is_kept_and_others_make_room() {
        let (_folder, samples) = pictures(6);
        let kept = tempfile::tempdir().unwrap();
        let limit = 4 * ENTRY + 10;
        assert_all_right(&DiskCache::open(kept.path(), limit, &samples).unwrap(), &samples);
        let first = entries(kept.path());
        assert_eq!(first.len(), 4);
        // As long as all belong to the data set, they stay.
        assert_all_right(&DiskCache::open(kept.path(), limit, &samples).unwrap(), &samples);
        assert_eq!(entries(kept.path()), first);
        let (_folder, others) = pictures(2);
        assert_all_right(&DiskCache::open(kept.path(), limit, &others).unwrap(), &others);
        let both = entries(kept.path());
        assert_eq!((both.len(), both.iter().filter(|path| first.contains(path)).count()), (4, 2));
        // A smaller bound holds at once.
        let cache = DiskCache::open(kept.path(), ENTRY, &samples).unwrap();
        assert_eq!(entries(kept.path()).len(), 1);
        assert_all_right(&cache, &samples);
        assert!(entries(kept.path()).len() <= 1);
        // Nothing fits, and nothing is wrong.
        assert_all_right(&DiskCache::open(kept.path(), 0, &samples).unwrap(), &samples);
        assert_eq!(entries(kept.path()).len(), 0);
    }

    #[test]
    fn processes_share_the_folder_and_its_bound() {
        let (_folder, samples) = pictures(20);
        let kept = tempfile::tempdir().unwrap();
        let limit = 12 * ENTRY;
        // Each has files and locks of its own, as another process has.
        let caches: Vec<_> = (0..4).map(|_| DiskCache::open(kept.path(), limit, &samples).unwrap()).collect();
        std::thread::scope(|scope| {
            for cache in &caches {
                scope.spawn(|| assert_all_right(cache, &samples));
                scope.spawn(|| assert_all_right(cache, &samples));
            }
        });
        let files = list(kept.path()).unwrap();
        assert!(files.iter().all(|file| file.bytes == ENTRY), "an entry is cut off");
        assert!((4..=12).contains(&files.len()), "{} entries", files.len());
    }

    #[test]
    fn what_is_not_the_caches_stays() {
        let (_folder, samples) = pictures(1);
        let kept = tempfile::tempdir().unwrap();
        fs::create_dir_all(kept.path().join("ab")).unwrap();
        for name in ["notes.txt", "ab/notes.txt"] {
            fs::write(kept.path().join(name), [0; 5000]).unwrap();
        }
        let abandoned = kept.path().join("ab/x.tmp");
        fs::write(&abandoned, "half").unwrap();
        let old = SystemTime::now() - 2 * ABANDONED;
        File::options().write(true).open(&abandoned).unwrap().set_modified(old).unwrap();
        assert_all_right(&DiskCache::open(kept.path(), ENTRY, &samples).unwrap(), &samples);
        assert!(kept.path().join("notes.txt").exists() && kept.path().join("ab/notes.txt").exists());
        assert!(!abandoned.exists());
        let error = DiskCache::open(&kept.path().join("notes.txt"), ENTRY, &samples).unwrap_err();
        assert!(error.to_string().contains("notes.txt"), "{error}");
    }
}
