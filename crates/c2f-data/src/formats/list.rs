//! A text file with one picture a line: `file,label[,split]`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::classes::{labels, sorted};
use super::csv::{Separator, fields};
use super::files::{MAX_PICTURES, read_text};
use super::pictures::{Listed, Pictures};
use super::split::split_name;
use super::unicode::composed;
use crate::{Dataset, Error, Kind, Result, Sample};

/// The names of the columns, in lower case and with `_` for what joins words. Of several that a header has, the first counts.
const FILES: [&str; 15] = [
    "file",
    "filename",
    "file_name",
    "filepath",
    "filepaths",
    "file_path",
    "path",
    "paths",
    "image",
    "image_path",
    "image_name",
    "image_file",
    "image_id",
    "img",
    "img_path",
];
const LABELS: [&str; 11] = [
    "label",
    "labels",
    "class",
    "class_name",
    "classname",
    "category",
    "category_name",
    "species",
    "class_id",
    "label_id",
    "category_id",
];
const SPLITS: [&str; 9] =
    ["split", "set", "subset", "data_set", "dataset", "partition", "is_train", "is_training", "fold"];
/// Where a column of this name holds numbers, they are no splits.
const FOLD: &str = "fold";

/// What a list holds. There may be millions of rows, so that each class and split is held once.
struct List {
    rows: Vec<Row>,
    /// The names of the classes, in the order in which they first occur.
    classes: Vec<String>,
    /// Whether the first line isn't a header.
    has_no_header: bool,
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
/// or by value if all are whole numbers. Without a column for the split there is none; one of numbered folds counts as none
/// if the pictures are dealt anew.
pub(crate) fn open(list: &Path, listed: Listed, is_dealt_anew: bool) -> Result<Dataset> {
    let text = read_text(list, "a list with `file,label` or `file,label,split` in each line")?;
    let List { rows, classes: found, has_no_header } = parse(list, &text, is_dealt_anew, MAX_PICTURES)?;
    drop(text);
    let folder = list.parent().unwrap_or(Path::new(""));
    let classes = sorted(found.clone());
    let labels = labels(&classes);
    let labels: Vec<usize> = found.iter().map(|class| labels[class.as_str()]).collect();
    let mut pictures = Pictures::new(folder, folder, listed);
    let mut splits: BTreeMap<Option<&str>, Vec<Sample>> = BTreeMap::new();
    for (index, Row { line, file, class, split }) in rows.into_iter().enumerate() {
        let sample = pictures.sample(&file, labels[class]).map_err(|message| {
            let header = if index == 0 && has_no_header { format!("; {}", no_header()) } else { String::new() };
            Error::line(list, line, format!("{message}{header}"))
        })?;
        splits.entry(split).or_default().push(sample);
    }
    let splits =
        splits.into_iter().map(|(split, samples)| (split.unwrap_or(Dataset::ALL).to_owned(), samples)).collect();
    Ok(super::dataset(Kind::List, list, classes, splits))
}

/// Which column holds what.
#[derive(Clone)]
struct Columns {
    file: usize,
    label: usize,
    split: Option<Split>,
    /// How many fields a line may have.
    count: usize,
}

/// The column of the split.
#[derive(Clone)]
struct Split {
    column: usize,
    /// As the header has it, in lower case.
    name: String,
}

impl Split {
    /// What a field of the column says.
    fn read(&self, field: &str) -> Result<&'static str, String> {
        if self.name.starts_with("is_train") {
            return match field.to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" => Ok("train"),
                "0" | "false" | "no" => Ok("test"),
                _ => Err(format!("{} is `{field}`, expected 1 or 0", self.name)),
            };
        }
        split_name(field).ok_or_else(|| {
            if self.name == FOLD && is_number(field) {
                return "the column `fold` has numbers, which don't say what to train on: write `train`, `val` or `test` \
                        there, or add `fold=I/K` to the data set's options, which deals the pictures anew"
                    .to_owned();
            }
            format!("unknown split `{field}`, expected `train`, `val` or `test`")
        })
    }
}

