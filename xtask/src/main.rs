//! `cargo xtask ...`: chores of the project that no user's build should carry.

mod bench;
mod chores;
mod kernels;
mod process;
mod reproduce;
mod table;
mod tidy;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the c2f project")]
enum Arguments {
    #[command(flatten)]
    Chore(Chore),
}

#[derive(Subcommand)]
enum Chore {
    /// Measures c2f beside PyTorch on this machine and prints the tables.
    Bench(bench::Args),
    /// Everything that continuous integration checks: formatting, clippy, documentation, tests; warnings are errors.
    Ci,
    /// Makes every test fixture again, by the PyTorch script that stands beside it.
    Fixtures {
        /// A Python with torch, torchvision, numpy, pillow and safetensors.
        #[arg(long, default_value = "python3")]
        python: PathBuf,
    },
    /// Compiles the kernels for NVIDIA's cards by nvcc, where there is one, and looks for kernels that need too many registers.
    Kernels,
    /// Trains every method with every seed, and compares them.
    ReproduceTable(reproduce::Args),
    /// The project's own rules about its sources, which no compiler checks.
    Tidy,
}

fn main() -> anyhow::Result<()> {
    let Arguments::Chore(chore) = Arguments::parse();
    let root = chores::root()?;
    match chore {
        Chore::Bench(args) => bench::run(&root, &args),
        Chore::Ci => chores::ci(&root),
        Chore::Fixtures { python } => chores::fixtures(&root, &python),
        Chore::Kernels => kernels::check(&root),
        Chore::ReproduceTable(args) => reproduce::run(&root, &args),
        Chore::Tidy => tidy::check(&root),
    }
}
