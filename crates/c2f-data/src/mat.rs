//! MATLAB's level 5 files, as far as data sets use them: numbers, text, cells and arrays of structures, compressed or
//! not, little-endian.

use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use crate::{Error, Result};

/// The most bytes that a variable may have: each may become a number of eight. The largest one of a known data set has 10 MiB.
const MAX_BYTES: u64 = 32 << 20;
/// How deep cells and structures may lie in each other.
const MAX_DEPTH: usize = 16;
/// Enough of a compressed variable to read its name.
const HEAD_BYTES: u64 = 512;

const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;

/// What a variable, a cell or a field holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Array {
    /// Real numbers, column after column.
    Numbers(Vec<f64>),
    /// One line of text.
    Text(String),
    /// Cells, column after column.
    Cells(Vec<Array>),
    /// Structures of the same fields: the fields of the first one, of the second one, and so on.
    Structs { fields: Vec<String>, values: Vec<Array> },
    /// What no data set uses: sparse matrices, functions, complex numbers.
    Other,
}

/// Reads the variable `name` of a file; `expected` says what the file should hold. Others are passed over.
pub(crate) fn read(path: &Path, name: &str, expected: &str) -> Result<Array> {
    let bytes = crate::formats::files::read_bytes(path, expected)?;
    let found = find(&bytes, name).map_err(|message| Error::layout(path, format!("{message}, expected {expected}")))?;
    found.map_err(|names| {
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Error::layout(path, format!("has no variable `{name}`, expected {expected}; it has: {names}"))
    })
}

impl Array {
    pub(crate) fn numbers(&self) -> Result<&[f64], String> {
        match self {
            Self::Numbers(numbers) => Ok(numbers),
            other => Err(format!("holds {}, expected numbers", other.kind())),
        }
    }

    /// The single number that an array of one number holds.
    pub(crate) fn number(&self) -> Result<f64, String> {
        match self.numbers()? {
            [number] => Ok(*number),
            numbers => Err(format!("holds {} numbers, expected one", numbers.len())),
        }
    }

    pub(crate) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(format!("holds {}, expected text", other.kind())),
        }
    }

    /// The text in each cell.
    pub(crate) fn texts(&self) -> Result<Vec<&str>, String> {
        match self {
            Self::Cells(cells) => {
                cells.iter().enumerate().map(|(i, c)| c.text().map_err(|e| format!("cell {} {e}", i + 1))).collect()
            }
            other => Err(format!("holds {}, expected cells with text", other.kind())),
        }
    }

    pub(crate) fn records(&self) -> Result<impl Iterator<Item = Record<'_>>, String> {
        match self {
            Self::Structs { fields, values } => {
                Ok(values.chunks_exact(fields.len().max(1)).map(|values| Record { fields, values }))
            }
            other => Err(format!("holds {}, expected structures", other.kind())),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Numbers(_) => "numbers",
            Self::Text(_) => "text",
            Self::Cells(_) => "cells",
            Self::Structs { .. } => "structures",
            Self::Other => "an array of another kind",
        }
    }
}

/// One structure of an array of them.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    fields: &'a [String],
    values: &'a [Array],
}

impl<'a> Record<'a> {
    pub(crate) fn text(self, field: &str) -> Result<&'a str, String> {
        self.field(field)?.text().map_err(|e| format!("field `{field}` {e}"))
    }

    pub(crate) fn number(self, field: &str) -> Result<f64, String> {
        self.field(field)?.number().map_err(|e| format!("field `{field}` {e}"))
    }

    fn field(self, field: &str) -> Result<&'a Array, String> {
        let place = self.fields.iter().position(|f| f == field);
        place
            .and_then(|i| self.values.get(i))
            .ok_or_else(|| format!("has no field `{field}`, it has: {}", self.fields.join(", ")))
    }
}

