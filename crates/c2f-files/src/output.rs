//! Files that a person named, such as by `--output`: whole or not at all, and never in the place of something that isn't ours.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result, atomic};

/// How far into a file its [`Mark`] is looked for, in bytes.
const HEAD: u64 = 4096;

/// Bytes near the beginning of every file of one kind that we write, and hardly of any other's.
pub type Mark = &'static str;

/// A file that is being written.
///
/// A regular file appears under its name in [`Output::finish`], and not before: until then it is a temporary file beside
/// it. Devices, pipes and FIFOs are written through.
#[derive(Debug)]
pub struct Output {
    /// As the person gave it: what errors call it.
    name: PathBuf,
    target: Target,
}

#[derive(Debug)]
enum Target {
    /// The temporary file, and where it goes: the name with its links followed.
    File(BufWriter<NamedTempFile>, PathBuf),
    Stream(BufWriter<File>),
}

impl Output {
    /// Opens `path`, before the work whose result it gets. What is there already is replaced only if it is empty or has the
    /// `mark`. A link stays, and what it leads to is replaced.
    ///
    /// # Errors
    /// If the file there isn't ours, `path` is a folder or a link to nothing, or nothing can be written there.
    pub fn create(path: &Path, mark: Mark) -> Result<Self> {
        let io = |source| Error::io(path, source);
        let name = path.to_owned();
        let there = match fs::metadata(path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.is_symlink() {
                    return Err(Error::refused(path, " is a link that leads nowhere"));
                }
                let file = BufWriter::new(atomic::temporary(path)?);
                return Ok(Self { name, target: Target::File(file, path.to_owned()) });
            }
            Err(error) => return Err(io(error)),
        };
        if there.is_dir() {
            return Err(Error::refused(path, " is a folder, expected the name of a file"));
        }
        if !there.is_file() || is_open_file(path) {
            // What a shell has opened to append to is appended to.
            let file = OpenOptions::new().append(true).open(path).map_err(io)?;
            return Ok(Self { name, target: Target::Stream(BufWriter::new(file)) });
        }
        if !has_mark(path, mark).map_err(io)? {
            return Err(Error::refused(
                path,
                " is there already and holds something else: remove it, or give another name",
            ));
        }
        let place = path.canonicalize().map_err(io)?;
        let file = BufWriter::new(atomic::temporary(&place)?);
        Ok(Self { name, target: Target::File(file, place) })
    }

    /// Fails if the file would be put in the place of `input`, which it is made from.
    ///
    /// # Errors
    /// If it would.
    pub fn refuse_input(&self, input: &Path) -> Result<()> {
        match &self.target {
            Target::File(_, place) if is_same(place, input) => {
                Err(Error::refused(&self.name, " is an input, and can't be the output too"))
            }
            _ => Ok(()),
        }
    }

    /// What the operating system said, as an error that names the file.
    pub fn error(&self, source: io::Error) -> Error {
        Error::io(&self.name, source)
    }

    /// Writes all that is left of the file, and gives it its name.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_with(mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|e| self.error(e))?;
        self.finish()
    }

    /// Writes what is still buffered, and gives the file its name.
    ///
    /// # Errors
    /// If it can't be written. What was there is then as it was.
    pub fn finish(self) -> Result<()> {
        let io = |source| Error::io(&self.name, source);
        match self.target {
            Target::File(mut file, place) => {
                file.flush().map_err(io)?;
                let (file, _) = file.into_parts();
                atomic::persist(file, &place)
            }
            Target::Stream(mut file) => file.flush().map_err(io),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.target {
            Target::File(file, _) => file.write(bytes),
            Target::Stream(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.target {
            Target::File(file, _) => file.flush(),
            Target::Stream(file) => file.flush(),
        }
    }
}

/// Whether [`Output::create`] has nothing against the name: nothing is there, or a file of ours.
pub fn is_free(path: &Path, mark: Mark) -> bool {
    match fs::symlink_metadata(path) {
        Ok(there) => there.is_file() && has_mark(path, mark).unwrap_or(false),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Whether a regular file is empty or has the mark.
fn has_mark(path: &Path, mark: Mark) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head.is_empty() || head.windows(mark.len()).any(|bytes| bytes == mark.as_bytes()))
}

/// Names of what the process has open already, such as stdout; to rename something there would not reach it.
fn is_open_file(path: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd"].iter().any(|name| path.starts_with(name))
}

fn is_same(place: &Path, input: &Path) -> bool {
    place.exists() && input.canonicalize().is_ok_and(|input| input == place)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = "image,class";

    fn write(path: &Path, mark: Mark, bytes: &[u8]) -> Result<()> {
        Output::create(path, mark)?.finish_with(bytes)
    }

    fn is_refused(error: &Error) -> bool {
        matches!(error, Error::Refused { .. })
    }

    fn folder_with(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_appears_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut output = Output::create(&path, MARK).unwrap();
        output.write_all(b"image,class\n").unwrap();
        output.flush().unwrap();
        assert!(!path.exists());
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"image,class\n");
        drop(Output::create(&folder.path().join("given-up.csv"), MARK).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of what wasn't finished");
    }

    #[test]
    fn only_files_of_ours_are_replaced() {
        for (content, ours) in [("", true), ("image,class\nx,y\n", true), ("precious", false), ("image", false)] {
            let (_folder, path) = folder_with(content);
            assert_eq!(is_free(&path, MARK), ours, "{content}");
            match write(&path, MARK, b"image,class") {
                Ok(()) => assert!(ours, "{content}"),
                Err(error) => {
                    assert!(!ours && is_refused(&error) && error.to_string().contains("a.csv"), "{content}: {error}");
                    assert_eq!(fs::read_to_string(&path).unwrap(), content);
                }
            }
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(is_refused(&Output::create(folder.path(), MARK).unwrap_err()));
        let missing = folder.path().join("no/a.csv");
        assert!(Output::create(&missing, MARK).unwrap_err().to_string().contains("no/a.csv"));
    }

    #[test]
    fn an_input_is_no_output() {
        let (folder, path) = folder_with("image,class");
        let output = Output::create(&path, MARK).unwrap();
        assert!(is_refused(&output.refuse_input(&folder.path().join("./a.csv")).unwrap_err()));
        output.refuse_input(&folder.path().join("other.csv")).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn links_stay_links() {
        let (folder, path) = folder_with("image,class");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        write(&link, MARK, b"image,class new").unwrap();
        assert!(link.is_symlink() && !path.is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"image,class new");
        let nowhere = folder.path().join("nowhere");
        std::os::unix::fs::symlink(folder.path().join("gone"), &nowhere).unwrap();
        assert!(is_refused(&Output::create(&nowhere, MARK).unwrap_err()));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn devices_are_written_through_and_a_full_one_is_said() {
        use std::os::unix::fs::FileTypeExt;
        let (folder, _) = folder_with("");
        let link = folder.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for path in [Path::new("/dev/null"), &link] {
            write(path, MARK, b"x").unwrap();
        }
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device() && link.is_symlink());
        // The last bytes are in a buffer, and can't be written until the end.
        let error = write(Path::new("/dev/full"), MARK, b"x").unwrap_err();
        assert!(error.to_string().contains("/dev/full"), "{error}");
    }
}
