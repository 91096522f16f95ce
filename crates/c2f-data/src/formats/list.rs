//! A CSV or TSV file with one picture a line: `file,label[,split]`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::files::read_text;
use super::split::stratified;
use crate::{Dataset, Error, Kind, Result, Sample, Source};

/// One line of a list.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    line: u64,
    file: String,
    class: String,
    split: Option<String>,
}

/// Reads a list. Files are relative to the list's folder; the label is the class's name. Classes are sorted by name,
/// or by value if all are whole numbers. Without a column for the split, each class is split by `seed`.
pub(crate) fn open(list: &Path, seed: u64) -> Result<Dataset> {
    let text = read_text(list, "a list with `file,label` or `file,label,split` in each line")?;
    let rows = parse(list, &text)?;
    let folder = list.parent().unwrap_or(Path::new(""));
    let classes = sorted_classes(&rows);
    let labels: HashMap<&str, usize> = classes.iter().enumerate().map(|(i, c)| (c.as_str(), i)).collect();
    let mut samples = Vec::with_capacity(rows.len());
    for row in &rows {
        let path = folder.join(&row.file);
        if !path.is_file() {
            let message = format!("{}: no such file, expected the picture that the list names", path.display());
            return Err(Error::line(list, row.line, message));
        }
        let label = labels[row.class.as_str()];
        samples.push(Sample { file: row.file.clone(), label, source: Source::File(path) });
    }
    let splits = if rows.iter().all(|r| r.split.is_none()) {
        stratified(list, &classes, samples, seed)?
    } else {
        let mut splits: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
        for (row, sample) in rows.iter().zip(samples) {
            splits.entry(row.split.clone().unwrap_or_default()).or_default().push(sample);
        }
        splits
    };
    Ok(Dataset { name: super::name(Kind::List, list), classes, splits })
}

/// Which column holds what.
#[derive(Clone, Copy)]
struct Columns {
    file: usize,
    label: usize,
    split: Option<usize>,
    /// How many fields a line may have.
    count: usize,
}

impl Columns {
    /// `file,label` or `file,label,split`, as the first line has it.
    fn without_header(fields: usize) -> Self {
        Self { file: 0, label: 1, split: (fields > 2).then_some(2), count: fields.clamp(2, 3) }
    }
}

fn parse(list: &Path, text: &str) -> Result<Vec<Row>> {
    let mut columns: Option<Columns> = None;
    let mut rows = Vec::new();
    let mut lines: HashMap<String, u64> = HashMap::new();
    for (index, text) in text.lines().enumerate() {
        let line = index as u64 + 1;
        let error = |message: String| Error::line(list, line, message);
        if text.trim().is_empty() {
            continue;
        }
        let fields = fields(text).ok_or_else(|| error("a quote is not closed".to_owned()))?;
        if columns.is_none() {
            columns = header(&fields);
            if columns.is_some() {
                continue;
            }
        }
        let columns = *columns.get_or_insert_with(|| Columns::without_header(fields.len()));
        let expected = if columns.split.is_some() { "`file,label,split`" } else { "`file,label`" };
        if fields.len() > columns.count {
            return Err(error(format!("has {} fields, expected {}: {expected}", fields.len(), columns.count)));
        }
        let field = |column: usize, name: &str| match fields.get(column) {
            Some(field) if !field.is_empty() => Ok(field.clone()),
            Some(_) => Err(error(format!("the {name} is empty, expected {expected}"))),
            None => Err(error(format!("the {name} is missing, expected {expected}"))),
        };
        let file = field(columns.file, "file")?;
        let class = field(columns.label, "label")?;
        let split = match columns.split {
            None => None,
            Some(column) => Some(split_name(&field(column, "split")?).map_err(error)?),
        };
        if let Some(earlier) = lines.insert(file.clone(), line) {
            return Err(error(format!("`{file}` is already in line {earlier}, expected each picture once")));
        }
        rows.push(Row { line, file, class, split });
    }
    if rows.is_empty() {
        return Err(Error::layout(list, "names no picture, expected `file,label` or `file,label,split` in each line"));
    }
    Ok(rows)
}

/// The fields of one line, separated by tabs if there are any and by commas if not; quotes as in CSV. `None` if a
/// quote is not closed.
fn fields(line: &str) -> Option<Vec<String>> {
    let separator = if line.contains('\t') { '\t' } else { ',' };
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut()?;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => quoted = true,
            c if c == separator && !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    (!quoted).then(|| fields.iter().map(|f| f.trim().to_owned()).collect())
}