/// The variable `name`, or the names of those that there are.
fn find(file: &[u8], name: &str) -> Result<Result<Array, Vec<String>>, String> {
    let header = file.get(..128).ok_or("is no MATLAB file of level 5: it is shorter than 128 bytes")?;
    match &header[124..] {
        [_, 1, b'I', b'M'] => {}
        [_, 2, b'I', b'M'] => return Err("is a MATLAB file of version 7.3 (HDF5), save it with `-v7`".to_owned()),
        [_, _, b'M', b'I'] => return Err("is a big-endian MATLAB file".to_owned()),
        _ => return Err("is no MATLAB file of level 5: it doesn't start as one".to_owned()),
    }
    let mut names = Vec::new();
    let mut rest = Bytes { data: &file[128..] };
    while !rest.data.is_empty() {
        let (kind, data) = rest.element()?;
        let found = match kind {
            COMPRESSED => {
                let head = inflate(data, HEAD_BYTES)?;
                let variable = Bytes { data: &head }.tagged_name()?;
                if variable == name {
                    let all = inflate(data, MAX_BYTES + 1)?;
                    check_size(name, &all)?;
                    return Ok(Ok(Bytes { data: &all }.matrix(0)?));
                }
                variable
            }
            MATRIX => {
                let variable = Bytes { data }.head()?.name;
                if variable == name {
                    check_size(name, data)?;
                    return Ok(Ok(Bytes { data }.array(0)?));
                }
                variable
            }
            _ => return Err(damaged("it holds something that is no variable")),
        };
        names.push(found);
    }
    Ok(Err(names))
}

