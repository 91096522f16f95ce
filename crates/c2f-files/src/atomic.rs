//! Files that are either the old or the new ones, whenever the process is killed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// How the names of our temporary files begin.
pub const PREFIX: &str = ".c2f-";
/// How they end.
pub const SUFFIX: &str = ".tmp";

/// Replaces the file at `path`: a temporary file beside it, fsync, rename, fsync of the folder.
///
/// # Errors
/// If the folder doesn't exist, or the disk is full or read-only. The old file is then as it was.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = temporary(path)?;
    file.write_all(bytes).map_err(|source| Error::io(path, source))?;
    persist(file, path)
}

/// A temporary file beside `path`, readable by those for whom the umask makes files. It's removed when it is dropped.
///
/// # Errors
/// If it can't be made there.
pub fn temporary(path: &Path) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(parent(path)).map_err(|source| Error::io(path, source))
}

/// Puts a temporary file in the place of `path`, once its content is on the disk.
///
/// # Errors
/// If it can't be written. The old file is then as it was.
pub fn persist(file: NamedTempFile, path: &Path) -> Result<()> {
    let io = |source| Error::io(path, source);
    file.as_file().sync_all().map_err(io)?;
    let temporary = file.into_temp_path();
    rename(&temporary, path)?;
    // It has another name now: nothing is left to be removed.
    temporary.keep().map_err(|e| io(e.error))?;
    Ok(())
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
        if is_temporary(&entry.file_name()) {
            std::fs::remove_file(entry.path()).map_err(io)?;
        }
    }
    Ok(())
}

/// Whether the name is that of a temporary file of ours.
pub fn is_temporary(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
}

/// The folder that a file is in.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
    #[cfg(unix)]
    fn files_are_made_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        File::create(folder.path().join("plain")).unwrap();
        write(&folder.path().join("whole"), b"x").unwrap();
        assert_eq!(mode("whole"), mode("plain"));
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
