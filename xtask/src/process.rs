//! Running programs.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;

/// Lines of a failed program's stderr that an error repeats: the end of a Python traceback.
pub const ERROR_LINES: usize = 6;

/// Runs a program and fails if it does.
pub fn run(mut command: Command) -> Result<()> {
    eprintln!("> {command:?}");
    let status = command.status().with_context(|| format!("{command:?} could not be started"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

/// Runs a program that prints one JSON value.
pub fn json<T: DeserializeOwned>(command: Command) -> Result<T> {
    let name = format!("{command:?}");
    let text = output(command)?;
    serde_json::from_str(&text).with_context(|| format!("{name} printed something else than expected: {text}"))
}

/// Reads one JSON value per line; `name` is the program that printed them.
pub fn json_lines<T: DeserializeOwned>(name: &str, text: &str) -> Result<Vec<T>> {
    let value = |line: &str| {
        serde_json::from_str(line).with_context(|| format!("{name} printed something else than expected: {line}"))
    };
    text.lines().map(value).collect()
}

/// Runs a program and gives what it printed to stdout.
pub fn output(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?} could not be started"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {}\n{}", output.status, last_lines(&said, ERROR_LINES));
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} printed something else than UTF-8"))
}

/// The last lines of a text, at most so many.
pub fn last_lines(text: &str, most: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(most)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_an_error_is_kept() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }

    #[test]
    fn errors_name_the_program() {
        let missing = output(Command::new("/no/such/python")).unwrap_err().to_string();
        assert!(missing.contains("/no/such/python"), "{missing}");
        let wrong = json_lines::<u32>("program", "{}").unwrap_err().to_string();
        assert!(wrong.contains("program"), "{wrong}");
    }

    #[test]
    #[cfg(unix)]
    fn a_failed_program_says_why() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken >&2; exit 3"]);
        let error = output(command).unwrap_err().to_string();
        assert!(error.contains("sh") && error.contains('3') && error.contains("broken"), "{error}");
    }
}
