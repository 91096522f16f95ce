//! A run's folder, which belongs to one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::{Error, Result};

/// The file that is locked while a process has the folder. The kernel unlocks it, however the process ends.
const LOCK: &str = ".lock";
const CONFIG: &str = "config.toml";

/// A run's folder, as long as this value or a clone of it lives: no other process can train into it.
///
/// A folder that was made for a run that then didn't begin is removed with the last clone.
#[derive(Clone, Debug)]
pub struct RunFolder(Arc<Claim>);

#[derive(Debug)]
struct Claim {
    path: PathBuf,
    /// The folders that weren't there, outermost first.
    made: Vec<PathBuf>,
    /// None where another process has it.
    lock: Option<File>,
}

impl RunFolder {
    /// Takes a folder for a new run; makes it if need be.
    ///
    /// # Errors
    /// If the folder holds a run or anything else, another process has it, or it can't be made.
    pub fn create(path: &Path) -> Result<Self> {
        check_empty(path)?;
        let folder = Self::take(path, make(path)?)?;
        check_empty(path)?;
        Ok(folder)
    }

    /// Takes the first of the folders `name-1`, `name-2`, ... in `parent` that isn't there yet for a new run.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn create_next(parent: &Path, name: &str) -> Result<Self> {
        let mut made = make(parent)?;
        for number in 1_u64.. {
            let path = parent.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => {
                    made.push(path.clone());
                    return Self::take(&path, made);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(&path, error)),
            }
        }
        unreachable!("nobody has so many folders")
    }

    /// Takes the folder of a run to go on with it.
    ///
    /// # Errors
    /// If there is no such folder, or another process has it.
    pub fn reopen(path: &Path) -> Result<Self> {
        Self::take(path, Vec::new())
    }

    /// The folder of a run that this process takes part in and another one has: it is neither made nor locked here.
    pub fn of_another(path: &Path) -> Self {
        Self(Arc::new(Claim { path: path.to_owned(), made: Vec::new(), lock: None }))
    }

    fn take(path: &Path, made: Vec<PathBuf>) -> Result<Self> {
        let name = path.join(LOCK);
        let io = |source| Error::io(&name, source);
        loop {
            let mut lock =
                File::options().read(true).write(true).create(true).truncate(false).open(&name).map_err(io)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(busy(path, &lock)),
                Err(TryLockError::Error(error)) => {
                    tracing::warn!("{}: the file system has no locks ({error}): train one run in it", path.display());
                }
            }
            // Another process may have removed it since it was opened, with a run that didn't begin.
            if !is_still(&lock, &name) {
                continue;
            }
            lock.set_len(0).and_then(|()| lock.write_all(holder().as_bytes())).map_err(io)?;
            return Ok(Self(Arc::new(Claim { path: path.to_owned(), made, lock: Some(lock) })));
        }
    }
}

impl Deref for RunFolder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0.path
    }
}