fn is_number(field: &str) -> bool {
    field.parse::<f64>().is_ok()
}

impl Columns {
    /// `file,label` or `file,label,split`, as the first line has it.
    fn without_header(fields: usize) -> Self {
        let split = (fields > 2).then(|| Split { column: 2, name: "split".to_owned() });
        Self { file: 0, label: 1, split, count: fields.clamp(2, 3) }
    }
}

/// Reads at most `most` rows.
fn parse(list: &Path, text: &str, is_dealt_anew: bool, most: usize) -> Result<List> {
    let mut columns: Option<Columns> = None;
    let mut separator = None;
    let mut has_no_header = false;
    let mut rows = Vec::new();
    let mut classes: HashMap<String, usize> = HashMap::new();
    // Tabs at the ends of a line are empty fields, so lines aren't trimmed.
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let error = |message: String| Error::line(list, line, message);
        let separator = *separator.get_or_insert_with(|| Separator::of(text));
        let fields = fields(text, separator).map_err(error)?;
        if columns.is_none() {
            columns = header(&fields).map_err(error)?;
            if columns.is_some() {
                continue;
            }
            has_no_header = true;
        }
        let columns = columns.get_or_insert_with(|| Columns::without_header(fields.len()));
        if is_dealt_anew
            && let Some(Split { column, name }) = &columns.split
            && name == FOLD
            && fields.get(*column).is_some_and(|field| is_number(field))
        {
            columns.split = None;
        }
        let expected = if columns.split.is_some() { "`file,label,split`" } else { "`file,label`" };
        if fields.len() > columns.count {
            let header = if rows.is_empty() && has_no_header { format!("; {}", no_header()) } else { String::new() };
            return Err(error(format!("has {} fields, expected {}: {expected}{header}", fields.len(), columns.count)));
        }
        let field = |column: usize, name: &str| match fields.get(column) {
            Some(field) if !field.is_empty() => Ok(field.clone()),
            Some(_) => Err(error(format!("the {name} is empty, expected {expected}"))),
            None => Err(error(format!("the {name} is missing, expected {expected}"))),
        };
        let file = field(columns.file, "file")?;
        let class = composed(&field(columns.label, "label")?);
        let split = match &columns.split {
            None => None,
            Some(split) => Some(split.read(&field(split.column, "split")?).map_err(error)?),
        };
        if rows.len() == most {
            return Err(error(format!("names more than {most} pictures, expected at most that many")));
        }
        let next = classes.len();
        let class = *classes.entry(class).or_insert(next);
        rows.push(Row { line, file, class, split });
    }
    if rows.is_empty() {
        return Err(Error::layout(list, "names no picture, expected `file,label` or `file,label,split` in each line"));
    }
    let mut classes: Vec<(usize, String)> = classes.into_iter().map(|(name, index)| (index, name)).collect();
    classes.sort_unstable();
    Ok(List { rows, classes: classes.into_iter().map(|(_, name)| name).collect(), has_no_header })
}

/// The columns that a header names; `None` if the line is none. A header without a file or a label is an error.
fn header(fields: &[String]) -> Result<Option<Columns>, String> {
    let names: Vec<String> = fields.iter().map(|field| field.to_lowercase().replace([' ', '-'], "_")).collect();
    let column = |known: &[&str]| known.iter().find_map(|known| names.iter().position(|name| name == known));
    let split = column(&SPLITS).map(|column| Split { column, name: names[column].clone() });
    match (column(&FILES), column(&LABELS)) {
        (Some(file), Some(label)) => Ok(Some(Columns { file, label, split, count: fields.len() })),
        (None, None) if split.is_none() => Ok(None),
        (None, _) => Err(format!("the header names no column for the file, which may be {}", FILES.join(", "))),
        (_, None) => Err(format!("the header names no column for the label, which may be {}", LABELS.join(", "))),
    }
}

