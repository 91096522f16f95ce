//! What the shards of a folder hold, kept beside them, so that their headers are read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use super::{Contents, Shard};
use crate::Result;

/// The file's name.
const INDEX: &str = ".c2f-index.json";
/// Changes with what [`Contents`] are.
const VERSION: u32 = 1;
/// More bytes of an index aren't read: twenty million pictures have so many.
const MAX_INDEX: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Index {
    version: u32,
    /// By the shards' names in the folder.
    shards: BTreeMap<String, Entry>,
}

/// A shard, as it was when its headers were read.
#[derive(Serialize, Deserialize)]
struct Entry {
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: i128,
    contents: Contents,
}

impl Entry {
    fn is_of(&self, shard: &Shard) -> bool {
        (self.bytes, self.modified) == (shard.stamp.bytes, shard.stamp.nanoseconds())
    }

    /// Whether its places are within the shard, and its labels there: anybody may have written the file.
    fn is_whole(&self) -> bool {
        let Contents { pictures, labels, .. } = &self.contents;
        pictures.iter().all(|(offset, length, label, _)| {
            offset.checked_add(*length).is_some_and(|end| end <= self.bytes) && (*label as usize) < labels.len()
        })
    }
}

/// What each of the shards holds, named by their paths in the folder `root`. Those that the index doesn't have as they are now are
/// read by all cores, and the index is written anew, if that can be.
///
/// # Errors
/// If a shard can't be read; of several, the first.
pub(crate) fn contents_of_all(root: &Path, names: &[String]) -> Result<Vec<(Shard, Contents)>> {
    let mut index = read(&root.join(INDEX));
    let mut found: Vec<(Shard, Option<Contents>)> = Vec::new();
    for name in names {
        let shard = Shard::open(&root.join(name))?;
        let entry = index.shards.remove(name);
        if entry.as_ref().is_some_and(|entry| !entry.is_of(&shard)) {
            tracing::warn!("{} has changed since it was indexed, and is indexed anew", shard.path().display());
        }
        let contents = entry.filter(|entry| entry.is_of(&shard) && entry.is_whole()).map(|entry| entry.contents);
        found.push((shard, contents));
    }
    let missing: Vec<PathBuf> =
        found.iter().filter(|(_, contents)| contents.is_none()).map(|(shard, _)| shard.path().to_owned()).collect();
    let mut new = read_all(&missing).into_iter();
    let mut all = Vec::with_capacity(found.len());
    for (shard, contents) in found {
        let contents = match contents {
            Some(contents) => contents,
            None => new.next().unwrap_or_else(|| Contents::read(shard.path()))?,
        };
        all.push((shard, contents));
    }
    if !missing.is_empty() {
        all = keep(root, names, index, all);
    }
    Ok(all)
}

/// Reads shards on all cores.
fn read_all(paths: &[PathBuf]) -> Vec<Result<Contents>> {
    let next = AtomicUsize::new(0);
    let read: Mutex<Vec<(usize, Result<Contents>)>> = Mutex::default();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = paths.get(number) else { return };
            let contents = Contents::read(path);
            read.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, contents));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(paths.len());
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    let mut read = read.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    read.sort_by_key(|(number, _)| *number);
    read.into_iter().map(|(_, contents)| contents).collect()
}

/// The index; an empty one if there is none that can be read.
fn read(path: &Path) -> Index {
    let read = || serde_json::from_slice::<Index>(&c2f_files::bytes(path, MAX_INDEX).ok()?).ok();
    read().filter(|index| index.version == VERSION).unwrap_or(Index { version: VERSION, shards: BTreeMap::new() })
}

/// Writes the index of these shards and of the `others` that are still there. Gives the shards back.
fn keep(root: &Path, names: &[String], others: Index, all: Vec<(Shard, Contents)>) -> Vec<(Shard, Contents)> {
    let mut index = others;
    index.shards.retain(|name, _| root.join(name).is_file());
    let mut shards = Vec::new();
    for (name, (shard, contents)) in names.iter().zip(all) {
        let (bytes, modified) = (shard.stamp.bytes, shard.stamp.nanoseconds());
        index.shards.insert(name.clone(), Entry { bytes, modified, contents });
        shards.push(shard);
    }
    // One that was written a moment ago could change without a trace.
    let is_settled = shards.iter().all(|shard| shard.stamp.is_settled());
    let path = root.join(INDEX);
    let written = || {
        c2f_files::atomic::write(&path, &serde_json::to_vec(&index).map_err(|e| e.to_string())?)
            .map_err(|e| e.to_string())
    };
    if is_settled && let Err(message) = written() {
        tracing::info!("{message}; the shards are indexed anew each time");
    }
    let contents = names.iter().map(|name| index.shards.remove(name).map(|entry| entry.contents).unwrap_or_default());
    shards.into_iter().zip(contents.collect::<Vec<_>>()).collect()
}