impl AsRef<Path> for RunFolder {
    fn as_ref(&self) -> &Path {
        self
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.lock.is_some() && !self.path.join(CONFIG).exists() {
            let _ = fs::remove_file(self.path.join(LOCK));
            for folder in self.made.iter().rev() {
                // Only if it is empty.
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

/// Makes a folder and those around it; gives those that weren't there, outermost first.
fn make(path: &Path) -> Result<Vec<PathBuf>> {
    let missing = path.ancestors().filter(|folder| !folder.as_os_str().is_empty());
    let mut missing: Vec<PathBuf> = missing.take_while(|folder| !folder.exists()).map(Path::to_owned).collect();
    missing.reverse();
    fs::create_dir_all(path).map_err(|source| Error::io(path, source))?;
    Ok(missing)
}

/// Whether a new run can have the folder: it isn't there, or has nothing but what a run leaves that was killed as it began.
fn check_empty(path: &Path) -> Result<()> {
    if path.join(CONFIG).exists() {
        let message = format!("{} holds a run: give --resume to go on with it, or another --output", path.display());
        return Err(Error::Usage(message));
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(path, error)),
    };
    for entry in entries {
        let name = entry.map_err(|source| Error::io(path, source))?.file_name();
        if name != LOCK && !c2f_files::atomic::is_temporary(&name) {
            let message = format!(
                "{} isn't empty and holds no run: a run's files would come between those that are there; give another --output",
                path.display()
            );
            return Err(Error::Usage(message));
        }
    }
    Ok(())
}

fn busy(path: &Path, lock: &File) -> Error {
    let since = lock.metadata().and_then(|there| there.modified()).ok().and_then(|time| time.elapsed().ok());
    // Who has just got the lock hasn't written yet who it is.
    let mut holder = None;
    for _ in 0..50 {
        holder = read_holder(&path.join(LOCK));
        if holder.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let holder = holder.unwrap_or_else(|| "another process".to_owned());
    let since = since.map_or_else(String::new, |since| format!(" for {}", roughly(since)));
    Error::Busy { path: path.to_owned(), holder: format!("{holder}{since}") }
}

/// A time for reading: "90 seconds", "25 minutes", "3 hours", "9 days".
fn roughly(time: Duration) -> String {
    let seconds = time.as_secs();
    let (count, unit) = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")]
        .into_iter()
        .find_map(|(length, unit)| (seconds >= 2 * length).then_some((seconds / length, unit)))
        .unwrap_or((seconds, "second"));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Who wrote the file of the lock, if somebody has.
fn read_holder(lock: &Path) -> Option<String> {
    let mut holder = String::new();
    File::open(lock).ok()?.take(256).read_to_string(&mut holder).ok()?;
    (!holder.is_empty()).then_some(holder)
}

/// Who this process is, in words.
fn holder() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.is_empty() { std::env::var("HOSTNAME").unwrap_or_default() } else { host };
    let on = if host.trim().is_empty() { String::new() } else { format!(" on {}", host.trim()) };
    format!("process {}{on}", std::process::id())
}

#[cfg(unix)]
fn is_still(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |there: &fs::Metadata| (there.dev(), there.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if id(&a) == id(&b))
}

/// An open file can't be removed on other systems.
#[cfg(not(unix))]
fn is_still(_: &File, _: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_had_once() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/b");
        let first = RunFolder::create(&path).unwrap();
        let error = RunFolder::reopen(&path).unwrap_err();
        let me = format!("process {}", std::process::id());
        assert!(matches!(error, Error::Busy { .. }) && error.to_string().contains(&me), "{error}");
        assert!(matches!(RunFolder::create(&path).unwrap_err(), Error::Busy { .. }));
        let clone = first.clone();
        drop(first);
        assert!(RunFolder::reopen(&path).is_err());
        std::fs::write(path.join(CONFIG), "").unwrap();
        drop(clone);
        assert!(RunFolder::create(&path).unwrap_err().is_usage(), "it holds a run");
        RunFolder::reopen(&path).unwrap();
    }

    #[test]
    fn a_run_that_did_not_begin_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        drop(RunFolder::create(&parent.path().join("a/b")).unwrap());
        drop(RunFolder::create_next(&parent.path().join("runs"), "x").unwrap());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        // What was there stays.
        drop(RunFolder::create(parent.path()).unwrap());
        assert!(parent.path().exists() && !parent.path().join(LOCK).exists());
    }

    #[test]
    fn folders_are_numbered() {
        let parent = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..3).map(|_| RunFolder::create_next(parent.path(), "x").unwrap()).collect();
        let names: Vec<_> = names.iter().map(|folder| folder.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["x-1", "x-2", "x-3"]);
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("report.html"), "thesis").unwrap();
        assert!(RunFolder::create(folder.path()).unwrap_err().is_usage());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let killed = tempfile::tempdir().unwrap();
        fs::write(killed.path().join(".c2f-x1.tmp"), "half").unwrap();
        fs::write(killed.path().join(LOCK), "process 1").unwrap();
        RunFolder::create(killed.path()).unwrap();
    }
}
