//! `c2f-train train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use c2f_engine::{Recipe, RunFolder, TrainOptions};

use super::data_spec::on_disk;
use super::signals::Signals;
use super::weights_file::weights_file;
use super::{device, one_line, path, results, usage};
use crate::bars::TrainBars;

/// The default is the command without arguments.
#[derive(clap::Args, Default)]
pub struct Args {
    /// A built-in recipe or a TOML file; `default` with --data, otherwise `quickstart`
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// The data set, `kind:path`, such as `folder:pictures` or `cub2010:DIR?classes=30`
    #[arg(long, value_name = "SPEC")]
    data: Option<String>,
    /// Pretrained weights of the backbone: a .safetensors or .pth file, or the name of some on the Hugging Face hub. Or a run
    /// of one's own, its folder or a checkpoint: everything that fits
    #[arg(long, value_name = "FILE|NAME")]
    weights: Option<String>,
    /// Change a field of the recipe by its dotted name; may be given again
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The run's folder [default: a new one in runs/]
    #[arg(long, value_name = "DIR", value_parser = path())]
    output: Option<PathBuf>,
    /// Go on with the run in --output, with its recipe; with --set epochs=N for more epochs
    #[arg(long)]
    resume: bool,
    /// cpu, cuda or cuda:N [default: cpu]
    #[arg(long)]
    device: Option<String>,
    /// Decides initial weights, order and augmentation; the same as --set seed=N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
}

/// Gives the exit status: that of a signal, if one came.
pub fn run(args: &Args) -> Result<u8> {
    let device = device(args.device.as_deref().unwrap_or("cpu"))?;
    let signals = Signals::listen()?;
    let (recipe, output) = if args.resume { resumed_run(args)? } else { new_run(args)? };
    let options = TrainOptions { output, resume: args.resume, device, stop: Arc::clone(&signals.stop) };
    let mut bars = TrainBars::default();
    let summary = c2f_engine::train(&recipe, &options, &mut |event| bars.show(event))?;
    match (results::finish(&recipe, &options, &summary), signals.exit_status()) {
        (finished, 0) => finished.map(|()| 0),
        (Ok(()), status) => Ok(status),
        // Such as that the terminal has gone away, of which the signal told.
        (Err(error), status) => {
            tracing::warn!("{}", one_line(&error));
            Ok(status)
        }
    }
}

fn new_run(args: &Args) -> Result<(Recipe, RunFolder)> {
    let named = args.recipe.as_deref().unwrap_or(if args.data.is_some() { "default" } else { "quickstart" });
    let mut recipe = with_settings(Recipe::load(named)?, args)?;
    let output = match &args.output {
        Some(output) => RunFolder::create(output)?,
        None => RunFolder::create_next(Path::new("runs"), &run_name(args, &recipe))?,
    };
    find_weights(&mut recipe)?;
    // The run's recipe names the files, whose path has the commit in it: a resumed run has the same pictures.
    recipe.data = recipe.data.as_deref().map(on_disk).transpose()?;
    Ok((recipe, output))
}

/// The recipe of the run's folder. Settings that are given again must be the same, but for those that say where things are
/// or how fast they are read; there may be more epochs.
fn resumed_run(args: &Args) -> Result<(Recipe, RunFolder)> {
    let output = args.output.clone().ok_or_else(|| usage("--resume needs --output, the folder of the run"))?;
    let config = output.join("config.toml");
    if !config.is_file() {
        return Err(usage(format!("{}: no run to resume, {} is missing", output.display(), config.display())));
    }
    let folder = RunFolder::reopen(&output)?;
    let recipe = Recipe::from_file(&config)?;
    let asked = match &args.recipe {
        Some(name) => Recipe::load(name)?,
        None => recipe.clone(),
    };
    let mut asked = with_settings(asked, args)?;
    asked.data = asked.data.as_deref().map(on_disk).transpose()?;
    if asked.epochs < recipe.epochs {
        return Err(usage(format!(
            "{}: epochs = {} of a run that has {}: a resumed run can have more, not fewer",
            output.display(),
            asked.epochs,
            recipe.epochs
        )));
    }
    let changed = recipe.differences_to_resume(&asked);
    if !changed.is_empty() {
        return Err(usage(format!(
            "{}: a run is resumed with its own recipe, so these can't change: {}",
            output.display(),
            changed.join(", ")
        )));
    }
    // The run's own may be gone: its checkpoint has what they became.
    if args.weights.is_some() {
        find_weights(&mut asked)?;
    }
    Ok((asked, folder))
}

/// Puts the file of the pretrained weights in the place of their name.
fn find_weights(recipe: &mut Recipe) -> Result<()> {
    if let Some(weights) = &recipe.weights {
        let file = weights_file(weights)?.into_os_string().into_string();
        let file = file.map_err(|file| usage(format!("{}: a recipe's paths have to be UTF-8", file.display())))?;
        recipe.weights = Some(file);
    }
    Ok(())
}

/// The recipe with what the command line changes in it.
fn with_settings(mut recipe: Recipe, args: &Args) -> Result<Recipe> {
    recipe.weights = args.weights.clone().or(recipe.weights);
    recipe.data = args.data.clone().or(recipe.data);
    recipe.seed = args.seed.unwrap_or(recipe.seed);
    for assignment in &args.set {
        recipe.set(assignment)?;
    }
    recipe.validate()?;
    if recipe.data.is_none() {
        return Err(usage("the recipe names no data set: give one by --data kind:path"));
    }
    Ok(recipe)
}

/// The recipe's name; the method's where the recipe is the default one.
fn run_name(args: &Args, recipe: &Recipe) -> String {
    let named = match (&args.recipe, &args.data) {
        (Some(name), _) => Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned()),
        (None, None) => Some("quickstart".to_owned()),
        (None, Some(_)) => None,
    };
    named.filter(|name| name != "default").unwrap_or_else(|| recipe.method.to_string())
}
