//! `c2f-train completions` and `c2f-train man`: the command line, as shells and `man` want it described.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, path, print};

#[derive(clap::Args)]
pub struct Completions {
    /// The shell; its own documentation says where the script goes, such as ~/.local/share/bash-completion/completions/c2f-train
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script that completes commands and options.
pub fn completions(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    print(&String::from_utf8(script)?)
}

#[derive(clap::Args)]
pub struct Man {
    /// The folder that gets a page for each command, such as ~/.local/share/man/man1
    #[arg(long, value_name = "DIR", value_parser = path())]
    to: PathBuf,
}

const NAME: &str = "c2f-train";

/// Writes the manual's pages, and prints the first one's name.
pub fn man(args: &Man) -> Result<()> {
    let folder = args.to.display();
    std::fs::create_dir_all(&args.to).with_context(|| folder.to_string())?;
    clap_mangen::generate_to(Cli::command(), &args.to).with_context(|| folder.to_string())?;
    print(&format!("{}\n", args.to.join(format!("{NAME}.1")).display()))
}
