//! `c2f-train predict`.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use c2f_engine::{Guesses, Network, Picture, ahead};

use super::answers::{Answer, Answers, Format, Novelty, Outcome, Prediction, Surest};
use super::inputs::{Input, Inputs, Unreadable, batch_size};
use super::signals::Signals;
use super::{checkpoint_file, device, path, usage};
use crate::bars;

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, the folder of a run (then its best), or `hub:ORG/NAME`, such a folder on the Hugging Face hub
    #[arg(long, value_name = "PATH", value_parser = path())]
    checkpoint: PathBuf,
    /// How many classes for each picture
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    top_k: u32,
    /// How answers are written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write into this file instead of to stdout
    #[arg(long, value_name = "FILE", value_parser = path())]
    output: Option<PathBuf>,
    /// For each picture, write one that shows its attention and its region map into this folder
    #[arg(long, value_name = "DIR", value_parser = path())]
    overlay: Option<PathBuf>,
    /// Also answer by the smallest group, a class or what classes belong to, that has at least this probability
    #[arg(long, value_name = "PROBABILITY", value_parser = probability)]
    sure: Option<f32>,
    /// Call pictures unknown that look less familiar than this share of the held-out pictures, whose classes are known
    #[arg(long, value_name = "SHARE", value_parser = share)]
    reject: Option<f64>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    #[command(flatten)]
    inputs: Inputs,
}

/// Gives the exit status: that of a signal, if one came; then the file of `--output` isn't written.
pub fn run(args: &Args) -> Result<u8> {
    let network = checkpoint_file::network(&args.checkpoint, &device(&args.device)?)?;
    if args.sure.is_some() && network.taxonomy.is_none() {
        return Err(usage(
            "--sure: it isn't known what the classes of this network belong to; nabirds, inat..., aircraft and pets say it",
        ));
    }
    let threshold = args.reject.map(|share| threshold(&network, share)).transpose()?;
    let inputs = args.inputs.list()?;
    if let Some(folder) = &args.overlay {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let overlays = args.overlay.as_deref();
    let mut names = overlays.map(|folder| OverlayNames::new(folder, inputs.iter().filter_map(Input::file)));
    let signals = Signals::listen()?;
    let mut answers = Answers::open(if args.json { Format::Json } else { args.format }, args.output.as_deref())?;
    for file in inputs.iter().filter_map(Input::file) {
        answers.refuse_input(&file)?;
    }
    let limits = network.recipe.loader.limits();
    let transforms = network.test_transforms(args.inputs.views());
    let mut unreadable = Unreadable::default();
    let bar = bars::bar("predict", inputs.len());
    let mut answer = |batch: &[Input], views: Vec<c2f_data::Result<_>>| -> Result<bool> {
        let (mut pictures, mut errors) = (Vec::new(), Vec::new());
        for (input, views) in batch.iter().zip(views) {
            match views {
                Ok(views) => {
                    let truth = input.label.as_deref().map(str::to_owned);
                    pictures.push(Picture { name: input.name().into_owned(), views, truth });
                    errors.push(None);
                }
                Err(error) => errors.push(Some(error.to_string())),
            }
        }
        // A group's probability is that of all its classes.
        let top = if args.sure.is_some() { network.classes.len() } else { args.top_k as usize };
        let guesses = if let Some(names) = &mut names {
            explained(&network, &pictures, top, names)?
        } else {
            let views: Vec<_> = pictures.iter().map(|picture| picture.views.as_slice()).collect();
            c2f_engine::guess(&network, &views, top)?
        };
        let mut guesses = guesses.into_iter();
        for (input, error) in batch.iter().zip(errors) {
            let outcome = if let Some(error) = error {
                unreadable.add(&error);
                Outcome::Error { error }
            } else {
                outcome(guesses.next().context("a picture without a prediction")?, &network, args, threshold)
            };
            let label = input.label.as_deref().map(str::to_owned);
            answers.push(&Answer { image: input.name().into_owned(), label, outcome })?;
        }
        bar.inc(batch.len() as u64);
        Ok(answers.send()? && !signals.came())
    };
    let batch = batch_size(transforms.len());
    ahead(&inputs, batch, |input| input.views(&transforms, limits), &mut answer)?;
    bar.finish_and_clear();
    if signals.came() {
        return Ok(signals.exit_status());
    }
    answers.finish()?;
    unreadable.fail(inputs.len()).map(|()| 0)
}

/// Writes an overlay for each picture, and gives its `top` classes.
fn explained(network: &Network, pictures: &[Picture], top: usize, names: &mut OverlayNames) -> Result<Vec<Guesses>> {
    // At least the classes that an overlay lists.
    let mut explanations = c2f_engine::explain(network, pictures, top.max(5))?;
    for explanation in &mut explanations {
        let path = names.unique(Path::new(&explanation.name));
        c2f_report::save_png(&c2f_report::sheet(explanation), &path)?;
        explanation.guesses.classes.truncate(top);
    }
    Ok(explanations.into_iter().map(|explanation| explanation.guesses).collect())
}

fn outcome(guesses: Guesses, network: &Network, args: &Args, threshold: Option<f32>) -> Outcome {
    let surest = network
        .taxonomy
        .as_ref()
        .zip(args.sure)
        .map(|(taxonomy, sure)| taxonomy.surest(&guesses.classes, sure).map_or(Surest::Nothing, Surest::Group));
    let predictions = guesses.classes.into_iter().take(args.top_k as usize);
    let predictions = predictions.map(|g| Prediction { class: g.class, index: g.index, probability: g.probability });
    let familiarity = guesses.familiarity;
    let novelty = threshold.map(|threshold| Novelty { familiarity, unknown: familiarity < threshold });
    Outcome::Predictions { predictions: predictions.collect(), surest, novelty }
}

/// The familiarity below which a picture is unknown.
fn threshold(network: &Network, share: f64) -> Result<f32> {
    let held_out = network.held_out.as_ref().ok_or_else(|| {
        usage(
            "--reject: no pictures were held out to measure this network on when its training ended; train on a data set with a split \
             `val`, which `holdout=10` among its options makes",
        )
    })?;
    Ok(held_out.threshold(share))
}

fn probability(text: &str) -> Result<f32, String> {
    let probability = text.parse().ok().filter(|probability| (0.0..=1.0).contains(probability));
    probability.ok_or_else(|| "expected a probability from 0 to 1, such as 0.9".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..1.0).contains(share));
    share.ok_or_else(|| "expected a share of pictures from 0 to less than 1, such as 0.05".to_owned())
}

