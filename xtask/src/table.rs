//! Markdown tables, and the numbers in them.

use std::fmt;

/// A table whose first column holds names and whose other columns hold numbers.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the names of its columns.
    pub fn new(columns: &[&str]) -> Self {
        Self { rows: vec![columns.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row of as many cells as there are columns.
    pub fn push(&mut self, cells: impl Into<Vec<String>>) {
        let cells = cells.into();
        assert_eq!(cells.len(), self.rows[0].len(), "a cell for each column");
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max();
        // The line below the names needs three characters.
        (0..self.rows[0].len()).map(|column| width(column).unwrap_or(0).max(3)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let widths = self.widths();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate();
            let aligned = cells.map(|(column, (cell, &width))| match column {
                0 => format!(" {cell:<width$} |"),
                _ => format!(" {cell:>width$} |"),
            });
            writeln!(f, "|{}", aligned.collect::<String>())?;
            if index == 0 {
                let rule = |(column, &width): (usize, &usize)| match column {
                    0 => format!(" {} |", "-".repeat(width)),
                    _ => format!(" {}: |", "-".repeat(width - 1)),
                };
                writeln!(f, "|{}", widths.iter().enumerate().map(rule).collect::<String>())?;
            }
        }
        Ok(())
    }
}

/// The middle one of at least one value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// Three digits for small numbers, whole numbers for large ones.
pub fn digits(value: f64) -> String {
    match value.abs() {
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A number that may be unknown.
pub fn or_unknown(value: Option<f64>) -> String {
    value.map_or("unknown".to_owned(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(vec![7.0]), 7.0);
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["layer", "fwd"]);
        table.push(["3×3".to_owned(), "12.5".to_owned()]);
        table.push(["depthwise".to_owned(), "1".to_owned()]);
        let expected = "\
| layer     |  fwd |
| --------- | ---: |
| 3×3       | 12.5 |
| depthwise |    1 |
";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn names_shorter_than_the_rule() {
        let mut table = Table::new(&["a", "b"]);
        table.push(["1".to_owned(), "2".to_owned()]);
        assert_eq!(table.to_string(), "| a   |   b |\n| --- | --: |\n| 1   |   2 |\n");
    }

    #[test]
    #[should_panic(expected = "a cell for each column")]
    fn rows_have_the_columns_of_the_table() {
        Table::new(&["a", "b"]).push(["1".to_owned()]);
    }

    #[test]
    fn numbers_keep_about_three_digits() {
        assert_eq!([0.123, 9.5, 12.34, 123.4].map(digits), ["0.12", "9.50", "12.3", "123"]);
        assert_eq!(or_unknown(None), "unknown");
    }
}
