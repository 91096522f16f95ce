//! `c2f-train data sheet`.

use std::path::PathBuf;

use anyhow::Result;
use c2f_data::Sample;
use c2f_engine::{Error, Recipe};
use c2f_files::Output;
use c2f_report::{ClassSamples, PNG_MARK, contact_sheet, write_png};
use tracing::{info, warn};

use crate::cli::data_spec::data_spec;
use crate::cli::{path, print, usage};

/// Classes on a sheet: with more of them, no viewer shows the sheet at a size at which anybody sees anything.
const MOST_CLASSES: usize = 60;

#[derive(clap::Args)]
pub struct Args {
    /// The data set, `kind:path`
    spec: String,
    /// The PNG to write
    #[arg(long, value_name = "FILE", value_parser = path())]
    output: PathBuf,
    /// Pictures of each class, its first ones
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=16))]
    per_class: u64,
    /// The split to take them from
    #[arg(long, default_value = "train")]
    split: String,
    /// The recipe whose augmentation is shown, built-in or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    recipe: String,
    /// Change a field of the recipe by its dotted name; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub fn run(args: &Args) -> Result<()> {
    if args.output.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("png")) {
        return Err(usage(format!("--output {}: expected a name that ends in .png", args.output.display())));
    }
    let mut recipe = Recipe::load(&args.recipe)?;
    for assignment in &args.set {
        recipe.set(assignment)?;
    }
    recipe.validate()?;
    let output = Output::create(&args.output, PNG_MARK)?;
    let dataset = c2f_data::open(&data_spec(&args.spec)?).map_err(Error::from)?;
    let samples = dataset.split(&args.split).map_err(Error::from)?;
    let classes = first_of_each(&dataset.classes, samples, args.per_class as usize);
    let left_out = classes.len().saturating_sub(MOST_CLASSES);
    if left_out > 0 {
        info!("The sheet has the first {MOST_CLASSES} classes; the {left_out} after them are left out");
    }
    if recipe.augment.mixup.max(recipe.augment.cutmix) > 0.0 {
        info!("Mixup and CutMix are not shown");
    }
    let title = format!(
        "{}, {}: pictures, and below them what the recipe {} makes of them",
        args.spec, args.split, args.recipe
    );
    let sheet = contact_sheet(&recipe, &title, &classes[..classes.len() - left_out])?;
    for message in &sheet.unreadable {
        warn!("Left out {message}");
    }
    write_png(&sheet.image, output)?;
    print(&args.output.display().to_string())
}

/// The classes that have pictures here, each with its first ones.
fn first_of_each<'a>(classes: &'a [String], samples: &'a [Sample], most: usize) -> Vec<ClassSamples<'a>> {
    let mut rows: Vec<_> = classes.iter().map(|class| ClassSamples { class, samples: Vec::new() }).collect();
    for (id, sample) in (0..).zip(samples) {
        let row = &mut rows[sample.label].samples;
        if row.len() < most {
            row.push((id, sample));
        }
    }
    rows.retain(|row| !row.samples.is_empty());
    rows
}
