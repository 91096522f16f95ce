//! Pictures and labels in a Parquet file, as Hugging Face publishes data sets.

mod pages;

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, Type};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::formats::files::{MAX_PICTURES, open_file};
use crate::guard::guarded;
use crate::{Error, Result};
use pages::{MAX_BYTES, Pages};

const EXPECTED: &str = "a Parquet file with the columns `image` (of `bytes` and `path`) and `label`";
/// The names that data sets give to the two columns.
const IMAGES: [&str; 4] = ["image.bytes", "img.bytes", "image", "img"];
const LABELS: [&str; 4] = ["label", "labels", "fine_label", "class"];
/// The fewest bytes of a file that a row takes: those of the smallest picture. (One that many rows have might be there once.)
const SMALLEST_ROW: u64 = 16;
/// The most bytes of a label that is text: a dictionary could give a long one to every row.
const MAX_LABEL: usize = 1000;

/// A file of which the pictures are read when they are asked for. Of the file itself only its footer is held.
pub struct ParquetFile {
    path: PathBuf,
    metadata: ParquetMetaData,
    /// Indices of the two columns.
    image: usize,
    label: usize,
}

/// The labels of all rows.
pub(crate) enum Labels {
    /// Numbers, and what the names of the classes are, if the file says so.
    Numbers(Vec<i64>, Option<Vec<String>>),
    /// Each name is held once.
    Names(Vec<Arc<str>>),
}

