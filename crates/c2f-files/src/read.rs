//! Reading files that a person may have put there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::{Error, Result};

/// The text of a file of at most `most` bytes. What has no end, such as a pipe or a device, isn't read.
///
/// # Errors
/// If there is no such file, it isn't a regular one, is longer, or is no UTF-8.
pub fn text(path: &Path, most: u64) -> Result<String> {
    String::from_utf8(bytes(path, most)?).map_err(|_| Error::io(path, io::Error::other("it is no UTF-8 text")))
}

/// The bytes of a file of at most `most` of them. What has no end, such as a pipe or a device, isn't read.
///
/// # Errors
/// If there is no such file, it isn't a regular one, or is longer.
pub fn bytes(path: &Path, most: u64) -> Result<Vec<u8>> {
    let io = |source| Error::io(path, source);
    let refuse = |message: String| Error::io(path, io::Error::other(message));
    let there = fs::metadata(path).map_err(io)?;
    if !there.is_file() {
        return Err(refuse("it is no regular file".to_owned()));
    }
    if there.len() > most {
        return Err(refuse(format!("it has {} bytes, expected at most {most}", there.len())));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(io)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        fs::write(&path, "12345").unwrap();
        assert_eq!(text(&path, 5).unwrap(), "12345");
        assert!(text(&path, 4).unwrap_err().to_string().contains("5 bytes"));
        assert_eq!(bytes(&path, 5).unwrap(), b"12345");
        fs::write(&path, b"\xff").unwrap();
        assert!(text(&path, 5).unwrap_err().to_string().contains("no UTF-8"));
        // 10 GB that take no room.
        File::options().write(true).open(&path).unwrap().set_len(10_000_000_000).unwrap();
        assert!(text(&path, 1 << 20).is_err());
        assert!(text(folder.path(), 5).unwrap_err().to_string().contains("no regular file"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_pipe_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("metrics.jsonl");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [&pipe, Path::new("/dev/zero")] {
            assert!(text(path, 5).unwrap_err().to_string().contains("no regular file"));
        }
    }
}
