//! The table as Markdown.

use std::fmt::Write;

use super::compare::Difference;
use super::summary::{MEASURES, REFERENCES, RowSummary, Spread, Summary};
use crate::table::{Table, digits};

/// The page of one data set. `figure` is the file of its picture.
pub fn page(summary: &Summary, figure: &str) -> String {
    let mut text = format!("# {}\n\n", summary.data);
    let seeds = summary.rows.iter().map(|row| row.seeds.len()).max().unwrap_or(0);
    let _ = write!(
        text,
        "{} test pictures, up to {seeds} seeds a row. Top-1 accuracy in per cent after the last epoch: mean and, behind ±, standard deviation over\n\
         seeds. Differences are in points, paired by picture and by seed, with their 95 % interval; a positive one says that the row is better.\n\n",
        summary.pictures
    );
    let _ = write!(text, "{}\n![top-1 of each row]({figure})\n\n", accuracies(&summary.rows));
    let _ = write!(text, "## Against each other\n\n{}\n", comparisons(&summary.rows));
    if let Some(smallest) = smallest_effect(&summary.rows) {
        let _ = write!(
            text,
            "The smallest true difference from `attention` that these runs find four times out of five is {} to {} points, depending on the row.\n\n",
            points(smallest.0),
            points(smallest.1)
        );
    }
    text.push_str("## Cost\n\n");
    if let Some(made) = &summary.costs_made {
        let _ = write!(
            text,
            "Speeds were measured in turn, on noise, {made}. The training time is that of all epochs at that speed, over `attention`'s.\n\n"
        );
    }
    let _ = writeln!(text, "{}", costs(&summary.rows));
    let _ = write!(text, "## What the looks see, and how sure they are\n\n{}\n", measures(&summary.rows));
    if summary.rows.iter().any(|row| row.attention_similarity.is_some()) {
        let _ = write!(
            text,
            "## How alike the attention maps are, over training\n\nMean pairwise cosine of the maps of a test picture's coarse look, when so much of the epochs was done.\n\n{}\n",
            cosines(&summary.rows)
        );
    }
    text.push_str("## Runs\n\n");
    for (made, runs) in &summary.made {
        let _ = writeln!(text, "- {runs} {made}");
    }
    for row in &summary.rows {
        if let Some(other) = &row.same_as {
            let _ = writeln!(
                text,
                "- `{}` trains the same network in the same way as `{other}`, and has its runs",
                row.row
            );
        }
    }
    text
}

fn accuracies(rows: &[RowSummary]) -> Table {
    let columns = ["row", "seeds", "top-1", "coarse look", "fine look", "top-5"];
    let mut table = Table::new(&columns);
    for row in rows {
        let spread = |spread: Option<Spread>| spread.map_or("-".to_owned(), percent);
        table.push([
            format!("`{}`", row.row),
            row.seeds.len().to_string(),
            percent(row.top1),
            spread(row.top1_coarse),
            spread(row.top1_fine),
            percent(row.top5),
        ]);
    }
    table
}

fn comparisons(rows: &[RowSummary]) -> Table {
    let mut columns = vec!["row".to_owned()];
    for reference in REFERENCES {
        columns.push(format!("- `{reference}`"));
        columns.push("fewer errors".to_owned());
    }
    let mut table = Table::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    for row in rows {
        let mut cells: [String; 7] = std::array::from_fn(|_| "-".to_owned());
        cells[0] = format!("`{}`", row.row);
        for (index, reference) in REFERENCES.iter().enumerate() {
            if let Some(comparison) = row.against.get(*reference) {
                cells[1 + 2 * index] = interval(&comparison.paired);
                cells[2 + 2 * index] = format!("{:+.1} %", 100.0 * comparison.error_reduction);
            }
        }
        table.push(cells);
    }
    table
}

