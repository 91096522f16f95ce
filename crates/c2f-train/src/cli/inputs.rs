//! The pictures that `predict` and `embed` are given.

use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use c2f_data::{Dataset, Kind, Limits, Sample, Skipped, Source, Spec, Transform, Views};
use c2f_engine::Error;
use c2f_engine::TestViews;
use image::RgbImage;

use super::data_spec::{data_spec, is_of_hub};
use super::views::ViewOptions;
use super::{path, usage};

/// The most that a list of names may take, in bytes.
const MAX_LIST: u64 = 256 << 20;
/// Views that go through the network together.
const BATCH: usize = 16;

#[derive(clap::Args)]
pub struct Inputs {
    /// Pictures, folders (whatever is below), `-` (names on stdin, one a line), or data sets (`kind:path`)
    #[arg(value_name = "IMAGE", required_unless_present = "from", value_parser = path())]
    images: Vec<PathBuf>,
    /// A file that names more of them, one a line
    #[arg(long, value_name = "LIST", value_parser = path())]
    from: Option<PathBuf>,
    /// Of data sets this split alone [default: all]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    #[command(flatten)]
    views: ViewOptions,
}

/// One picture.
pub struct Input {
    /// Its class, where it is known.
    pub label: Option<Arc<str>>,
    place: Place,
}

enum Place {
    File(PathBuf),
    Sample(Sample),
}

impl Input {
    /// What to call it: a file's path, or the name in its data set.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.place {
            Place::File(path) => path.to_string_lossy(),
            Place::Sample(sample) => Cow::Borrowed(&sample.file),
        }
    }

    /// The file that holds it alone, if there is one.
    pub fn file(&self) -> Option<Cow<'_, Path>> {
        match &self.place {
            Place::File(path) => Some(Cow::Borrowed(path)),
            Place::Sample(Sample { file, source: Source::File { root }, .. }) => Some(Cow::Owned(root.join(&**file))),
            Place::Sample(_) => None,
        }
    }

    /// Reads the picture, if it is within `limits`, and makes its views; it isn't kept.
    pub fn views(&self, transforms: &[Transform], limits: Limits) -> c2f_data::Result<Vec<Views>> {
        let picture: RgbImage = match &self.place {
            Place::File(path) => c2f_data::decode_file_within(path, limits)?,
            Place::Sample(sample) => c2f_data::decode_within(sample, limits)?,
        };
        Ok(transforms.iter().map(|transform| transform.apply(&picture, 0, 0, 0)).collect())
    }
}

impl Inputs {
    /// The views of each picture.
    pub fn views(&self) -> TestViews {
        self.views.views()
    }

    /// All pictures, in the order in which they were given; at least one. What is passed over is said in one line.
    pub fn list(&self) -> Result<Vec<Input>> {
        let mut found = Found { split: self.split.as_deref(), inputs: Vec::new(), skipped: Skipped::default() };
        for image in &self.images {
            if image == Path::new("-") {
                found.add_names(std::io::stdin().lock(), "stdin")?;
            } else {
                found.add(image)?;
            }
        }
        if let Some(list) = &self.from {
            let name = list.display().to_string();
            found.add_names(std::fs::File::open(list).with_context(|| name.clone())?, &name)?;
        }
        if !found.skipped.is_empty() {
            tracing::warn!("{}", found.skipped);
        }
        if found.inputs.is_empty() {
            return Err(usage("there are no pictures in what was given"));
        }
        Ok(found.inputs)
    }
}

/// How many pictures go through the network together, of so many views each.
pub fn batch_size(views: usize) -> usize {
    (BATCH / views).max(1)
}

struct Found<'a> {
    split: Option<&'a str>,
    inputs: Vec<Input>,
    skipped: Skipped,
}

