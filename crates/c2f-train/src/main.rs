#![doc = include_str!("../README.md")]
// These panic where nobody listens any more: `terminal` has what doesn't.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bars;
mod board;
mod cli;
mod step_log;
mod terminal;

use std::process::ExitCode;

fn main() -> ExitCode {
    c2f_ops::keep_freed_memory();
    c2f_ops::keep_candle_on_the_callers_thread();
    match cli::run() {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            terminal::say(&format!("error: {}", cli::one_line(&error)));
            ExitCode::from(cli::exit_status(&error))
        }
    }
}
