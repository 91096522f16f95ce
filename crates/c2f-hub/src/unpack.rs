//! Archives from elsewhere: what they hold stays in one folder and within limits.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use tar::EntryType;
use zip::ZipArchive;

use crate::{Error, Result, make_folder};

/// What an archive may hold at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files and folders.
    pub entries: u64,
    /// Bytes, once unpacked.
    pub bytes: u64,
    /// How many times its own size an archive may have once unpacked.
    pub ratio: u64,
}

impl Default for Limits {
    /// Room for the largest data set of the field (3 million pictures, 300 GB), whose annotations shrink to a thirtieth.
    fn default() -> Self {
        Self { entries: 10_000_000, bytes: 1 << 40, ratio: 200 }
    }
}

/// The kinds of archives, told by the names of their files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tar,
    TarGz,
    Zip,
}

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_lowercase();
        let endings = [(".tar.gz", Self::TarGz), (".tgz", Self::TarGz), (".tar", Self::Tar), (".zip", Self::Zip)];
        endings.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, kind)| kind)
    }
}

/// Whether [`unpack`] takes a file of this name.
pub fn is_archive(path: &Path) -> bool {
    Kind::of(path).is_some()
}

/// Unpacks `.tar`, `.tar.gz`, `.tgz` or `.zip` into a folder that exists. `on_progress` gets the bytes written so far.
///
/// Only files and folders are made. Owners, permissions and times are not kept.
///
/// # Errors
/// If the archive is damaged or cut off, names a place outside of the folder, holds links or devices, or exceeds a limit; if
/// the folder can't be written. The folder then holds a part of the archive.
pub fn unpack(archive: &Path, folder: &Path, limits: Limits, on_progress: &mut dyn FnMut(u64)) -> Result<()> {
    let io = |source| Error::io(archive, source);
    let file = File::open(archive).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let most = limits.bytes.min(size.saturating_mul(limits.ratio));
    let is_over = Rc::default();
    let mut writer = Writer { archive, folder, entries: limits.entries, bytes: most, written: 0, is_over, on_progress };
    let file = BufReader::new(file);
    match Kind::of(archive) {
        Some(Kind::Tar) => writer.tar(file),
        Some(Kind::TarGz) => writer.tar(MultiGzDecoder::new(file)),
        Some(Kind::Zip) => writer.zip(file),
        None => Err(writer.error("no .tar, .tar.gz, .tgz or .zip")),
    }
}

/// Where an archive goes, and what is left of its limits.
struct Writer<'a> {
    archive: &'a Path,
    folder: &'a Path,
    entries: u64,
    bytes: u64,
    written: u64,
    /// Whether a [`Limited`] reader has been read to its limit.
    is_over: Rc<Cell<bool>>,
    on_progress: &'a mut dyn FnMut(u64),
}

/// A reader that fails at its limit.
struct Limited<R> {
    inner: R,
    left: u64,
    is_over: Rc<Cell<bool>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(block)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            self.is_over.set(true);
            io::Error::other("over the limit")
        })?;
        Ok(read)
    }
}

impl Writer<'_> {
    fn tar(&mut self, reader: impl Read) -> Result<()> {
        // What lies between the files counts as well: their names can be as large as a file.
        let reader = Limited { inner: reader, left: self.bytes, is_over: Rc::clone(&self.is_over) };
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(|e| self.damaged(&e))? {
            let mut entry = entry.map_err(|e| self.damaged(&e))?;
            let name = entry.path().map_err(|e| self.damaged(&e))?.into_owned();
            // Before tar had a kind for folders, the slash told them.
            let is_old_folder = entry.header().as_ustar().is_none() && entry.path_bytes().ends_with(b"/");
            match entry.header().entry_type() {
                EntryType::Directory => self.folder(&name)?,
                EntryType::Regular if is_old_folder => self.folder(&name)?,
                EntryType::Regular | EntryType::Continuous => {
                    let size = entry.size();
                    self.file(&name, size, &mut entry)?;
                }
                // Remarks about the whole archive.
                EntryType::XGlobalHeader => self.count()?,
                EntryType::Symlink | EntryType::Link => return Err(self.link(&name)),
                _ => return Err(self.error(format!("{} is neither a file nor a folder", name.display()))),
            }
        }
        // The end of the compressed data holds its checksum.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|e| self.damaged(&e))?;
        Ok(())
    }

    fn zip(&mut self, reader: BufReader<File>) -> Result<()> {
        let mut archive = ZipArchive::new(reader).map_err(|e| self.damaged(&e))?;
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(|e| self.damaged(&e))?;
            let name = PathBuf::from(entry.name().map_err(|e| self.damaged(&e))?.into_owned());
            if entry.is_symlink() {
                return Err(self.link(&name));
            }
            if entry.is_dir() {
                self.folder(&name)?;
            } else {
                let size = entry.size();
                self.file(&name, size, &mut entry)?;
            }
        }
        Ok(())
    }

    fn folder(&mut self, name: &Path) -> Result<()> {
        self.count()?;
        make_folder(&self.place(name)?)
    }

    fn file(&mut self, name: &Path, size: u64, content: &mut impl Read) -> Result<()> {
        self.count()?;
        if size > self.bytes - self.written {
            return Err(self.too_large());
        }
        let path = self.place(name)?;
        make_folder(path.parent().unwrap_or(self.folder))?;
        let mut file = File::create(&path).map_err(|e| Error::io(&path, e))?;
        let mut block = vec![0; 128 * 1024];
        let mut left = size;
        loop {
            let read = content.read(&mut block).map_err(|e| self.damaged(&e))? as u64;
            if read > left {
                return Err(self.error(format!("{} is longer than it says", name.display())));
            }
            if read == 0 && left > 0 {
                return Err(self.error(format!("it is cut off in {}", name.display())));
            }
            if read == 0 {
                return Ok(());
            }
            file.write_all(&block[..read as usize]).map_err(|e| Error::io(&path, e))?;
            left -= read;
            self.written += read;
            (self.on_progress)(self.written);
        }
    }

    fn count(&mut self) -> Result<()> {
        self.entries =
            self.entries.checked_sub(1).ok_or_else(|| self.error("it holds more files than any data set"))?;
        Ok(())
    }

    /// Where a name of the archive lies. Names that lead elsewhere are no accident, so they are refused rather than bent.
    fn place(&self, name: &Path) -> Result<PathBuf> {
        let inside = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        if name.components().all(|part| inside(&part)) {
            Ok(self.folder.join(name))
        } else {
            Err(self.error(format!("{} would lie outside of the folder", name.display())))
        }
    }

    fn link(&self, name: &Path) -> Error {
        self.error(format!("{} is a link, which could lead out of the folder", name.display()))
    }

    fn too_large(&self) -> Error {
        self.error(format!("it would take more than {} bytes, too many for its size", self.bytes))
    }

    fn damaged(&self, error: &dyn std::error::Error) -> Error {
        if self.is_over.get() { self.too_large() } else { self.error(format!("it is damaged or cut off: {error}")) }
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::Archive { path: self.archive.to_owned(), message: message.into() }
    }
}