/// Names of overlay files: the picture's own, with a number where that is taken by another overlay, a picture that is asked
/// about, or a file that isn't ours.
struct OverlayNames {
    folder: PathBuf,
    taken: HashSet<String>,
    /// The last number of each picture's name.
    numbers: HashMap<String, u64>,
}

impl OverlayNames {
    fn new<P: AsRef<Path>>(folder: &Path, pictures: impl Iterator<Item = P>) -> Self {
        let inside = pictures.filter_map(|picture| picture.as_ref().canonicalize().ok());
        let real = folder.canonicalize().ok();
        let inside = inside.filter(|picture| real.is_some() && picture.parent() == real.as_deref());
        let taken = inside.filter_map(|picture| Some(picture.file_name()?.to_string_lossy().into_owned())).collect();
        Self { folder: folder.to_owned(), taken, numbers: HashMap::new() }
    }

    fn unique(&mut self, picture: &Path) -> PathBuf {
        let stem = picture.file_stem().unwrap_or_default().to_string_lossy();
        let number = self.numbers.entry(stem.clone().into_owned()).or_default();
        loop {
            *number += 1;
            let name = if *number == 1 { format!("{stem}.png") } else { format!("{stem}-{number}.png") };
            let path = self.folder.join(&name);
            if c2f_files::is_free(&path, c2f_report::PNG_MARK) && self.taken.insert(name) {
                return path;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlays_never_overwrite_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |names: &[&str]| names.iter().map(|name| folder.path().join(name)).collect::<Vec<_>>();
        let mut names = OverlayNames::new(folder.path(), std::iter::empty::<&Path>());
        let files = ["a/x.jpg", "b/x.png", "x-2.jpg", "c/x.gif", "y"];
        let unique = files.map(|file| names.unique(Path::new(file)));
        assert_eq!(unique.to_vec(), in_folder(&["x.png", "x-2.png", "x-2-2.png", "x-3.png", "y.png"]));

        let picture = folder.path().join("x.png");
        std::fs::write(&picture, b"precious").unwrap();
        let mut names = OverlayNames::new(folder.path(), std::iter::once(&picture));
        assert_eq!(names.unique(&picture), folder.path().join("x-2.png"));
        // Nor does a picture elsewhere that has the name of one here.
        let mut names = OverlayNames::new(folder.path(), std::iter::empty::<&Path>());
        assert_eq!(names.unique(Path::new("elsewhere/x.jpg")), folder.path().join("x-2.png"));
        c2f_report::save_png(&image::RgbImage::new(2, 2), &folder.path().join("x-2.png")).unwrap();
        assert_eq!(names.unique(Path::new("third/x.jpg")), folder.path().join("x-3.png"));
        let mut later = OverlayNames::new(folder.path(), std::iter::empty::<&Path>());
        assert_eq!(later.unique(Path::new("elsewhere/x.jpg")), folder.path().join("x-2.png"), "ours is replaced");
    }
}
