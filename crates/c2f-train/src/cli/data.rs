//! `c2f-train data`: what the loader would see.

use std::fmt::Write;

use anyhow::Result;
use c2f_data::Spec;

use super::{print, print_json};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Classes, splits, labels and files of a data set, in the order in which the loader sees them
    Inspect {
        /// The data set, `kind:path`
        spec: String,
        /// One JSON value with every label and file
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: &Command) -> Result<()> {
    let Command::Inspect { spec, json } = command;
    let dataset =
        c2f_data::open(&spec.parse::<Spec>().map_err(c2f_train::Error::from)?).map_err(c2f_train::Error::from)?;
    let inspection = dataset.inspect();
    if *json {
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
        writeln!(text, "  {label:>5}  {class}")?;
    }
    print(&text)
}
