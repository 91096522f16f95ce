//! One call at a time fills a table's folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Takes the folder as long as the file lives; the kernel gives it back, however the process ends.
///
/// # Errors
/// If another call has it, or it can't be written in.
pub fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => bail!("{} is being filled by another reproduce-table", folder.display()),
        // A file system without locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_filled_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(lock(folder.path()).unwrap_err().to_string().contains("is being filled"));
        drop(first);
        lock(folder.path()).unwrap();
    }
}
