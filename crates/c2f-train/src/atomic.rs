//! Files that are either the old or the new ones, whenever the process is killed.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

pub const PREFIX: &str = ".c2f-";
pub const SUFFIX: &str = ".tmp";

/// Replaces the file at `path`: a temporary file beside it, fsync, rename, fsync of the folder.
///
/// # Errors
/// If the folder doesn't exist, or the disk is full or read-only. The old file is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = parent(path);
    let io = |source| Error::io(path, source);
    let mut file = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    readable_by_all(file.as_file()).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    sync_folder(folder).map_err(io)
}

/// Gives a file or folder whose content is on the disk its name, beside where it lies.
///
/// # Errors
/// If it can't be renamed.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).map_err(|source| Error::io(to, source))?;
    sync_folder(parent(to)).map_err(|source| Error::io(to, source))
}

/// Removes the temporary files that killed processes left in `folder`. No other process may be writing there.
///
/// # Errors
/// If the folder can't be read or a file can't be removed.
pub fn sweep(folder: &Path) -> Result<()> {
    let io = |source| Error::io(folder, source);
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            std::fs::remove_file(entry.path()).map_err(io)?;
        }
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary files are made for their owner alone; results are for whoever may enter the folder.
#[cfg(unix)]
fn readable_by_all(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// The rename is on the disk only once the folder is.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Folders can't be opened as files on other systems.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn sweeping_removes_what_a_killed_write_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".c2f-a1b2.tmp", "last.safetensors", "notes.tmp"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        sweep(folder.path()).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["last.safetensors", "notes.tmp"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("no/a.bin"), b"x").unwrap_err();
        assert!(error.to_string().contains("no/a.bin"), "{error}");
    }
}