/// The columns that a header names, if the line is one.
fn header(fields: &[String]) -> Option<Columns> {
    let column = |names: &[&str]| fields.iter().position(|f| names.contains(&f.to_ascii_lowercase().as_str()));
    Some(Columns {
        file: column(&["file", "filename", "path", "image"])?,
        label: column(&["label", "class"])?,
        split: column(&["split", "set"]),
        count: fields.len(),
    })
}

fn split_name(text: &str) -> std::result::Result<String, String> {
    match text.to_ascii_lowercase().as_str() {
        "valid" | "validation" => Ok("val".to_owned()),
        name @ ("train" | "val" | "test") => Ok(name.to_owned()),
        _ => Err(format!("unknown split `{text}`, expected `train`, `val` or `test`")),
    }
}

fn sorted_classes(rows: &[Row]) -> Vec<String> {
    let mut classes: Vec<String> = rows.iter().map(|r| r.class.clone()).collect();
    classes.sort();
    classes.dedup();
    if classes.iter().all(|c| c.parse::<u64>().is_ok()) {
        classes.sort_by_key(|c| c.parse::<u64>().ok());
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<(String, String, Option<String>)> {
        let rows = parse(Path::new("list.csv"), text).unwrap();
        rows.into_iter().map(|r| (r.file, r.class, r.split)).collect()
    }

    fn error(text: &str) -> String {
        parse(Path::new("list.csv"), text).unwrap_err().to_string()
    }

    fn row(file: &str, class: &str, split: Option<&str>) -> (String, String, Option<String>) {
        (file.to_owned(), class.to_owned(), split.map(str::to_owned))
    }

    #[test]
    fn reads_commas_tabs_quotes_and_headers() {
        let plain = vec![row("a.jpg", "Crow", None), row("b c.jpg", "Jay, Blue", None)];
        assert_eq!(rows("a.jpg,Crow\nb c.jpg,\"Jay, Blue\"\n"), plain);
        assert_eq!(rows("a.jpg\tCrow\r\n\r\nb c.jpg\tJay, Blue\r\n"), plain);
        assert_eq!(rows("File,Label\na.jpg,Crow\nb c.jpg,\"Jay, Blue\""), plain);
        let split = vec![row("a.jpg", "The \"crow\"", Some("train")), row("b.jpg", "Jay", Some("val"))];
        assert_eq!(rows("a.jpg,\"The \"\"crow\"\"\",train\nb.jpg, Jay ,Validation\n"), split);
        assert_eq!(rows("split,note,class,image\ntrain,,\"The \"\"crow\"\"\",a.jpg\nVALID,x,Jay,b.jpg"), split);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        for (text, line, what) in [
            ("a.jpg,Crow\n\na.jpg,Crow\n", 3, "already in line 1"),
            ("a.jpg,Crow\nb.jpg,\n", 2, "the label is empty"),
            ("file,label\n,Crow\n", 2, "the file is empty"),
            ("a.jpg\n", 1, "the label is missing"),
            ("a.jpg,Crow,train\nb.jpg,Crow\n", 2, "the split is missing"),
            ("a.jpg,Crow\nb.jpg,Crow,test\n", 2, "has 3 fields"),
            ("a.jpg,Crow,train,x\n", 1, "has 4 fields"),
            ("a.jpg,Crow,held-out\n", 1, "expected `train`, `val` or `test`"),
            ("a.jpg,\"Crow\n", 1, "quote"),
        ] {
            let message = error(text);
            assert!(message.contains(&format!("list.csv, line {line}: ")) && message.contains(what), "{message}");
        }
        assert!(error("").contains("names no picture"));
        assert!(error("file,label\n").contains("names no picture"));
    }

    #[test]
    fn whole_numbers_are_sorted_by_value() {
        let classes = |text| sorted_classes(&parse(Path::new("list.csv"), text).unwrap());
        assert_eq!(classes("a,10\nb,9\nc,10\n"), ["9", "10"]);
        assert_eq!(classes("a,10\nb,9\nc,x\n"), ["10", "9", "x"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-c,\t\"\n\r é]{0,60}|\\PC*") {
            let _ = parse(Path::new("list.csv"), &text);
        }
    }
}
