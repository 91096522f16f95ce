//! `c2f-train train`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use c2f_engine::{Event, Recipe, RunFolder, TrainOptions, World};
use candle_core::Device;
use indicatif::HumanDuration;

use super::data_spec::on_disk;
use super::signals::Signals;
use super::together::{self, in_world};
use super::weights_file::weights_file;
use super::{device, one_line, path, print, results, usage};
use crate::bars::TrainBars;
use crate::board::Board;
use crate::step_log::StepLog;

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
    #[command(flatten)]
    shown: Shown,
    /// Try the data, the network and three batches, say how long the training would take, and write nothing
    #[arg(long, conflicts_with_all = ["resume", "output"])]
    dry_run: bool,
    /// cpu, cuda or cuda:N [default: cpu]
    #[arg(long)]
    device: Option<String>,
    /// Decides initial weights, order and augmentation; the same as --set seed=N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    #[command(flatten)]
    together: together::Options,
}

/// What there is to watch a training by.
#[derive(clap::Args, Default)]
struct Shown {
    /// Write event files for TensorBoard into the run's folder `tensorboard`
    #[arg(long, conflicts_with = "dry_run")]
    tensorboard: bool,
    /// With histograms of the attention on the pictures validated on
    #[arg(long, requires = "tensorboard")]
    histograms: bool,
    /// Write a line of metrics for every N batches into the run's folder, `steps.jsonl`, and for TensorBoard a point [default: no lines,
    /// points every 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "dry_run")]
    log_every: Option<u64>,
}

impl Shown {
    fn board(&self, run: &Path) -> Option<Board> {
        let every = self.log_every.map_or(10, |every| every as usize);
        self.tensorboard.then(|| Board::new(run, every, self.histograms))
    }

    fn steps(&self, run: &Path) -> Option<StepLog> {
        self.log_every.map(|every| StepLog::new(run, every as usize))
    }
}

/// Gives the exit status: that of a signal, if one came.
pub fn run(args: &Args) -> Result<u8> {
    in_world(|world| run_in(world, args))
}

fn run_in(world: &World, args: &Args) -> Result<u8> {
    let device = device(args.device.as_deref().unwrap_or("cpu"))?;
    if args.dry_run {
        return rehearse(args, &device).map(|()| 0);
    }
    let signals = Signals::listen()?;
    let (recipe, output) = first_ranks_run(world, args)?;
    // What the first rank has fetched before may have taken as long as it liked.
    world.set_timeout(args.together.timeout());
    let world = world.clone();
    let options = TrainOptions { output, resume: args.resume, device, world, stop: Arc::clone(&signals.stop) };
    if !options.world.is_first() {
        c2f_engine::train(&recipe, &options, &mut |_: Event<'_>| {})?;
        return Ok(signals.exit_status());
    }
    let mut bars = TrainBars::default();
    let (mut board, mut steps) = (args.shown.board(&options.output), args.shown.steps(&options.output));
    let summary = c2f_engine::train(&recipe, &options, &mut |event| {
        bars.show(event);
        if let Some(steps) = &mut steps {
            steps.show(event);
        }
        if let Some(board) = &mut board {
            board.show(event);
        }
    })?;
    let finished = results::finish(&recipe, &options, &summary);
    if let Some(board) = &mut board {
        board.pictures(&summary.output.join("overlays"), summary.epochs);
    }
    match (finished, signals.exit_status()) {
        (finished, 0) => finished.map(|()| 0),
        (Ok(()), status) => Ok(status),
        // Such as that the terminal has gone away, of which the signal told.
        (Err(error), status) => {
            tracing::warn!("{}", one_line(&error));
            Ok(status)
        }
    }
}

/// The recipe and the folder, which the first rank finds, makes and holds for all.
fn first_ranks_run(world: &World, args: &Args) -> Result<(Recipe, RunFolder)> {
    let find = || if args.resume { resumed_run(args) } else { new_run(args) };
    let found = world.is_first().then(find).transpose()?;
    let told = found.as_ref().map(|(recipe, folder)| (recipe.to_toml(), folder.to_path_buf()));
    let told = world.gather(told).map_err(c2f_engine::Error::from)?.swap_remove(0);
    match (found, told) {
        (None, Some((recipe, folder))) => {
            Ok((Recipe::from_toml("of rank 0", &recipe)?, RunFolder::of_another(&folder)))
        }
        (found, _) => found.context("rank 0 has no run"),
    }
}

/// Says what the training would be.
fn rehearse(args: &Args, device: &Device) -> Result<()> {
    let mut recipe = new_recipe(args)?;
    find_files(&mut recipe)?;
    let found = c2f_engine::rehearse(&recipe, device, &mut |event| {
        if let Event::Warning(message) = event {
            tracing::warn!("{message}");
        }
    })?;
    let (data, split) = (&found.data, found.data.validation_split);
    let mut text = format!("{} on {}\n", recipe.method, recipe.backbone);
    writeln!(text, "  {} training pictures and {} of {split}", data.train.len(), data.validation().len())?;
    writeln!(text, "  {} classes", data.dataset.classes.len())?;
    writeln!(text, "  {:.2} million parameters", found.parameters as f64 / 1e6)?;
    writeln!(text, "  {} epochs of {} batches; a loss of {:.3} at the start", found.epochs, found.batches, found.loss)?;
    let time = HumanDuration(Duration::from_secs_f64(found.seconds));
    writeln!(text, "  about {time} of training, besides measuring after each epoch")?;
    print(&text)
}

fn new_recipe(args: &Args) -> Result<Recipe> {
    let named = args.recipe.as_deref().unwrap_or(if args.data.is_some() { "default" } else { "quickstart" });
    with_settings(Recipe::load(named)?, args)
}

fn new_run(args: &Args) -> Result<(Recipe, RunFolder)> {
    let mut recipe = new_recipe(args)?;
    let output = match &args.output {
        Some(output) => RunFolder::create(output)?,
        None => RunFolder::create_next(Path::new("runs"), &run_name(args, &recipe))?,
    };
    find_files(&mut recipe)?;
    Ok((recipe, output))
}

/// Puts files in the place of the names of what lies elsewhere. The run's recipe names the files, whose path has the commit in it: a
/// resumed run has the same pictures.
fn find_files(recipe: &mut Recipe) -> Result<()> {
    find_weights(recipe)?;
    recipe.data = recipe.data.as_deref().map(on_disk).transpose()?;
    Ok(())
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
