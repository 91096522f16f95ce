//! The file of embeddings, written as they come.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use c2f_files::atomic::parent;
use c2f_files::{Mark, Output};
use candle_core::Tensor;
use serde_json::json;

use crate::checkpoint::MAX_HEADER;
use crate::{Error, Result};

/// How every file of ours begins, after the header's length.
const MARK: Mark = r#"{"__metadata__":{"images":"#;

/// A safetensors file that gets `embeddings` (N, D), f32, and in its metadata `images`, a JSON list of N names, and `labels`, a
/// JSON list of N names of classes or null, if one is known.
///
/// The header says how many there are, and stands first: until then the values are in a temporary file.
#[derive(Debug)]
pub struct Embeddings {
    output: Output,
    path: PathBuf,
    values: BufWriter<File>,
    images: Vec<String>,
    labels: Vec<Option<String>>,
    width: usize,
}

impl Embeddings {
    /// Opens `path` with the rules of [`Output`]; the file appears in [`Self::finish`].
    ///
    /// # Errors
    /// As those of [`Output::create`], or no temporary file can be made beside it.
    pub fn create(path: &Path) -> Result<Self> {
        let output = Output::create(path, MARK)?;
        let is_stream = std::fs::metadata(path).is_ok_and(|there| !there.is_file());
        let folder = if is_stream { std::env::temp_dir() } else { parent(path).to_owned() };
        let values = tempfile::tempfile_in(&folder).map_err(|source| Error::io(&folder, source))?;
        let values = BufWriter::new(values);
        Ok(Self { output, path: path.to_owned(), values, images: Vec::new(), labels: Vec::new(), width: 0 })
    }

    /// Fails if the file can't hold so many names, or would be put in the place of one of the pictures.
    ///
    /// # Errors
    /// If so.
    pub fn check<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let mut length = 0;
        for name in names {
            self.output.refuse_input(Path::new(name))?;
            // Two quotes, each with a backslash, and a comma.
            length += name.len() + 5;
        }
        self.check_header(length)
    }

    fn check_header(&self, length: usize) -> Result<()> {
        if length <= MAX_HEADER {
            return Ok(());
        }
        let path = self.path.display();
        Err(Error::Usage(format!(
            "{path}: the names of the pictures take {length} bytes, safetensors allows {MAX_HEADER}: embed them in several files"
        )))
    }

    /// Adds the embeddings (B, D) of B pictures, given by name and by class, where that is known.
    ///
    /// # Errors
    /// If they can't be written, or there aren't as many as names.
    pub fn push(&mut self, pictures: Vec<(String, Option<String>)>, embeddings: &Tensor) -> Result<()> {
        let (count, width) = embeddings.dims2()?;
        if count != pictures.len() {
            return Err(candle_core::Error::Msg(format!("{count} embeddings of {} pictures", pictures.len())).into());
        }
        for value in embeddings.flatten_all()?.to_vec1::<f32>()? {
            self.values.write_all(&value.to_le_bytes()).map_err(|e| self.output.error(e))?;
        }
        let (images, labels): (Vec<_>, Vec<_>) = pictures.into_iter().unzip();
        self.images.extend(images);
        self.labels.extend(labels);
        self.width = width;
        Ok(())
    }

    /// How many pictures, and how many values for each.
    pub fn dims(&self) -> (usize, usize) {
        (self.images.len(), self.width)
    }

    /// Writes the file, whole.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(mut self) -> Result<()> {
        let header = self.header()?;
        let mut copy = || {
            self.output.write_all(&(header.len() as u64).to_le_bytes())?;
            self.output.write_all(&header)?;
            self.values.flush()?;
            let values = self.values.get_mut();
            values.rewind()?;
            io::copy(values, &mut self.output)
        };
        copy().map_err(|e| self.output.error(e))?;
        Ok(self.output.finish()?)
    }

    /// JSON, filled with spaces to whole words of 8 bytes, as the values are to begin at one.
    fn header(&self) -> Result<Vec<u8>> {
        let (count, width) = self.dims();
        let mut metadata = json!({ "images": json!(self.images).to_string() });
        if self.labels.iter().any(Option::is_some) {
            metadata["labels"] = json!(self.labels).to_string().into();
        }
        let header = json!({
            "__metadata__": metadata,
            "embeddings": { "dtype": "F32", "shape": [count, width], "data_offsets": [0, count * width * size_of::<f32>()] },
        });
        let mut header = header.to_string().into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        self.check_header(header.len())?;
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use safetensors::SafeTensors;

    use super::*;

    #[test]
    fn the_file_is_what_safetensors_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        for names in [vec!["a \"b\".jpg"], vec!["x.jpg", "é.jpg", "z.jpg"]] {
            let mut file = Embeddings::create(&path).unwrap();
            file.check(names.iter().copied()).unwrap();
            for (i, name) in names.iter().enumerate() {
                let values = Tensor::new(&[[i as f32, 0.5]], &Device::Cpu).unwrap();
                let label = (i == 1).then(|| "gull".to_owned());
                file.push(vec![((*name).to_owned(), label)], &values).unwrap();
            }
            assert_eq!(file.dims(), (names.len(), 2));
            file.finish().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
            let metadata = header.metadata().clone().unwrap();
            assert_eq!(serde_json::from_str::<Vec<String>>(&metadata["images"]).unwrap(), names);
            assert_eq!(
                metadata.get("labels").map(String::as_str),
                (names.len() > 1).then_some(r#"[null,"gull",null]"#)
            );
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            let values = tensors.tensor("embeddings").unwrap();
            assert_eq!(values.shape(), [names.len(), 2]);
            let last: Vec<u8> = [names.len() as f32 - 1.0, 0.5].iter().flat_map(|v| v.to_le_bytes()).collect();
            assert!(values.data().ends_with(&last));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_have_a_limit_that_is_known_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let file = Embeddings::create(&folder.path().join("a.safetensors")).unwrap();
        let name = "x".repeat(1 << 20);
        assert!(file.check(std::iter::repeat_n("short.jpg", 1000)).is_ok());
        let error = file.check(std::iter::repeat_n(name.as_str(), 100)).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("several files"), "{error}");
    }
}
