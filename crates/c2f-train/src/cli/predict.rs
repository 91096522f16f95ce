//! `c2f-train predict`.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use c2f_train::output;
use c2f_train::overlay::{self, Explanation, Picture};
use serde::Serialize;

use super::{device, fail_if_unreadable, percent, print, print_json};
use crate::progress;
use crate::terminal::word;

/// Pictures that go through the network together.
const BATCH: usize = 16;

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, or the folder of a run (then its best)
    #[arg(long, value_name = "PATH")]
    checkpoint: PathBuf,
    /// How many classes for each picture
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: u32,
    /// One JSON value
    #[arg(long)]
    json: bool,
    /// For each picture, write one that shows its attention and its region map into this folder
    #[arg(long, value_name = "DIR")]
    overlay: Option<PathBuf>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    /// The pictures
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Answer {
    image: String,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Predictions(Vec<Prediction>),
    Error(String),
}

#[derive(Serialize)]
struct Prediction {
    class: String,
    index: usize,
    probability: f32,
}

pub fn run(args: &Args) -> Result<()> {
    let network = c2f_train::load_network(&args.checkpoint, &device(&args.device)?)?;
    if let Some(folder) = &args.overlay {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let mut names = args.overlay.as_deref().map(|folder| OverlayNames::new(folder, &args.images));
    let mut answers = Vec::with_capacity(args.images.len());
    let bar = progress::bar("predict", args.images.len());
    for files in args.images.chunks(BATCH) {
        let decoded: Vec<_> = files.iter().map(|file| c2f_data::decode_file(file)).collect();
        let pictures = files.iter().zip(&decoded).filter_map(|(file, image)| {
            let image = image.as_ref().ok()?.clone();
            Some(Picture { name: file.display().to_string(), image, truth: None })
        });
        let pictures: Vec<Picture> = pictures.collect();
        // At least the classes that an overlay lists.
        let mut explanations = overlay::explain(&network, &pictures, (args.top_k as usize).max(5))?.into_iter();
        for (file, image) in files.iter().zip(decoded) {
            let outcome = match image {
                Ok(_) => {
                    let explanation = explanations.next().context("a picture without a prediction")?;
                    if let Some(names) = &mut names {
                        overlay::save_png(&overlay::sheet(&explanation), &names.unique(file))?;
                    }
                    Outcome::Predictions(predictions(explanation, args.top_k as usize))
                }
                Err(error) => Outcome::Error(error.to_string()),
            };
            answers.push(Answer { image: file.display().to_string(), outcome });
        }
        bar.inc(files.len() as u64);
    }
    bar.finish_and_clear();
    if args.json {
        print_json(&answers)?;
    } else {
        print(&list(&answers)?)?;
    }
    let errors: Vec<String> = answers
        .iter()
        .filter_map(|a| match &a.outcome {
            Outcome::Error(error) => Some(error.clone()),
            Outcome::Predictions(_) => None,
        })
        .collect();
    fail_if_unreadable(&errors, answers.len())
}

fn predictions(explanation: Explanation, top: usize) -> Vec<Prediction> {
    let guesses = explanation.guesses.into_iter().take(top);
    guesses.map(|g| Prediction { class: g.class, index: g.index, probability: g.probability }).collect()
}

/// Names of overlay files: the picture's own, with a number where that is taken by another overlay, a picture that is asked
/// about, or a file that isn't ours.
struct OverlayNames {
    folder: PathBuf,
    taken: HashSet<String>,
}

impl OverlayNames {
    fn new(folder: &Path, pictures: &[PathBuf]) -> Self {
        let inside = pictures.iter().filter_map(|picture| picture.canonicalize().ok());
        let real = folder.canonicalize().ok();
        let inside = inside.filter(|picture| real.is_some() && picture.parent() == real.as_deref());
        let taken = inside.filter_map(|picture| Some(picture.file_name()?.to_string_lossy().into_owned())).collect();
        Self { folder: folder.to_owned(), taken }
    }

    fn unique(&mut self, picture: &Path) -> PathBuf {
        let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
        let numbered = (2_u64..).map(|n| format!("{stem}-{n}.png"));
        let names = std::iter::once(format!("{stem}.png")).chain(numbered);
        let paths = names.map(|name| (self.folder.join(&name), name));
        let mut free = paths.filter(|(path, _)| output::is_free(path, overlay::PNG_MARK));
        let (path, _) = free.find(|(_, name)| self.taken.insert(name.clone())).unwrap_or_default();
        path
    }
}

fn list(answers: &[Answer]) -> Result<String> {
    let mut text = String::new();
    for answer in answers {
        // What is wrong with the others goes to stderr.
        let Outcome::Predictions(predictions) = &answer.outcome else { continue };
        writeln!(text, "{}", word(&answer.image))?;
        for p in predictions {
            writeln!(text, "  {:>8}  {}", percent(p.probability.into()), word(&p.class))?;
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlays_never_overwrite_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |names: &[&str]| names.iter().map(|name| folder.path().join(name)).collect::<Vec<_>>();
        let mut names = OverlayNames::new(folder.path(), &[]);
        let files = ["a/x.jpg", "b/x.png", "x-2.jpg", "c/x.gif", "y"];
        let unique = files.map(|file| names.unique(Path::new(file)));
        assert_eq!(unique.to_vec(), in_folder(&["x.png", "x-2.png", "x-2-2.png", "x-3.png", "y.png"]));

        let picture = folder.path().join("x.png");
        std::fs::write(&picture, b"precious").unwrap();
        let mut names = OverlayNames::new(folder.path(), std::slice::from_ref(&picture));
        assert_eq!(names.unique(&picture), folder.path().join("x-2.png"));
        // Nor does a picture elsewhere that has the name of one here.
        let mut names = OverlayNames::new(folder.path(), &[]);
        assert_eq!(names.unique(Path::new("elsewhere/x.jpg")), folder.path().join("x-2.png"));
        overlay::save_png(&image::RgbImage::new(2, 2), &folder.path().join("x-2.png")).unwrap();
        assert_eq!(names.unique(Path::new("third/x.jpg")), folder.path().join("x-3.png"));
        let mut later = OverlayNames::new(folder.path(), &[]);
        assert_eq!(later.unique(Path::new("elsewhere/x.jpg")), folder.path().join("x-2.png"), "ours is replaced");
    }
}
