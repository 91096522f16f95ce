//! A CSV or TSV file with one picture a line: `file,label[,split]`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::ALL;
use super::classes::{labels, sorted};
use super::csv::fields;
use super::files::read_text;
use super::pictures::{Listed, Pictures};
use super::split::split_name;
use super::unicode::composed;
use crate::{Dataset, Error, Kind, Result, Sample};

/// What a list holds. There may be millions of rows, so that each class and split is held once.
struct List {
    rows: Vec<Row>,
    /// The names of the classes, in the order in which they first occur.
    classes: Vec<String>,
}

/// One line of a list.
struct Row {
    line: u64,
    file: String,
    /// Index into [`List::classes`].
    class: usize,
    split: Option<&'static str>,
}

/// Reads a list. Files are relative to the list's folder; the label is the class's name. Classes are sorted by name,
/// or by value if all are whole numbers. Without a column for the split there is none.
pub(crate) fn open(list: &Path, listed: Listed) -> Result<Dataset> {
    let text = read_text(list, "a list with `file,label` or `file,label,split` in each line")?;
    let List { rows, classes: found } = parse(list, &text)?;
    drop(text);
    let folder = list.parent().unwrap_or(Path::new(""));
    let classes = sorted(found.clone());
    let labels = labels(&classes);
    let labels: Vec<usize> = found.iter().map(|class| labels[class.as_str()]).collect();
    let mut pictures = Pictures::new(folder, folder, listed);
    let mut splits: BTreeMap<Option<&str>, Vec<Sample>> = BTreeMap::new();
    for Row { line, file, class, split } in rows {
        let sample = pictures.sample(&file, labels[class]).map_err(|message| Error::line(list, line, message))?;
        splits.entry(split).or_default().push(sample);
    }
    let splits = splits.into_iter().map(|(split, samples)| (split.unwrap_or(ALL).to_owned(), samples)).collect();
    Ok(super::dataset(Kind::List, list, classes, splits))
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

fn parse(list: &Path, text: &str) -> Result<List> {
    let mut columns: Option<Columns> = None;
    let mut rows = Vec::new();
    let mut classes: HashMap<String, usize> = HashMap::new();
    // Tabs at the ends of a line are empty fields, so lines aren't trimmed.
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let error = |message: String| Error::line(list, line, message);
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
        let class = composed(&field(columns.label, "label")?);
        let split = match columns.split {
            None => None,
            Some(column) => {
                let name = field(column, "split")?;
                let unknown = || error(format!("unknown split `{name}`, expected `train`, `val` or `test`"));
                Some(split_name(&name).ok_or_else(unknown)?)
            }
        };
        let next = classes.len();
        let class = *classes.entry(class).or_insert(next);
        rows.push(Row { line, file, class, split });
    }
    if rows.is_empty() {
        return Err(Error::layout(list, "names no picture, expected `file,label` or `file,label,split` in each line"));
    }
    let mut classes: Vec<(usize, String)> = classes.into_iter().map(|(name, index)| (index, name)).collect();
    classes.sort_unstable();
    Ok(List { rows, classes: classes.into_iter().map(|(_, name)| name).collect() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<(String, String, Option<String>)> {
        let List { rows, classes } = parse(Path::new("list.csv"), text).unwrap();
        rows.into_iter().map(|r| (r.file, classes[r.class].clone(), r.split.map(str::to_owned))).collect()
    }

    fn error(text: &str) -> String {
        parse(Path::new("list.csv"), text).err().unwrap().to_string()
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

    proptest! {
        #[test]
        fn never_panics(text in "[a-c,\t\"\n\r é]{0,60}|\\PC*") {
            let _ = parse(Path::new("list.csv"), &text);
        }
    }
}