fn check_size(name: &str, variable: &[u8]) -> Result<(), String> {
    if variable.len() as u64 > MAX_BYTES {
        return Err(format!("`{name}` is larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(())
}

fn damaged(what: &str) -> String {
    format!("is a damaged MATLAB file: {what}")
}

fn inflate(data: &[u8], most: u64) -> Result<Vec<u8>, String> {
    let mut inflated = Vec::new();
    ZlibDecoder::new(data).take(most).read_to_end(&mut inflated).map_err(|e| damaged(&e.to_string()))?;
    Ok(inflated)
}

/// What stands before the content of an array.
struct Head {
    class: u8,
    is_complex: bool,
    /// The product of the dimensions.
    count: usize,
    /// The first dimension.
    rows: usize,
    name: String,
}

/// Data elements one after another: a type, a number of bytes, the bytes.
struct Bytes<'a> {
    data: &'a [u8],
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.data.split_at_checked(count).ok_or_else(|| damaged("it is cut off"))?;
        self.data = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into().map_err(|_| damaged("it is cut off"))?))
    }

    fn element(&mut self) -> Result<(u32, &'a [u8]), String> {
        let tag = self.u32()?;
        // Up to four bytes stand in the tag itself, with their number in its upper half.
        let (kind, small) = (tag & 0xffff, tag >> 16);
        if small > 0 {
            let data = self.take(4)?;
            let data = data.get(..small as usize).ok_or_else(|| damaged("a small element has more than 4 bytes"))?;
            return Ok((kind, data));
        }
        let count = self.u32()? as usize;
        let data = self.take(count)?;
        // Writers leave the padding out at the end of a file.
        let padding = if kind == COMPRESSED { 0 } else { count.next_multiple_of(8) - count };
        self.data = self.data.get(padding..).unwrap_or(&[]);
        Ok((kind, data))
    }

    /// The name of the matrix that begins here; its end may be missing.
    fn tagged_name(&mut self) -> Result<String, String> {
        if self.u32()? != MATRIX {
            return Err(damaged("it holds something that is no variable"));
        }
        self.u32()?;
        Ok(self.head()?.name)
    }

    /// One whole matrix, with its tag.
    fn matrix(&mut self, depth: usize) -> Result<Array, String> {
        match self.element()? {
            // An empty array of an empty cell or field.
            (MATRIX, []) => Ok(Array::Numbers(Vec::new())),
            (MATRIX, data) => Bytes { data }.array(depth),
            (kind, _) => Err(damaged(&format!("an element is of type {kind}, expected an array"))),
        }
    }

    fn head(&mut self) -> Result<Head, String> {
        let (_, flags) = self.element()?;
        let &[class, flags, ..] = flags else { return Err(damaged("an array has no flags")) };
        // Objects that only MATLAB understands have neither dimensions nor a name here.
        if class == 17 {
            return Ok(Head { class, is_complex: false, count: 0, rows: 0, name: String::new() });
        }
        let (_, dimensions) = self.element()?;
        let dimensions: Vec<usize> = numbers(5, dimensions)?.into_iter().map(|d| d as usize).collect();
        let count = dimensions.iter().try_fold(1_usize, |product, &d| product.checked_mul(d));
        let count = count.ok_or_else(|| damaged("an array is too large"))?;
        let (_, name) = self.element()?;
        let name = String::from_utf8_lossy(name).into_owned();
        Ok(Head { class, is_complex: flags & 8 != 0, count, rows: dimensions.first().copied().unwrap_or(0), name })
    }

    /// The array that these bytes are.
    fn array(mut self, depth: usize) -> Result<Array, String> {
        if depth > MAX_DEPTH {
            return Err(damaged("cells lie too deep in each other"));
        }
        let Head { class, is_complex, count, rows, .. } = self.head()?;
        match class {
            1 => Ok(Array::Cells(self.matrices(count, depth)?)),
            2 => {
                let fields = self.field_names()?;
                let count = count.checked_mul(fields.len()).ok_or_else(|| damaged("an array is too large"))?;
                Ok(Array::Structs { values: self.matrices(count, depth)?, fields })
            }
            4 => {
                let (kind, data) = self.element()?;
                if rows > 1 {
                    return Ok(Array::Other);
                }
                Ok(Array::Text(text(kind, data)?))
            }
            6..=15 if !is_complex => {
                let (kind, data) = self.element()?;
                let numbers = numbers(kind, data)?;
                if numbers.len() != count {
                    return Err(damaged(&format!("an array has {} numbers, expected {count}", numbers.len())));
                }
                Ok(Array::Numbers(numbers))
            }
            _ => Ok(Array::Other),
        }
    }

    fn matrices(&mut self, count: usize, depth: usize) -> Result<Vec<Array>, String> {
        // Each takes at least the 8 bytes of its tag, so a wrong count ends where the data does.
        (0..count).map(|_| self.matrix(depth + 1)).collect()
    }

    fn field_names(&mut self) -> Result<Vec<String>, String> {
        let (_, width) = self.element()?;
        let width = numbers(5, width)?.first().map_or(0, |w| *w as usize);
        let (_, names) = self.element()?;
        if width == 0 || !names.len().is_multiple_of(width) {
            return Err(damaged("the names of fields are not of the length that it gives"));
        }
        let name = |bytes: &[u8]| String::from_utf8_lossy(bytes.split(|&b| b == 0).next().unwrap_or(&[])).into_owned();
        Ok(names.chunks_exact(width).map(name).collect())
    }
}

/// The numbers in an element of type `kind`, which may be smaller than the type of the array.
fn numbers(kind: u32, data: &[u8]) -> Result<Vec<f64>, String> {
    fn each<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Result<Vec<f64>, String> {
        let (values, rest) = data.as_chunks::<N>();
        if rest.is_empty() {
            Ok(values.iter().map(|v| read(*v)).collect())
        } else {
            Err(damaged("a number is cut off"))
        }
    }
    match kind {
        1 => each(data, |v| i8::from_le_bytes(v).into()),
        2 => each(data, |v| u8::from_le_bytes(v).into()),
        3 => each(data, |v| i16::from_le_bytes(v).into()),
        4 => each(data, |v| u16::from_le_bytes(v).into()),
        5 => each(data, |v| i32::from_le_bytes(v).into()),
        6 => each(data, |v| u32::from_le_bytes(v).into()),
        7 => each(data, |v| f32::from_le_bytes(v).into()),
        9 => each(data, f64::from_le_bytes),
        12 => each(data, |v| i64::from_le_bytes(v) as f64),
        13 => each(data, |v| u64::from_le_bytes(v) as f64),
        _ => Err(damaged(&format!("an element is of type {kind}, expected numbers"))),
    }
}

