//! `cargo xtask bench`: c2f beside PyTorch, on the same machine and in the same run.

mod about;
mod index;
mod layers;
mod loader;
mod programs;
mod scaling;
mod steps;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::ValueEnum;

use crate::process;
use programs::Programs;

#[derive(clap::Args)]
pub struct Args {
    /// A Python with torch, torchvision and timm
    #[arg(long, value_name = "PYTHON")]
    torch: PathBuf,
    /// Threads that either side may use
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// How often both sides run each workload, in turn
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Steps that a run measures, after two of warm-up
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// The only table to make [default: all]
    #[arg(long, value_enum)]
    only: Option<Part>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    /// Whole steps of training and prediction, beside PyTorch
    Step,
    /// Single convolutions, beside stock candle and PyTorch
    Layers,
    /// c2f alone, over batch sizes and picture sizes
    Scaling,
    /// Reading the photographs in the folder that C2F_TEST_DATA names, beside torchvision
    Loader,
    /// Finding out which pictures a data set of half a million has; c2f alone
    Index,
}

/// Prints the tables to stdout, each as soon as it is complete; progress goes to stderr.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    let programs = Programs::new(root, &args.torch, args.threads);
    // Before the build, as a wrong Python is found out at once.
    let torch = about::torch(&programs)?;
    build(root)?;
    println!("{}", about::line(&torch, about::c2f(&programs)?.instruction_set(), args.threads));
    let wanted = |part: Part| args.only.is_none_or(|only| only == part);
    if wanted(Part::Step) {
        print!("\n{}", steps::table(&programs, args.rounds, args.steps)?);
    }
    if wanted(Part::Layers) {
        println!("\n{}", layers::header(torch.matrix_product_gflops));
        print!("\n{}", layers::table(&programs)?);
    }
    if wanted(Part::Scaling) {
        for table in scaling::tables(&programs)? {
            print!("\n{table}");
        }
    }
    if wanted(Part::Loader) {
        match std::env::var_os("C2F_TEST_DATA") {
            Some(data) => print!("\n{}", loader::table(&programs, Path::new(&data), args.rounds)?),
            None => eprintln!("loader: skipped, as C2F_TEST_DATA is not set"),
        }
    }
    if wanted(Part::Index) {
        print!("\n{}", index::table(&programs, args.rounds)?);
    }
    Ok(())
}

/// Everything that is measured, once: no run waits for a build.
fn build(root: &Path) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--workspace", "--bins", "--examples"]).current_dir(root);
    process::run(command)
}