impl ParquetFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = open_file(path, EXPECTED)?;
        let error = |message: String| Error::layout(path, format!("{message}, expected {EXPECTED}"));
        let read = || ParquetMetaDataReader::new().parse_and_finish(&file);
        let metadata = read_guarded(read).map_err(error)?;
        // What a damaged file claims decides over memory.
        let claimed = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).ok());
        let rows = claimed.reduce(|sum, rows| sum?.checked_add(rows?)).unwrap_or(Some(0));
        let length = file.metadata().map_err(|e| Error::read(path, e))?.len();
        let most = (length / SMALLEST_ROW).min(MAX_PICTURES as u64);
        if rows.is_none_or(|rows| rows > most) {
            return Err(error(format!("claims more rows than its {length} bytes can hold")));
        }
        let columns = metadata.file_metadata().schema_descr().columns();
        let names: Vec<String> = columns.iter().map(|c| c.path().string()).collect();
        let find = |wanted: &[&str], what: &str| {
            let place = wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
            place.ok_or_else(|| error(format!("has no column for the {what}, it has: {}", names.join(", "))))
        };
        let (image, label) = (find(&IMAGES, "picture")?, find(&LABELS, "label")?);
        for group in metadata.row_groups() {
            for chunk in [group.columns().get(image), group.columns().get(label)] {
                let chunk = chunk.ok_or_else(|| error("has a row group without the two columns".to_owned()))?;
                // The first form of LZ4 doesn't say where it ends.
                if let Compression::LZ4 | Compression::BROTLI(_) | Compression::LZO = chunk.compression() {
                    let packed = chunk.compression();
                    return Err(error(format!(
                        "is packed with {packed}, which isn't read (ZSTD, SNAPPY, GZIP and LZ4_RAW are)"
                    )));
                }
            }
        }
        if columns[image].physical_type() != Type::BYTE_ARRAY {
            return Err(error(format!("the column `{}` holds no bytes", names[image])));
        }
        Ok(Self { path: path.to_owned(), metadata, image, label })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn labels(&self) -> Result<Labels> {
        let column = self.metadata.file_metadata().schema_descr().column(self.label);
        let labels = match column.physical_type() {
            Type::INT64 => Labels::Numbers(self.values::<Int64Type, _>(Ok)?, self.class_names(column.name())),
            Type::INT32 => {
                let numbers = self.values::<Int32Type, _>(|number| Ok(i64::from(number)))?;
                Labels::Numbers(numbers, self.class_names(column.name()))
            }
            Type::BYTE_ARRAY => {
                let mut names: HashSet<Arc<str>> = HashSet::new();
                Labels::Names(self.values::<ByteArrayType, _>(|name| {
                    if name.len() > MAX_LABEL {
                        let message = format!("a label has {} bytes, expected at most {MAX_LABEL}", name.len());
                        return Err(ParquetError::General(message));
                    }
                    let name = name.as_utf8()?;
                    if let Some(name) = names.get(name) {
                        return Ok(Arc::clone(name));
                    }
                    let name: Arc<str> = name.into();
                    names.insert(Arc::clone(&name));
                    Ok(name)
                })?)
            }
            other => return Err(self.error(&format!("labels of type {other}, expected whole numbers or text"))),
        };
        Ok(labels)
    }

    /// The encoded picture in a row.
    ///
    /// # Errors
    /// If the row can't be read or has no picture; the error names file and row.
    pub fn picture(&self, row: u64) -> Result<Vec<u8>> {
        let error = |message: &str| Error::Picture { path: self.path.clone(), message: format!("row {row} {message}") };
        let mut first = 0;
        for (group, metadata) in self.metadata.row_groups().iter().enumerate() {
            let rows = metadata.num_rows().unsigned_abs();
            if row - first < rows {
                let file = open_file(&self.path, EXPECTED)?;
                let read = || -> Result<Option<ByteArray>, ParquetError> {
                    let mut column = self.column::<ByteArrayType>(file, group, self.image)?;
                    let (mut values, mut defined) = (Vec::new(), Vec::new());
                    column.skip_records((row - first) as usize)?;
                    column.read_records(1, Some(&mut defined), None, &mut values)?;
                    Ok(values.pop())
                };
                let bytes = read_guarded(read).map_err(|e| error(&format!("can't be read: {e}")))?;
                let bytes = bytes.ok_or_else(|| error("has no picture in it"))?;
                if bytes.len() as u64 > MAX_BYTES {
                    return Err(error("is larger than 512 MiB"));
                }
                return Ok(bytes.data().to_vec());
            }
            first += rows;
        }
        Err(error("is not there"))
    }

    /// What `convert` makes of all values of the column of labels.
    fn values<T: DataType, V>(&self, mut convert: impl FnMut(T::T) -> Result<V, ParquetError>) -> Result<Vec<V>> {
        let mut values = Vec::new();
        for (group, metadata) in self.metadata.row_groups().iter().enumerate() {
            let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
            let before = values.len();
            let file = open_file(&self.path, EXPECTED)?;
            let read = || -> Result<(), ParquetError> {
                let mut column = self.column::<T>(file, group, self.label)?;
                let (mut batch, mut defined) = (Vec::new(), Vec::new());
                // Not all at once, and no more than there should be: the values are held packed until they are converted.
                while values.len() - before <= rows
                    && column.read_records(rows.min(1 << 16), Some(&mut defined), None, &mut batch)?.0 > 0
                {
                    defined.clear();
                    for value in batch.drain(..) {
                        values.push(convert(value)?);
                    }
                }
                Ok(())
            };
            read_guarded(read).map_err(|e| self.error(&e))?;
            if values.len() - before != rows {
                let found = values.len() - before;
                return Err(
                    self.error(&format!("row group {group} has {found} labels for {rows} rows, expected one each"))
                );
            }
        }
        Ok(values)
    }

    fn column<T: DataType>(
        &self,
        file: File,
        group: usize,
        column: usize,
    ) -> Result<ColumnReaderImpl<T>, ParquetError> {
        let group = self.metadata.row_group(group);
        let rows = usize::try_from(group.num_rows())?;
        let chunk = group.column(column);
        let pages = Arc::new(Pages { file, compression: chunk.compression() });
        let pages = SerializedPageReader::new(pages, chunk, rows, None)?;
        let descriptor = self.metadata.file_metadata().schema_descr().column(column);
        Ok(ColumnReaderImpl::new(descriptor, Box::new(pages)))
    }

    /// The names that Hugging Face's `ClassLabel` has for the numbers of a column.
    fn class_names(&self, column: &str) -> Option<Vec<String>> {
        let entries = self.metadata.file_metadata().key_value_metadata()?;
        let text = entries.iter().find(|entry| entry.key == "huggingface")?.value.as_deref()?;
        let info: serde_json::Value = serde_json::from_str(text).ok()?;
        let names = info.get("info")?.get("features")?.get(column)?.get("names")?.as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    }

    fn error(&self, message: &str) -> Error {
        Error::layout(&self.path, format!("{message}, expected {EXPECTED}"))
    }
}

/// The crate checks what it decodes, but a damaged page can still make it panic.
fn read_guarded<T>(read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    guarded(|| read().map_err(|e| e.to_string()))
}

impl fmt::Debug for ParquetFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ParquetFile").field(&self.path).finish()
    }
}

impl PartialEq for ParquetFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}
