//! One call at a time fills a table's folder, or the tasks of one array.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::jobs::ArrayTask;

/// Takes the folder as long as the file lives; the kernel gives it back, however the process ends.
///
/// # Errors
/// If another call has it, or it can't be written in.
pub fn lock(folder: &Path) -> Result<File> {
    take(folder, ".lock", File::try_lock)
}

/// Takes one task's share of the folder, which other tasks have theirs of; see [`lock`].
///
/// # Errors
/// If a call that is no task has the folder, the same task runs already, or it can't be written in.
pub fn lock_task(folder: &Path, task: ArrayTask) -> Result<[File; 2]> {
    let own = format!(".lock-{}-of-{}", task.number, task.of);
    Ok([take(folder, ".lock", File::try_lock_shared)?, take(folder, &own, File::try_lock)?])
}

fn take(folder: &Path, name: &str, lock: impl Fn(&File) -> Result<(), TryLockError>) -> Result<File> {
    let path = folder.join(name);
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| path.display().to_string())?;
    match lock(&file) {
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

    #[test]
    fn tasks_share_it_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let task = |number| lock_task(folder.path(), ArrayTask { number, of: 2 });
        let (first, _second) = (task(1).unwrap(), task(2).unwrap());
        assert!(task(1).is_err() && lock(folder.path()).is_err());
        drop(first);
        task(1).unwrap();
    }
}
