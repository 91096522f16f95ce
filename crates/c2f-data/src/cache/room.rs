//! How much of a folder's bound is taken, by all processes that share it.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file that counts against the bound.
pub(super) struct Counted {
    pub path: PathBuf,
    pub bytes: u64,
    pub modified: SystemTime,
}

/// The bytes that are taken, in a file that is locked while the number changes.
#[derive(Debug)]
pub(super) struct Room {
    count: File,
    limit: u64,
    /// Files that may go to make room for others, with their sizes; the first to go is the last.
    spare: Vec<(PathBuf, u64)>,
}

impl Room {
    /// Room for `limit` bytes, of which `files` take theirs. Those for which `is_spare` go where there is too little, the oldest
    /// first; at once, others too, where these files alone are too many.
    pub(super) fn open(
        count: &Path,
        limit: u64,
        list: impl FnOnce() -> io::Result<Vec<Counted>>,
        is_spare: impl Fn(&Path) -> bool,
    ) -> io::Result<Self> {
        let count = File::options().read(true).write(true).create(true).truncate(false).open(count)?;
        let mut room = Self { count, limit, spare: Vec::new() };
        room.locked(|room| {
            let mut files = list()?;
            // The last is the first to go.
            files.sort_by_key(|file| (is_spare(&file.path), Reverse(file.modified)));
            let mut taken = files.iter().map(|file| file.bytes).sum();
            while taken > limit
                && let Some(file) = files.pop()
            {
                remove(&file.path, file.bytes, &mut taken);
            }
            let spare = files.into_iter().filter(|file| is_spare(&file.path));
            room.spare = spare.map(|file| (file.path, file.bytes)).collect();
            room.write(taken)
        })?;
        Ok(room)
    }

    /// Takes so many bytes; false where there is no room for them, not even when what is spare goes.
    pub(super) fn take(&mut self, bytes: u64) -> io::Result<bool> {
        self.locked(|room| {
            let mut taken = room.read()?;
            while taken.saturating_add(bytes) > room.limit
                && let Some((path, size)) = room.spare.pop()
            {
                remove(&path, size, &mut taken);
            }
            let fits = taken.saturating_add(bytes) <= room.limit;
            room.write(if fits { taken + bytes } else { taken })?;
            Ok(fits)
        })
    }

    /// Gives so many bytes back.
    pub(super) fn give_back(&mut self, bytes: u64) -> io::Result<()> {
        self.locked(|room| {
            let taken = room.read()?;
            room.write(taken.saturating_sub(bytes))
        })
    }

    /// Keeps other processes out meanwhile, where the file system knows locks.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        let _ = self.count.lock();
        let result = work(self);
        let _ = self.count.unlock();
        result
    }

    fn read(&mut self) -> io::Result<u64> {
        let mut taken = [0; 8];
        self.count.rewind()?;
        self.count.read_exact(&mut taken)?;
        Ok(u64::from_le_bytes(taken))
    }

    fn write(&mut self, taken: u64) -> io::Result<()> {
        self.count.rewind()?;
        self.count.write_all(&taken.to_le_bytes())
    }
}

/// Removes a file; if another process has done so already, that has counted it.
fn remove(path: &Path, bytes: u64, taken: &mut u64) {
    if fs::remove_file(path).is_ok() {
        *taken = taken.saturating_sub(bytes);
    }
}
