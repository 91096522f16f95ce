//! Data sets that a program makes itself: of pictures in memory, of paths, of whatever a closure gives.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use crate::{Dataset, Error, Result, Sample, Source};

/// What makes a picture, each time it is asked for.
#[derive(Clone)]
pub struct Maker(Arc<dyn Fn() -> MadePicture + Send + Sync>);

/// A picture, or why there is none, as the rest of a sentence that begins with its name.
type MadePicture = std::result::Result<RgbImage, String>;

impl Maker {
    /// Calls the closure.
    pub(crate) fn make(&self) -> MadePicture {
        (self.0)()
    }
}

impl fmt::Debug for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Maker")
    }
}

impl PartialEq for Maker {
    /// Whether they are clones of each other.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Sample {
    /// A picture that is in memory already; clones of the sample share it.
    pub fn of_picture(name: impl Into<Arc<str>>, label: usize, picture: RgbImage) -> Self {
        Self::new(name, label, Source::Memory { picture: Arc::new(picture) })
    }

    /// A picture in a file, of any kind that [`decode_file`](crate::decode_file) reads.
    pub fn of_path(path: &Path, label: usize) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = path.parent().unwrap_or(Path::new(""));
        Self::new(name, label, Source::File { root: root.into() })
    }

    /// A picture that a closure makes whenever it is asked for, on a thread of the loader's: from a database, an archive, a
    /// drawing. If it can't, it says why, as the rest of a sentence that begins with the name ("isn't there any more").
    pub fn of_closure<E: fmt::Display>(
        name: impl Into<Arc<str>>,
        label: usize,
        make: impl Fn() -> std::result::Result<RgbImage, E> + Send + Sync + 'static,
    ) -> Self {
        let make = Maker(Arc::new(move || make().map_err(|error| error.to_string())));
        Self::new(name, label, Source::Made { make })
    }
}

impl Dataset {
    /// A data set of samples that a program has. Training takes the split `train`, chooses an epoch on `val`, and measures on
    /// `test`; in a split names should differ, as a resumed run knows its pictures by them.
    ///
    /// # Errors
    /// If a label has no class.
    pub fn of_samples<'a>(
        name: &str,
        classes: Vec<String>,
        splits: impl IntoIterator<Item = (&'a str, Vec<Sample>)>,
    ) -> Result<Self> {
        let splits = splits.into_iter().map(|(split, samples)| (split.to_owned(), samples)).collect();
        let dataset = Self::plain(name.to_owned(), classes, splits);
        let of = dataset.classes.len();
        match dataset.splits.values().flatten().find(|sample| sample.label >= of) {
            Some(Sample { file, label, .. }) => {
                Err(Error::Label { picture: file.to_string(), label: *label, classes: of })
            }
            None => Ok(dataset),
        }
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::{Limits, decode, decode_within};

    #[test]
    fn pictures_come_from_memory_files_and_closures() {
        let picture = RgbImage::from_fn(5, 4, |x, y| Rgb([x as u8, y as u8, 7]));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        picture.save(&path).unwrap();
        let closed = picture.clone();
        let samples = [
            Sample::of_picture("a", 0, picture.clone()),
            Sample::of_path(&path, 1),
            Sample::of_closure("c", 1, move || Ok::<_, String>(closed.clone())),
        ];
        for sample in &samples {
            assert_eq!(decode(sample).unwrap(), picture, "{sample:?}");
            assert_eq!(*sample, sample.clone());
        }
        assert_ne!(samples[0].digest("x"), samples[2].digest("x"));
        // Limits are for what has to be decoded.
        assert!(decode_within(&samples[0], Limits { max_megapixels: 0 }).is_ok());
    }

    #[test]
    fn what_a_closure_can_not_make_is_unreadable() {
        let gone = Sample::of_closure("row 7", 0, || Err("isn't in the database"));
        assert_eq!(decode(&gone).unwrap_err().to_string(), "row 7: isn't in the database");
        let wrong = Sample::of_closure("row 8", 0, || -> std::result::Result<RgbImage, String> { panic!("no") });
        assert!(decode(&wrong).unwrap_err().to_string().starts_with("row 8"));
    }

    #[test]
    fn a_label_has_a_class() {
        let sample = |label| Sample::of_picture("x", label, RgbImage::new(1, 1));
        let set = |label| Dataset::of_samples("mine", vec!["a".to_owned()], [("train", vec![sample(label)])]);
        assert_eq!(set(0).unwrap().split("train").unwrap().len(), 1);
        assert!(set(1).unwrap_err().to_string().contains("has the label 1, expected less than 1"));
    }
}
