//! Pictures and labels in a Parquet file, as Hugging Face publishes data sets.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::Type;
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::serialized_reader::SerializedPageReader;

use crate::formats::files::open_file;
use crate::guard::guarded;
use crate::{Error, Result};

const EXPECTED: &str = "a Parquet file with the columns `image` (of `bytes` and `path`) and `label`";
/// The names that data sets give to the two columns.
const IMAGES: [&str; 4] = ["image.bytes", "img.bytes", "image", "img"];
const LABELS: [&str; 4] = ["label", "labels", "fine_label", "class"];

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
    Names(Vec<String>),
}

impl ParquetFile {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = open_file(path, EXPECTED)?;
        let error = |message: String| Error::layout(path, format!("{message}, expected {EXPECTED}"));
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|e| error(e.to_string()))?;
        let columns = metadata.file_metadata().schema_descr().columns();
        let names: Vec<String> = columns.iter().map(|c| c.path().string()).collect();
        let find = |wanted: &[&str], what: &str| {
            let place = wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted));
            place.ok_or_else(|| error(format!("has no column for the {what}, it has: {}", names.join(", "))))
        };
        let (image, label) = (find(&IMAGES, "picture")?, find(&LABELS, "label")?);
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
            Type::INT64 => Labels::Numbers(self.values::<Int64Type>()?, self.class_names(column.name())),
            Type::INT32 => {
                let numbers = self.values::<Int32Type>()?.into_iter().map(i64::from).collect();
                Labels::Numbers(numbers, self.class_names(column.name()))
            }
            Type::BYTE_ARRAY => {
                let names = self.values::<ByteArrayType>()?;
                let names = names.iter().map(|name| name.as_utf8().map(str::to_owned)).collect::<Result<_, _>>();
                Labels::Names(names.map_err(|e| self.error(&e.to_string()))?)
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
        let file = Arc::new(open_file(&self.path, EXPECTED)?);
        let mut first = 0;
        for (group, metadata) in self.metadata.row_groups().iter().enumerate() {
            let rows = metadata.num_rows().unsigned_abs();
            if row - first < rows {
                let read = || -> Result<Option<ByteArray>, ParquetError> {
                    let mut column = self.column::<ByteArrayType>(Arc::clone(&file), group, self.image)?;
                    let (mut values, mut defined) = (Vec::new(), Vec::new());
                    column.skip_records((row - first) as usize)?;
                    column.read_records(1, Some(&mut defined), None, &mut values)?;
                    Ok(values.pop())
                };
                let bytes = read_guarded(read).map_err(|e| error(&format!("can't be read: {e}")))?;
                return bytes.map(|b| b.data().to_vec()).ok_or_else(|| error("has no picture in it"));
            }
            first += rows;
        }
        Err(error("is not there"))
    }

    /// All values of the column of labels.
    fn values<T: DataType>(&self) -> Result<Vec<T::T>> {
        let file = Arc::new(open_file(&self.path, EXPECTED)?);
        let mut values = Vec::new();
        for (group, metadata) in self.metadata.row_groups().iter().enumerate() {
            let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
            let before = values.len();
            let read = || -> Result<(), ParquetError> {
                let mut column = self.column::<T>(Arc::clone(&file), group, self.label)?;
                let mut defined = Vec::new();
                // A damaged number of rows must not decide how much memory is asked for.
                while column.read_records(rows.min(1 << 16), Some(&mut defined), None, &mut values)?.0 > 0 {
                    defined.clear();
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
        file: Arc<File>,
        group: usize,
        column: usize,
    ) -> Result<ColumnReaderImpl<T>, ParquetError> {
        let group = self.metadata.row_group(group);
        let rows = usize::try_from(group.num_rows())?;
        let pages = SerializedPageReader::new(file, group.column(column), rows, None)?;
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
