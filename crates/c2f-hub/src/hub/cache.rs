//! The cache that Python's `huggingface_hub` writes, so that both share what they fetch.

use std::fs::{self, File, TryLockError};
use std::io;
#[cfg(unix)]
use std::os::unix::fs::symlink;
#[cfg(windows)]
use std::os::windows::fs::symlink_file as symlink;
use std::path::{Path, PathBuf};

use tracing::info;

use c2f_files::atomic;

use super::{Name, is_hex};
use crate::{Error, Result, make_folder};

/// The folder of one repository: `blobs/ETAG`, `refs/REVISION` and `snapshots/COMMIT/FILE`, a link to a blob.
pub struct Repo {
    folder: PathBuf,
    locks: PathBuf,
}

impl Repo {
    /// The place of a repository of weights in `cache`, which need not exist.
    pub fn of_model(cache: &Path, name: &Name) -> Self {
        Self::new(cache, "models", name)
    }

    /// The same of a data set's.
    pub fn of_dataset(cache: &Path, name: &Name) -> Self {
        Self::new(cache, "datasets", name)
    }

    fn new(cache: &Path, kind: &str, name: &Name) -> Self {
        let folder = format!("{kind}--{}", name.repo.replace('/', "--"));
        Self { locks: cache.join(".locks").join(&folder), folder: cache.join(folder) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The commit that a branch or tag had when it was fetched last.
    pub fn commit(&self, revision: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_hex(commit, 40))
    }

    /// The folder with the files of a commit.
    pub fn snapshots(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    pub fn snapshot(&self, commit: &str, file: &str) -> PathBuf {
        self.snapshots(commit).join(file)
    }

    /// Where the content with that tag lies. Makes its folder.
    pub fn blob(&self, etag: &str) -> Result<PathBuf> {
        let blobs = self.folder.join("blobs");
        make_folder(&blobs)?;
        Ok(blobs.join(etag))
    }

    /// Waits until no other process, c2f's or Python's, is fetching this content. Where the file system has no locks, there is
    /// no waiting.
    pub fn lock(&self, etag: &str) -> Result<File> {
        make_folder(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|e| Error::io(&path, e))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            info!("Waiting for another process that is fetching the same file");
            file.lock().map_err(|e| Error::io(&path, e))?;
        }
        Ok(file)
    }

    /// Makes `snapshot` stand for the blob: by a link, or by a copy where links can't be made.
    pub fn link(&self, etag: &str, snapshot: &Path) -> Result<()> {
        let folder = snapshot.parent().unwrap_or(&self.folder);
        make_folder(folder)?;
        let io = |source| Error::io(snapshot, source);
        let depth = folder.strip_prefix(&self.folder).map_or(0, |inside| inside.components().count());
        let target: PathBuf = std::iter::repeat_n("..", depth).chain(["blobs", etag]).collect();
        let mut temporary = tempfile::Builder::new();
        temporary.prefix(atomic::PREFIX).suffix(atomic::SUFFIX);
        let path = match temporary.make_in(folder, |path| symlink(&target, path)) {
            Ok(link) => link.into_temp_path(),
            Err(error) => {
                info!("{}: {error}; copying the file instead of linking it", snapshot.display());
                let copy = temporary.tempfile_in(folder).map_err(io)?.into_temp_path();
                copy_synced(&self.folder.join("blobs").join(etag), &copy).map_err(io)?;
                copy
            }
        };
        path.persist(snapshot).map_err(|e| io(e.error))
    }

    /// Notes which commit a branch or tag has.
    pub fn point(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let file = self.folder.join("refs").join(revision);
        make_folder(atomic::parent(&file))?;
        Ok(atomic::write(&file, commit.as_bytes())?)
    }
}

fn copy_synced(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    File::options().write(true).open(to)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dangling_link_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        let repo = Repo::of_model(cache.path(), &Name::parse("a/b").unwrap());
        let snapshot = repo.snapshot("c", "model.safetensors");
        repo.link("old", &snapshot).unwrap();
        assert!(!snapshot.exists());
        fs::write(repo.blob("new").unwrap(), "weights").unwrap();
        repo.link("new", &snapshot).unwrap();
        assert_eq!(fs::read_to_string(&snapshot).unwrap(), "weights");
        assert_eq!(fs::read_dir(snapshot.parent().unwrap()).unwrap().count(), 1);
        let deeper = repo.snapshot("c", "default/train/0.parquet");
        repo.link("new", &deeper).unwrap();
        assert_eq!(fs::read_to_string(&deeper).unwrap(), "weights");
    }

    #[test]
    fn a_ref_that_is_no_commit_is_none() {
        let cache = tempfile::tempdir().unwrap();
        let repo = Repo::of_model(cache.path(), &Name::parse("a/b").unwrap());
        assert_eq!(repo.commit("main"), None);
        repo.point("main", "../../../etc").unwrap();
        assert_eq!(repo.commit("main"), None);
        repo.point("main", &"0".repeat(40)).unwrap();
        assert_eq!(repo.commit("main"), Some("0".repeat(40)));
    }
}