fn costs(rows: &[RowSummary]) -> Table {
    let columns = ["row", "parameters (M)", "training images/s", "prediction images/s", "training MB", "training time"];
    let mut table = Table::new(&columns);
    for row in rows {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), digits);
        table.push([
            format!("`{}`", row.row),
            number(row.parameters.map(|count| count / 1e6)),
            number(row.cost.map(|cost| cost.train_images_per_s)),
            number(row.cost.map(|cost| cost.infer_images_per_s)),
            number(row.cost.and_then(|cost| cost.train_peak_mb)),
            row.training_time.map_or("-".to_owned(), |time| format!("{time:.2}")),
        ]);
    }
    table
}

fn cosines(rows: &[RowSummary]) -> Table {
    let mut table = Table::new(&["row", "first epoch", "1/4", "1/2", "3/4", "all"]);
    for row in rows {
        if let Some(values) = row.attention_similarity {
            let [first, quarter, half, most, all] = values.map(|value| format!("{value:.2}"));
            table.push([format!("`{}`", row.row), first, quarter, half, most, all]);
        }
    }
    table
}

/// A column for each row and a line for each measure: there are more measures than rows.
fn measures(rows: &[RowSummary]) -> String {
    let mut text = String::from("| measure |");
    for row in rows {
        let _ = write!(text, " `{}` |", row.row);
    }
    text.push_str("\n| --- |");
    text.push_str(&" ---: |".repeat(rows.len()));
    text.push('\n');
    for (name, _) in MEASURES {
        if rows.iter().all(|row| !row.measures.contains_key(name)) {
            continue;
        }
        let _ = write!(text, "| {name} |");
        for row in rows {
            let cell = row.measures.get(name).map_or("-".to_owned(), |value| format!("{value:.3}"));
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

/// Least and most of what can be told from `attention`.
fn smallest_effect(rows: &[RowSummary]) -> Option<(f64, f64)> {
    let all = rows.iter().filter_map(|row| row.against.get("attention")).map(|c| c.detectable);
    all.fold(None, |range, value| Some(range.map_or((value, value), |(a, b): (f64, f64)| (a.min(value), b.max(value)))))
}

/// A share as per cent, with its standard deviation.
pub fn percent(spread: Spread) -> String {
    let mean = format!("{:.1}", 100.0 * spread.mean);
    spread.sd.map_or(mean.clone(), |sd| format!("{mean} ± {:.1}", 100.0 * sd))
}

fn points(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

/// A difference of shares in points, with its interval.
pub fn interval(difference: &Difference) -> String {
    let (difference, margin) = (100.0 * difference.mean, 100.0 * difference.margin());
    format!("{difference:+.1} ({:+.1} to {:+.1})", difference - margin, difference + margin)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::cost::Costs;
    use super::super::summary::tests::{made, record};
    use super::*;

    #[test]
    fn a_page_has_every_row_with_its_differences() {
        let records = [record("attention", 1, None, "1100"), record("coarse2fine", 1, None, "1110")];
        let page = page(&Summary::new("synthetic", &records, None), "figure.svg");
        assert!(page.starts_with("# synthetic\n") && page.contains("4 test pictures"), "{page}");
        assert!(page.contains("+25.0 (") && page.contains("+50.0 %"), "{page}");
        assert!(page.contains("| attention in box | 0.500 | 0.500 |"), "{page}");
        assert!(!page.contains("parts"), "what nobody measured has no line: {page}");
        assert!(!page.contains("over training"), "a run without maps: {page}");
        assert!(page.ends_with("- 2 on d, commit c, m (2 threads)\n"), "{page}");
        assert!(!page.contains("measured in turn"), "{page}");
    }

    #[test]
    fn a_page_says_where_its_speeds_are_from() {
        let costs = Costs { made: made(), rows: BTreeMap::new() };
        let records = [record("attention", 1, None, "1100")];
        let page = page(&Summary::new("synthetic", &records, Some(&costs)), "figure.svg");
        assert!(page.contains("in turn, on noise, on d, commit c, m (2 threads)."), "{page}");
    }
}
