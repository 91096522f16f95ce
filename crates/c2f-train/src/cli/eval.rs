//! `c2f-train eval`.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Result;
use c2f_engine::measures::{Measures, measure};
use c2f_engine::{Evaluation, Selection, World, select};
use serde::Serialize;

use super::data_spec::data_spec;
use super::together::{self, in_world};
use super::views::ViewOptions;
use super::{checkpoint_file, device, measures, path, percent, print, print_json, usage};
use crate::bars;

#[derive(clap::Args)]
pub struct Args {
    /// A checkpoint, the folder of a run (then its best), or `hub:ORG/NAME`, such a folder on the Hugging Face hub
    #[arg(long, value_name = "PATH", value_parser = path())]
    checkpoint: PathBuf,
    /// The data set, `kind:path`; its classes are matched by name
    #[arg(long, value_name = "SPEC")]
    data: String,
    /// Which of its splits, or `all` [default: test; all of a data set without splits, if it isn't the one trained on]
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    #[command(flatten)]
    views: ViewOptions,
    /// Also calibration, each class, the most confused pairs, each picture, and whether the network looks at the object
    #[arg(long)]
    full: bool,
    /// One JSON value
    #[arg(long)]
    json: bool,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    device: String,
    #[command(flatten)]
    together: together::Options,
}

/// Accuracies are shares in 0..1; what a method doesn't have is null.
#[derive(Serialize)]
struct Accuracy {
    n: usize,
    classes: usize,
    top1: f64,
    top5: f64,
    top1_coarse: Option<f64>,
    top1_fine: Option<f64>,
    #[serde(flatten)]
    full: Option<Full>,
}

/// What `--full` adds.
#[derive(Serialize)]
struct Full {
    /// What was measured.
    split: String,
    /// How many of its pictures trained the network.
    trained_on: usize,
    #[serde(flatten)]
    measures: Measures,
}

pub fn run(args: &Args) -> Result<()> {
    in_world(|world| {
        world.set_timeout(args.together.timeout());
        run_in(world, args)
    })
}

fn run_in(world: &World, args: &Args) -> Result<()> {
    if args.full && world.size() > 1 {
        return Err(usage("--full needs all that one process sees: start it once, without mpirun or srun"));
    }
    let device = device(&args.device)?;
    let spec = data_spec(&args.data)?;
    let network = checkpoint_file::network(&args.checkpoint, &device)?;
    let Selection { samples, parts, split, trained_on } = select(&network, &spec, args.split.as_deref())?;
    if trained_on > 0 && world.is_first() {
        tracing::warn!(
            "{trained_on} of the {} pictures of {split} trained this network: its accuracy on new ones will be lower",
            samples.len()
        );
    }
    let views = args.views.views();
    let bar = world.is_first().then(|| bars::bar(&split, samples.len()));
    let mut show = |done: usize, _: usize| {
        if let Some(bar) = &bar {
            bar.set_position(done as u64);
        }
    };
    let (evaluation, full) = if args.full {
        let (evaluation, measures) = measure(&network, &samples, &parts, views, &mut show)?;
        (evaluation, Some(Full { split: split.clone(), trained_on, measures }))
    } else {
        (c2f_engine::evaluate_in(world, &network, &samples, views, &mut show)?, None)
    };
    let Some(bar) = bar else { return Ok(()) };
    bar.finish_and_clear();
    for message in &evaluation.unreadable {
        tracing::warn!("Skipped {message}");
    }
    if args.json {
        return print_json(&Accuracy::new(&evaluation, full));
    }
    let mut text = table(&evaluation, &split)?;
    if let Some(full) = &full {
        measures::write(&mut text, &full.measures)?;
    }
    print(&text)
}

impl Accuracy {
    fn new(e: &Evaluation, full: Option<Full>) -> Self {
        Self {
            n: e.n,
            classes: e.classes,
            top1: e.top1,
            top5: e.top5,
            top1_coarse: e.top1_coarse,
            top1_fine: e.top1_fine,
            full,
        }
    }
}

fn table(evaluation: &Evaluation, split: &str) -> Result<String> {
    let mut text = format!("{} pictures of {split}, {} classes\n", evaluation.n, evaluation.classes);
    let mut line = |label, share: Option<f64>| match share {
        Some(share) => writeln!(text, "  {label:<20} {:>8}", percent(share)),
        None => Ok(()),
    };
    line("top-1", Some(evaluation.top1))?;
    line("top-1, coarse look", evaluation.top1_coarse)?;
    line("top-1, fine look", evaluation.top1_fine)?;
    line("top-5", Some(evaluation.top5))?;
    Ok(text)
}
