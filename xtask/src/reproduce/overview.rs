//! The data sets of a folder beside each other, and what the rows gain on their mean.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::compare;
use super::files::{read_json, write_whole};
use super::page::{interval, percent};
use super::rows::Row;
use super::spec::{file_name, without_path};
use super::summary::{REFERENCES, RowSummary, Summary};
use crate::table::Table;

/// Writes `table.md` of a folder in which at least two data sets have a table.
///
/// # Errors
/// If a set's `table.json` can't be read, or the page can't be written.
pub fn write(folder: &Path) -> Result<()> {
    let sets = read(folder)?;
    if sets.len() < 2 {
        return Ok(());
    }
    write_whole(&folder.join("table.md"), &page(&sets))
}

fn read(folder: &Path) -> Result<Vec<Summary>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries.map(|entry| Ok(entry?.path().join("table.json"))).collect::<Result<Vec<_>>>()?;
    files.sort();
    files.iter().filter_map(|file| read_json(file).transpose()).collect()
}

fn page(sets: &[Summary]) -> String {
    let mut text = "# All sets\n\nTop-1 accuracy in per cent after the last epoch: mean and, behind ±, standard deviation over seeds.\n\n".to_owned();
    let names: Vec<String> =
        sets.iter().map(|set| format!("[{}]({}/table.md)", set.data, file_name(&set.data))).collect();
    let accuracy = |row: &RowSummary| Some(percent(row.top1));
    let _ = writeln!(text, "{}", table(sets, &names, |row| cells(sets, row, accuracy)));

    let apart = apart(sets);
    let which: Vec<&str> = apart.iter().map(|set| set.data.as_str()).collect();
    for reference in REFERENCES {
        let _ = write!(
            text,
            "## Less `{reference}`\n\nDifferences in points, paired by picture and by seed, with their 95 % interval. The last column is their mean over {}\n\
             (sets of one kind share pictures, so that the largest stands for them), each set with the same weight.\n\n",
            which.join(", ")
        );
        let against = |row: &RowSummary| row.against.get(reference).map(|comparison| comparison.paired);
        let columns = [names.as_slice(), &["mean".to_owned()]].concat();
        let with_mean = |row: &str| {
            let mut cells = cells(sets, row, |row| Some(interval(&against(row)?)));
            let all = apart.iter().map(|set| against(find(set, row)?)).collect::<Option<Vec<_>>>();
            cells.push(all.map_or("-".to_owned(), |all| interval(&compare::over_sets(&all))));
            cells
        };
        let _ = writeln!(text, "{}", table(sets, &columns, with_mean));
    }

    text.push_str("## Training time\n\nOver `attention`'s, at the speeds that each set's page has.\n\n");
    let time = |row: &RowSummary| row.training_time.map(|time| format!("{time:.2}"));
    let _ = write!(text, "{}", table(sets, &names, |row| cells(sets, row, time)));
    text
}

/// A line for each row that any set has.
fn table(sets: &[Summary], columns: &[String], cells: impl Fn(&str) -> Vec<String>) -> Table {
    let names = std::iter::once("row").chain(columns.iter().map(String::as_str));
    let mut table = Table::new(&names.collect::<Vec<_>>());
    for row in Row::all().filter(|row| sets.iter().any(|set| find(set, row.name).is_some())) {
        table.push([vec![format!("`{}`", row.name)], cells(row.name)].concat());
    }
    table
}

fn cells(sets: &[Summary], row: &str, cell: impl Fn(&RowSummary) -> Option<String>) -> Vec<String> {
    sets.iter().map(|set| find(set, row).and_then(&cell).unwrap_or("-".to_owned())).collect()
}

fn find<'a>(set: &'a Summary, row: &str) -> Option<&'a RowSummary> {
    set.rows.iter().find(|summary| summary.row == row)
}

/// The largest set of each kind; of equally large ones the first.
fn apart(sets: &[Summary]) -> Vec<&Summary> {
    let mut largest: BTreeMap<&str, &Summary> = BTreeMap::new();
    for set in sets {
        let (kind, _) = without_path(&set.data);
        if largest.get(kind).is_none_or(|other| set.pictures > other.pictures) {
            largest.insert(kind, set);
        }
    }
    largest.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::record;
    use super::*;

    fn set(data: &str, ours: &str) -> Summary {
        let baseline = "1100".repeat(ours.len() / 4);
        let records = [record("attention", 1, None, &baseline), record("coarse2fine", 1, None, ours)];
        Summary::new(data, &records, None)
    }

    #[test]
    fn a_row_is_compared_on_the_mean_of_sets_that_share_no_picture() {
        let sets = [set("cars", "1110"), set("cub2010?classes=2", "0000"), set("cub2010?classes=9", "11101110")];
        let page = page(&sets);
        assert!(page.contains("their mean over cars, cub2010?classes=9\n"), "{page}");
        let line = page.lines().filter(|line| line.starts_with("| `coarse2fine`")).nth(1).unwrap();
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert!(cells[3].starts_with("-50.0 (") && cells[5].starts_with("+25.0 ("), "{line}");
        assert!(page.contains("[cub2010?classes=2](cub2010-classes-2/table.md)"), "{page}");
        assert!(!page.contains("`ws-dan` |"), "a row without runs has no line: {page}");
    }

    #[test]
    fn of_equally_large_sets_of_a_kind_one_counts() {
        let sets = [set("cars?classes=4", "1110"), set("cars?classes=4&seed=2", "0000"), set("synthetic", "1110")];
        let names: Vec<&str> = apart(&sets).iter().map(|set| set.data.as_str()).collect();
        assert_eq!(names, ["cars?classes=4", "synthetic"]);
    }

    #[test]
    fn sets_are_read_from_their_folders() {
        let folder = tempfile::tempdir().unwrap();
        let add = |set: &Summary| {
            let own = folder.path().join(file_name(&set.data));
            fs::create_dir(&own).unwrap();
            fs::write(own.join("table.json"), serde_json::to_string(set).unwrap()).unwrap();
        };
        add(&set("synthetic", "1110"));
        write(folder.path()).unwrap();
        assert!(!folder.path().join("table.md").exists(), "one set has nothing beside it");
        add(&set("cars", "1110"));
        write(folder.path()).unwrap();
        let page = fs::read_to_string(folder.path().join("table.md")).unwrap();
        assert!(page.contains("[cars](cars/table.md)") && page.contains("[synthetic](synthetic/table.md)"), "{page}");
    }
}
