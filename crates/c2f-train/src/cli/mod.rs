//! The commands. Each has its arguments and its `run`; results go to stdout, everything else to stderr.

mod answers;
mod bench;
mod checkpoint_file;
mod data;
mod data_spec;
mod embed;
mod eval;
mod export;
mod inputs;
mod measures;
mod predict;
mod recipe;
mod results;
mod serve;
mod shell;
mod signals;
mod together;
mod train;
mod views;
mod weights;
mod weights_file;

use std::path::PathBuf;

use anyhow::{Context, Result};
use c2f_engine::Error;
use candle_core::Device;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::{bars, terminal};

/// Train, evaluate and use fine-grained image classifiers that look twice.
///
/// Without a command it trains the recipe `quickstart` on pictures that it draws itself.
#[derive(Parser)]
#[command(name = "c2f-train", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network; writes a folder with checkpoints, metrics, a report and overlays
    Train(train::Args),
    /// Accuracy of a checkpoint on a data set, whose classes are matched by name
    Eval(eval::Args),
    /// The most probable classes of pictures
    Predict(predict::Args),
    /// A vector for each picture, for search and clustering
    Embed(embed::Args),
    /// A trained network's backbone, for other programs
    Export(export::Args),
    /// Answer over HTTP what pictures show, on a page and to programs
    Serve(serve::Args),
    /// Look at recipes
    #[command(subcommand)]
    Recipe(recipe::Command),
    /// Look at data sets
    #[command(subcommand)]
    Data(data::Command),
    /// Look at weight files
    #[command(subcommand)]
    Weights(weights::Command),
    /// Speed and memory of training or inference on random pictures
    Bench(bench::Args),
    /// A script that completes commands and options in a shell
    Completions(shell::Completions),
    /// The manual's pages
    Man(shell::Man),
}

/// Runs the command that the process was started with; gives the exit status.
pub fn run() -> Result<u8> {
    let cli = Cli::try_parse().unwrap_or_else(|error| exit_for(&error));
    c2f_data::hide_caught_panics();
    bars::log_to_stderr();
    prepare_processor()?;
    let done = match cli.command {
        None => return train::run(&train::Args::default()),
        Some(Command::Train(args)) => return train::run(&args),
        Some(Command::Predict(args)) => return predict::run(&args),
        Some(Command::Embed(args)) => return embed::run(&args),
        Some(Command::Serve(args)) => return serve::run(&args),
        Some(Command::Eval(args)) => eval::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        Some(Command::Recipe(command)) => recipe::run(&command),
        Some(Command::Weights(command)) => weights::run(&command),
        Some(Command::Data(command)) => data::run(&command),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Completions(args)) => shell::completions(&args),
        Some(Command::Man(args)) => shell::man(&args),
    };
    done.map(|()| 0)
}

/// The kernels would take other instructions than those asked for without a word, and panic where they get no threads.
fn prepare_processor() -> Result<()> {
    c2f_ops::check_instruction_set().map_err(|error| usage(error.to_string()))?;
    rayon::ThreadPoolBuilder::new()
        .build_global()
        .context("no threads to compute with (RAYON_NUM_THREADS sets how many)")
}

/// What was wrong with the command line in one line; help and version as they are.
fn exit_for(error: &clap::Error) -> ! {
    let is_help = error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if is_help || !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let wrong = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let wrong: Vec<_> = wrong.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    terminal::say(&format!("{}; see --help", wrong.join(" ")));
    std::process::exit(2)
}

/// 2 where the command line or the recipe has to change, otherwise 1.
pub fn exit_status(error: &anyhow::Error) -> u8 {
    let is_usage = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref().is_some_and(Error::is_usage)
            || matches!(cause.downcast_ref(), Some(c2f_files::Error::Refused { .. }))
            || matches!(cause.downcast_ref(), Some(c2f_report::Error::Files(c2f_files::Error::Refused { .. })))
            || cause.downcast_ref().is_some_and(c2f_serve::Error::is_usage)
            || matches!(cause.downcast_ref(), Some(c2f_hub::Error::UnknownDataset { .. }))
    };
    if error.chain().any(is_usage) { 2 } else { 1 }
}

/// The error and its causes without line breaks, without causes that it tells already, and without the backtrace that
/// candle's errors carry where `RUST_BACKTRACE` is set.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = without_backtrace(&cause.to_string());
        if line.is_empty() {
            line = text;
        } else if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
    }
    line
}

fn without_backtrace(text: &str) -> String {
    let is_frame = |line: &str| line.split_once(": ").is_some_and(|(n, _)| n.parse::<u32>().is_ok());
    let lines = text.lines().map(str::trim).take_while(|line| !is_frame(line)).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// Reads paths, with the home folder in place of a `~` at their beginning: in `--output=~/run` no shell puts it there.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|path| c2f_files::expand_home(&path))
}

/// An error of the command line.
fn usage(message: impl Into<String>) -> anyhow::Error {
    Error::Usage(message.into()).into()
}

/// Writes a result to stdout.
fn print(text: &str) -> Result<()> {
    terminal::print(text).context("stdout")
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(&serde_json::to_string(value)?)
}

/// `cpu`, `cuda` or `cuda:N`.
fn device(name: &str) -> Result<Device> {
    let number = match name.split_once(':') {
        None if name == "cpu" => return Ok(Device::Cpu),
        None if name == "cuda" => Some(0),
        Some(("cuda", number)) => number.parse().ok(),
        _ => None,
    };
    let number = number.ok_or_else(|| usage(format!("--device {name}: expected cpu, cuda or cuda:N")))?;
    if !candle_core::utils::cuda_is_available() {
        return Err(usage(format!("--device {name}: this program was built without CUDA (--features cuda)")));
    }
    // One stream for all threads: candle gives each its own otherwise, and orders nothing between them.
    Device::new_cuda_with_stream(number).with_context(|| format!("--device {name}"))
}

/// A share as per cent, for reading.
fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line_without_a_backtrace() {
        let error = anyhow::anyhow!("shape mismatch\n  in conv2d\n\n   0: candle_core::Error::bt\n   1: main");
        assert_eq!(one_line(&error.context("bench")), "bench: shape mismatch in conv2d");
        // The library's errors repeat their source.
        let error = c2f_engine::load_network(std::path::Path::new("/no/such"), &Device::Cpu).err().unwrap();
        assert_eq!(one_line(&error.into()).matches("No such file").count(), 1);
    }

    #[test]
    fn devices_by_name() {
        assert!(device("cpu").unwrap().is_cpu());
        for wrong in ["gpu", "cpu:1", "cuda:", "cuda:x", ""] {
            assert_eq!(exit_status(&device(wrong).unwrap_err()), 2, "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