impl Found<'_> {
    /// What one argument, or one line of a list, names.
    fn add(&mut self, image: &Path) -> Result<()> {
        if image.is_dir() {
            let (pictures, skipped) = c2f_data::pictures_below(image).map_err(Error::from)?;
            self.skipped.extend(skipped);
            self.inputs.extend(pictures.into_iter().map(|path| Input { label: None, place: Place::File(path) }));
        } else if let Some(spec) = image.to_str().filter(|text| is_spec(text) && !image.exists()) {
            self.add_dataset(&data_spec(spec)?)?;
        } else {
            self.inputs.push(Input { label: None, place: Place::File(image.to_owned()) });
        }
        Ok(())
    }

    fn add_dataset(&mut self, spec: &Spec) -> Result<()> {
        let mut dataset = c2f_data::open_whole(spec).map_err(Error::from)?;
        let samples = match self.split {
            None | Some(Dataset::ALL) => dataset.all(),
            Some(split) => {
                if dataset.splits.contains_key(Dataset::ALL) {
                    dataset = c2f_data::open(spec).map_err(Error::from)?;
                }
                dataset.split(split).map_err(Error::from)?.to_vec()
            }
        };
        self.skipped.extend(dataset.skipped);
        let classes: Vec<Arc<str>> = dataset.classes.iter().map(|class| class.as_str().into()).collect();
        let input =
            |sample: Sample| Input { label: Some(Arc::clone(&classes[sample.label])), place: Place::Sample(sample) };
        self.inputs.extend(samples.into_iter().map(input));
        Ok(())
    }

    /// The names in a list: one a line or, where there is one, before each NUL (`find -print0`).
    fn add_names(&mut self, list: impl Read, name: &str) -> Result<()> {
        let mut text = String::new();
        list.take(MAX_LIST + 1).read_to_string(&mut text).with_context(|| format!("{name}: the list of names"))?;
        if text.len() as u64 > MAX_LIST {
            return Err(usage(format!("{name}: more than {} MiB of names", MAX_LIST >> 20)));
        }
        let end = if text.contains('\0') { '\0' } else { '\n' };
        for line in text.split(end) {
            let line = if end == '\n' { line.trim_end_matches('\r') } else { line };
            if !line.is_empty() {
                self.add(&c2f_files::expand_home(Path::new(line)))?;
            }
        }
        Ok(())
    }
}

/// Whether a text begins as the name of a data set does.
fn is_spec(text: &str) -> bool {
    let kind = text.split([':', '?']).next().unwrap_or_default();
    is_of_hub(text) || Kind::ALL.iter().any(|known| known.name() == kind)
}

/// The pictures that couldn't be read: all are counted, the first are told.
#[derive(Default)]
pub struct Unreadable {
    count: usize,
    first: Vec<String>,
}

impl Unreadable {
    /// How many are told.
    const TOLD: usize = 3;

    /// Adds one, by what was wrong with it.
    pub fn add(&mut self, message: &str) {
        self.count += 1;
        if self.first.len() < Self::TOLD {
            self.first.push(message.to_owned());
        }
    }

    /// Fails if there are some among `of` pictures.
    pub fn fail(&self, of: usize) -> Result<()> {
        let first = self.first.join("; ");
        match self.count {
            0 => Ok(()),
            1 => Err(anyhow::anyhow!("{first}")),
            count => {
                let more = if count > Self::TOLD { "; ..." } else { "" };
                Err(anyhow::anyhow!("{count} of {of} pictures can't be read: {first}{more}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<String> {
        let mut found = Found { split: None, inputs: Vec::new(), skipped: Skipped::default() };
        found.add_names(list.as_bytes(), "list").unwrap();
        found.inputs.iter().map(|input| input.name().into_owned()).collect()
    }

    #[test]
    fn lists_have_a_name_a_line_or_end_names_by_nul() {
        assert_eq!(names("a.jpg\r\n\nb c.png\n"), ["a.jpg", "b c.png"]);
        assert_eq!(names("a\nb.jpg\0c.jpg\0"), ["a\nb.jpg", "c.jpg"]);
        assert_eq!(names("-"), ["-"]);
    }

    #[test]
    fn data_sets_begin_with_their_kind() {
        for (text, is) in [("synthetic", true), ("cub2010:/x", true), ("synthetic?classes=3", true), ("a:b.jpg", false)]
        {
            assert_eq!(is_spec(text), is, "{text}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_told_in_a_line_of_bounded_length() {
        let mut unreadable = Unreadable::default();
        unreadable.fail(5).unwrap();
        for i in 0..1000 {
            unreadable.add(&format!("{i}.jpg is empty"));
        }
        let line = unreadable.fail(2000).unwrap_err().to_string();
        assert_eq!(line, "1000 of 2000 pictures can't be read: 0.jpg is empty; 1.jpg is empty; 2.jpg is empty; ...");
    }
}
