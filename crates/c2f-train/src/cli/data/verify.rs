//! `c2f-train data verify`.

use std::fmt::Write;

use anyhow::{Result, bail};
use c2f_data::Verification;
use c2f_engine::Error;
use tracing::warn;

use crate::bars;
use crate::cli::data_spec::data_spec;
use crate::cli::{print, print_json};
use crate::terminal::word;

pub fn run(spec: &str, json: bool) -> Result<()> {
    let dataset = c2f_data::open_with_missing(&data_spec(spec)?).map_err(Error::from)?;
    let bar = bars::bar("verify", dataset.splits.values().map(Vec::len).sum());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let verification = c2f_data::verify(&dataset, threads, &mut |done| bar.set_position(done as u64));
    bar.finish_and_clear();
    if !verification.skipped.is_empty() {
        warn!("{}", verification.skipped);
    }
    if json {
        print_json(&verification)?;
    } else {
        print(&list(&verification)?)?;
    }
    let errors: usize = verification.counts.iter().filter(|(problem, _)| problem.is_error()).map(|(_, n)| n).sum();
    if errors > 0 {
        bail!("{}: {errors} of {} pictures can't be read", verification.name, verification.pictures);
    }
    Ok(())
}

/// A line for each finding, and one with their numbers.
fn list(verification: &Verification) -> Result<String> {
    let mut text = String::new();
    for finding in &verification.findings {
        writeln!(text, "{:<12}  {}", finding.problem.name(), word(&finding.message))?;
    }
    let counts = verification.counts.iter().map(|(problem, count)| format!("{count} {}", problem.name()));
    let counts: Vec<String> = counts.collect();
    writeln!(text, "{}: {} pictures; {}", verification.name, verification.pictures, counts.join(", "))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use c2f_data::Problem;

    #[test]
    fn the_last_line_counts_every_problem() {
        let dataset = c2f_data::open(&"synthetic?classes=2&size=10".parse().unwrap()).unwrap();
        let list = list(&c2f_data::verify(&dataset, 2, &mut |_| {})).unwrap();
        let last = list.lines().last().unwrap();
        assert!(last.contains("12 pictures; 0 missing, 0 unreadable, 0 leak"), "{last}");
        assert!(Problem::ALL.iter().all(|problem| last.contains(problem.name())), "{last}");
    }
}