/// The text in an element of type `kind`.
fn text(kind: u32, data: &[u8]) -> Result<String, String> {
    let text = match kind {
        1 | 2 | 16 => String::from_utf8(data.to_vec()).ok(),
        4 | 17 => {
            let (units, _) = data.as_chunks::<2>();
            String::from_utf16(&units.iter().map(|u| u16::from_le_bytes(*u)).collect::<Vec<_>>()).ok()
        }
        _ => return Err(damaged(&format!("an element is of type {kind}, expected text"))),
    };
    text.ok_or_else(|| damaged("a text is no Unicode"))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use proptest::prelude::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layouts/matlab").join(name)
    }

    #[test]
    fn reads_what_scipy_writes() {
        for file in ["compressed.mat", "plain.mat"] {
            let read = |name: &str| read(&fixture(file), name, "a variable").unwrap();
            assert_eq!(read("numbers").numbers().unwrap(), [1.0, -2.0, 300.0]);
            assert_eq!(read("halves").numbers().unwrap(), [0.5, 1.5]);
            assert_eq!(read("word").text().unwrap(), "Citroën");
            assert_eq!(read("none").numbers().unwrap(), [0.0; 0]);
            assert_eq!(read("cells").texts().unwrap(), ["a", "", "ccccc"]);
            let text = Array::Cells(vec![Array::Text("x".to_owned())]);
            assert_eq!(read("nested"), Array::Cells(vec![text, Array::Numbers(vec![7.0])]));
            assert_eq!((read("lines"), read("complex")), (Array::Other, Array::Other));
            let bbox = read("bbox");
            let record = bbox.records().unwrap().next().unwrap();
            assert_eq!((record.number("right"), record.number("top")), (Ok(120.5), Ok(30.0)));
            assert_eq!(record.number("middle").unwrap_err(), "has no field `middle`, it has: left, bottom, right, top");
            assert!(record.text("left").unwrap_err().contains("holds numbers, expected text"));
            assert!(read("nested").texts().unwrap_err().contains("cell 1 holds cells"));
        }
    }

    #[test]
    fn names_what_there_is() {
        let error = read(&fixture("plain.mat"), "boxes", "`boxes`").unwrap_err().to_string();
        assert!(error.contains("has no variable `boxes`, expected `boxes`; it has: seg, bbox, numbers"), "{error}");
        let mut bytes = std::fs::read(fixture("plain.mat")).unwrap();
        assert!(find(&bytes[..bytes.len() - 8], "complex").unwrap_err().contains("cut off"));
        bytes[124..126].copy_from_slice(&[0, 2]);
        assert!(find(&bytes, "bbox").unwrap_err().contains("7.3"));
        assert!(find(b"\x89HDF", "bbox").unwrap_err().contains("no MATLAB file"));
        let mut bytes = std::fs::read(fixture("compressed.mat")).unwrap();
        let middle = 128 + 20;
        bytes[middle] ^= 0x55;
        assert!(find(&bytes, "seg").unwrap_err().contains("damaged"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn damaged_files_never_panic(
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
            length in any::<proptest::sample::Index>(), cut in any::<bool>(), compressed in any::<bool>(),
        ) {
            let mut bytes = std::fs::read(fixture(if compressed { "compressed.mat" } else { "plain.mat" })).unwrap();
            let end = bytes.len();
            for (place, value) in changes {
                bytes[128 + place.index(end - 128)] = value;
            }
            if cut {
                bytes.truncate(length.index(end));
            }
            for name in ["seg", "bbox", "numbers", "word", "nested", "complex", "nothing"] {
                let _ = find(&bytes, name);
            }
        }
    }
}
