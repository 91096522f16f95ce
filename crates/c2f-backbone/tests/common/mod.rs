//! Files of `torch.save`, written by hand.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The bytes of a zip-format file with that pickle and the storages `0`, `1` and so on.
pub fn zip(pickle: &[u8], storages: &[&[u8]]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut entry = |name: String, content: &[u8]| {
        archive.start_file(format!("archive/{name}"), options).unwrap();
        archive.write_all(content).unwrap();
    };
    entry("data.pkl".to_owned(), pickle);
    for (key, storage) in storages.iter().enumerate() {
        entry(format!("data/{key}"), storage);
    }
    archive.finish().unwrap().into_inner()
}

/// A pickled dictionary of values that are pickled already.
pub fn dict(items: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"}(".to_vec();
    for (key, value) in items {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes.push(b'u');
    bytes
}

/// A pickled tensor of f32.
pub fn tensor(storage: usize, offset: u32, shape: &[u32], strides: &[u32]) -> Vec<u8> {
    let mut bytes = b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
    bytes.extend(text("storage"));
    bytes.extend(b"ctorch\nFloatStorage\n");
    bytes.extend(text(&storage.to_string()));
    bytes.extend(text("cpu"));
    bytes.extend(b"K\x00tQ");
    bytes.extend(int(offset));
    for numbers in [shape, strides] {
        bytes.push(b'(');
        bytes.extend(numbers.iter().flat_map(|&n| int(n)));
        bytes.push(b't');
    }
    bytes.extend(b"\x89NtR");
    bytes
}

pub fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(value: u32) -> Vec<u8> {
    [b"J", &value.to_le_bytes()[..]].concat()
}

/// A file with these bytes.
pub fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}