/// What to say of a first line that may have been meant as a header.
fn no_header() -> String {
    format!(
        "if this line is a header: the file may be {}; the label {}; the split {}",
        FILES.join(", "),
        LABELS.join(", "),
        SPLITS.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(text: &str) -> Vec<(String, String, Option<String>)> {
        let List { rows, classes, .. } = parse(Path::new("list.csv"), text, false, 4).unwrap();
        rows.into_iter().map(|r| (r.file, classes[r.class].clone(), r.split.map(str::to_owned))).collect()
    }

    fn error(text: &str) -> String {
        parse(Path::new("list.csv"), text, false, 4).err().unwrap().to_string()
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
            ("a,A\nb,A\nc,A\n\nd,A\ne,A\nf,A\n", 6, "names more than 4 pictures"),
        ] {
            let message = error(text);
            assert!(message.contains(&format!("list.csv, line {line}: ")) && message.contains(what), "{message}");
        }
        assert!(error("").contains("names no picture"));
        assert!(error("file,label\n").contains("names no picture"));
    }

    #[test]
    fn columns_have_the_names_that_people_give_them() {
        let plain = vec![row("a.jpg", "Crow", None), row("b.jpg", "Jay", None)];
        for names in
            ["file_name,label", "image_id,category", "Filename,labels", "filepaths,species", "Image Path,Class-Name"]
        {
            assert_eq!(rows(&format!("{names}\na.jpg,Crow\nb.jpg,Jay\n")), plain, "{names}");
        }
        // A number beside a name, as lists of birds have it.
        assert_eq!(rows("class id,filepaths,labels\n0,a.jpg,Crow\n1,b.jpg,Jay\n"), plain);
        let split = vec![row("a.jpg", "Crow", Some("train")), row("b.jpg", "Jay", Some("test"))];
        for names in ["subset", "data set", "dataset", "Partition", "fold", "set", "split"] {
            assert_eq!(
                rows(&format!("file,label,{names}\na.jpg,Crow,Training\nb.jpg,Jay,testing\n")),
                split,
                "{names}"
            );
        }
        for [yes, no] in [["1", "0"], ["True", "False"]] {
            assert_eq!(rows(&format!("is_train,file,label\n{yes},a.jpg,Crow\n{no},b.jpg,Jay\n")), split);
        }
        for separator in [";", "|", " ", "\t"] {
            let text = "file,label,split\na.jpg,Crow,train\nb.jpg,Jay,test\n".replace(',', separator);
            assert_eq!((rows(&text), rows(text.split_once('\n').unwrap().1)), (split.clone(), split.clone()));
        }
    }

    #[test]
    fn numbered_folds_are_never_passed_over_without_a_word() {
        let text = "file,label,fold\na.jpg,Crow,0\nb.jpg,Crow,1\n";
        let message = error(text);
        assert!(
            message.contains("line 2: the column `fold` has numbers") && message.contains("`fold=I/K`"),
            "{message}"
        );
        let dealt = parse(Path::new("list.csv"), text, true, 4).unwrap();
        assert!(dealt.rows.iter().all(|row| row.split.is_none()));
    }

    #[test]
    fn a_header_that_lacks_a_column_lists_the_names() {
        assert!(
            error("file,kind\na.jpg,Crow\n").contains("no column for the label, which may be label, labels, class")
        );
        assert!(error("photo,label\na.jpg,Crow\n").contains("no column for the file, which may be file, filename"));
        assert!(error("photo,kind,note,part\n").contains("if this line is a header: the file may be file, filename"));
        assert!(error("file,label,is_train\na.jpg,Crow,maybe\n").contains("is_train is `maybe`, expected 1 or 0"));
    }

    #[test]
    fn composed_and_decomposed_names_are_one_class() {
        let List { classes, .. } =
            parse(Path::new("list.csv"), "a.jpg,H\u{e4}her\nb.jpg,Ha\u{308}her\n", false, 4).unwrap();
        assert_eq!(classes, ["H\u{e4}her"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn never_panics(text in "[a-c,;|\t\"\n\r é]{0,60}|\\PC*|(file|label|fold|is_train|[01,; \n\"]){0,30}", anew: bool) {
            let _ = parse(Path::new("list.csv"), &text, anew, 100);
        }
    }
}
