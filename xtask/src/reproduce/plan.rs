//! `--plan`: the runs that are missing, and what they cost.

use anyhow::Result;

use super::Set;
use super::compare::mean;
use super::rows::Row;
use super::train::Run;

/// Prints each missing run of the rows with the seconds that it is likely to train, and their sum.
///
/// # Errors
/// If a record can't be read, or was made with other settings.
pub fn print(sets: &[Set], rows: &[Row]) -> Result<()> {
    let (mut sum, mut unknown) = (0.0, 0);
    for set in sets {
        let mut trained = Vec::new();
        for run in set.asked() {
            if let Some(seconds) = run.done()?.and_then(|record| record.train_seconds()) {
                trained.push((run, seconds));
            }
        }
        for run in set.missing(rows)? {
            let seconds = estimate(run, &trained);
            sum += seconds.unwrap_or(0.0);
            unknown += usize::from(seconds.is_none());
            let cost = seconds.map_or("not known yet".to_owned(), minutes);
            let fold = run.fold.as_ref().map_or(String::new(), |fold| format!(", fold {fold}"));
            println!("{}: {}, seed {}{fold}: {cost}", set.title, run.row, run.seed);
        }
    }
    let more = if unknown > 0 { format!(", and {unknown} runs of rows that have none yet") } else { String::new() };
    println!("in all {}{more}, besides the evaluations", minutes(sum));
    Ok(())
}

/// The mean of the runs of the same row and settings.
fn estimate(run: &Run, trained: &[(&Run, f64)]) -> Option<f64> {
    let same: Vec<f64> = trained
        .iter()
        .filter(|(other, _)| (&other.row, &other.asked) == (&run.row, &run.asked))
        .map(|&(_, seconds)| seconds)
        .collect();
    (!same.is_empty()).then(|| mean(same.into_iter()))
}

fn minutes(seconds: f64) -> String {
    format!("{:.0} min", (seconds / 60.0).ceil())
}
