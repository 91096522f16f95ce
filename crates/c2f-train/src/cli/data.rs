//! `c2f-train data`: data sets as published, and what the loader would see of them.

mod shard;
mod sheet;
mod verify;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use c2f_hub::{Limits, Step};
use tracing::{info, warn};

use super::data_spec::data_spec;
use super::{path, print, print_json};
use crate::bars::FileBars;
use crate::terminal::word;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Classes, splits, labels and files of a data set, in the order in which the loader sees them
    Inspect {
        /// The data set, `kind:path` or `hub:ORG/NAME`
        spec: String,
        /// One JSON value with every label and file
        #[arg(long)]
        json: bool,
    },
    /// Decode every picture and say what is missing, unreadable, there twice, in several splits or odd
    Verify {
        /// The data set, `kind:path` or `hub:ORG/NAME`
        spec: String,
        /// One JSON value with every finding
        #[arg(long)]
        json: bool,
    },
    /// Draw samples of each class, before and after augmentation
    Sheet(sheet::Args),
    /// Write a data set as tar files with many pictures each; goes on where it was stopped, and says how to name it
    Shard(shard::Args),
    /// Fetch a data set from where it is published and unpack it; says how to name it
    Fetch {
        /// aircraft, cars, cub2010, cub2011, dogs, flowers102, food101, inat2017, inat2018, inat2019, inat2021,
        /// inat2021-mini or pets
        kind: String,
        /// The folder that gets a folder with the data set
        #[arg(long, value_name = "DIR", value_parser = path())]
        to: PathBuf,
    },
}

pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Inspect { spec, json } => inspect(spec, *json),
        Command::Verify { spec, json } => verify::run(spec, *json),
        Command::Sheet(args) => sheet::run(args),
        Command::Shard(args) => shard::run(args),
        Command::Fetch { kind, to } => fetch(kind, to),
    }
}

fn fetch(kind: &str, parent: &Path) -> Result<()> {
    let published = c2f_hub::published(kind)?;
    info!("{kind} has terms of use: see {}", published.page);
    let mut bars = FileBars::default();
    let fetched = c2f_hub::fetch_dataset(&published, parent, Limits::default(), &mut |step, done, total| match step {
        Step::Fetch(name) => bars.show(name, done, total),
        Step::Unpack(name) => bars.show(&format!("Unpacking {name}"), done, total),
    });
    drop(bars);
    let fetched = fetched?;
    let mut text = String::new();
    for (name, digest) in &fetched.unverified {
        writeln!(text, "{name} was taken as it came, since no checksum of it is published; it has the {digest}")?;
    }
    writeln!(text, "{}", c2f_hub::spec(kind, &fetched.folder))?;
    print(&text)
}

fn inspect(spec: &str, json: bool) -> Result<()> {
    let dataset = c2f_data::open(&data_spec(spec)?).map_err(c2f_engine::Error::from)?;
    let inspection = dataset.inspect();
    if !inspection.skipped.is_empty() {
        warn!("{}", inspection.skipped);
    }
    if json {
        return print_json(&inspection);
    }
    let mut text = format!("{}: {} classes\n", inspection.name, inspection.classes.len());
    for (name, split) in &inspection.splits {
        let mut counts = vec![0_usize; inspection.classes.len()];
        for &label in &split.labels {
            counts[label] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap_or(&0), counts.iter().max().unwrap_or(&0));
        writeln!(text, "  {name:<6} {:>6} pictures, {least} to {most} a class", split.n)?;
    }
    for (label, class) in inspection.classes.iter().enumerate() {
        writeln!(text, "  {label:>5}  {}", word(class))?;
    }
    print(&text)
}
