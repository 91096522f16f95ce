//! A published data set: its files fetched, unpacked and in their place, or nothing.

mod published;

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use tracing::info;

pub use published::{KINDS, published, spec};

use c2f_files::atomic;

use crate::unpack::is_archive;
use crate::{Digest, Error, Limits, Remote, Result, fetch, make_folder, unpack};

/// Where a data set is published, and where its files belong.
#[derive(Debug, Clone)]
pub struct Published {
    /// The folder that will hold it.
    pub folder: String,
    /// The folder of the archives that becomes [`folder`](Self::folder); without one it is all that they hold.
    pub inner: Option<String>,
    /// The page with its terms of use.
    pub page: String,
    /// Its files: archives to unpack, and others that belong beside what they hold.
    pub files: Vec<(String, Remote)>,
}

/// A data set that is in its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its folder.
    pub folder: PathBuf,
    /// The files for which no checksum is published, with those that they had.
    pub unverified: Vec<(String, Digest)>,
}

/// What [`fetch_dataset`] is doing with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// The file of that name is being fetched.
    Fetch(&'a str),
    /// The archive of that name is being unpacked.
    Unpack(&'a str),
}

/// Fetches a data set into a folder of its own in `parent`, unless that is there already. Until all is unpacked, everything lies
/// in a folder beside it with `.download` at its end, where a later call goes on; then the archives are removed.
///
/// `on_progress` gets the step, the bytes done and, where it is known, how many there are.
///
/// # Errors
/// If a file can't be fetched, an archive is damaged or unsafe, another process is fetching the same, or `parent` can't be
/// written.
pub fn fetch_dataset(
    published: &Published,
    parent: &Path,
    limits: Limits,
    on_progress: &mut dyn FnMut(Step<'_>, u64, Option<u64>),
) -> Result<Fetched> {
    let folder = parent.join(&published.folder);
    let workplace = parent.join(format!("{}.download", published.folder));
    let mut unverified = Vec::new();
    if folder.exists() {
        info!("{} is there already", folder.display());
        if workplace.exists() {
            sync_disk(parent)?;
            remove_folder(&workplace)?;
        }
        return Ok(Fetched { folder, unverified });
    }
    make_folder(&workplace)?;
    let _lock = lock(&workplace.join("lock"))?;
    for (name, remote) in &published.files {
        let file = workplace.join(name);
        fetch(remote, &file, &mut |done, total| on_progress(Step::Fetch(name), done, total))?;
        if remote.digest.is_none() {
            unverified.push((name.clone(), Digest::sha256(&file).map_err(|e| Error::io(&file, e))?));
        }
    }
    let unpacked = workplace.join("unpacked");
    remove_folder(&unpacked)?;
    make_folder(&unpacked)?;
    for (name, remote) in &published.files {
        let file = workplace.join(name);
        if !is_archive(&file) {
            let copy = unpacked.join(name);
            fs::copy(&file, &copy).map_err(|e| Error::io(&copy, e))?;
            continue;
        }
        info!("Unpacking {name}");
        let result = unpack(&file, &unpacked, limits, &mut |done| on_progress(Step::Unpack(name), done, None));
        // Where no checksum tells whether it is the right one, it has to be fetched again.
        if matches!(result, Err(Error::Archive { .. })) && remote.digest.is_none() {
            fs::remove_file(&file).map_err(|e| Error::io(&file, e))?;
        }
        result?;
    }
    let content = published.inner.as_ref().map_or(unpacked.clone(), |inner| unpacked.join(inner));
    if !content.is_dir() {
        let message = format!("its archives hold no folder {}", published.inner.as_deref().unwrap_or_default());
        return Err(Error::Dataset { name: published.folder.clone(), message });
    }
    // After a power cut it is either there whole or to be fetched again, and the archives go last.
    sync_disk(&content)?;
    atomic::rename(&content, &folder)?;
    remove_folder(&workplace)?;
    Ok(Fetched { folder, unverified })
}

fn lock(path: &Path) -> Result<File> {
    let io = |source| Error::io(path, source);
    let file = File::options().write(true).create(true).truncate(false).open(path).map_err(io)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io(std::io::Error::other("another process is fetching this data set"))),
        // A file system without locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// Waits until everything below a folder is on the disk. To sync every file of a data set for itself can take hours.
fn sync_disk(folder: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    File::open(folder).and_then(|file| Ok(rustix::fs::syncfs(file)?)).map_err(|e| Error::io(folder, e))?;
    #[cfg(all(unix, not(target_os = "linux")))]
    rustix::fs::sync();
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(folder, error)),
        _ => Ok(()),
    }
}
