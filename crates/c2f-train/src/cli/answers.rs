//! What `predict` says of each picture, written as it comes.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result};
use c2f_engine::Group;
use c2f_files::{Mark, Output};
use serde::Serialize;

use super::percent;
use crate::terminal::{printable, word};

/// What was said of one picture.
#[derive(Serialize)]
pub struct Answer {
    pub image: String,
    /// Its class, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
pub enum Outcome {
    Predictions {
        predictions: Vec<Prediction>,
        /// Where it was asked.
        #[serde(skip_serializing_if = "Option::is_none")]
        surest: Option<Surest>,
        /// Where it was asked.
        #[serde(flatten)]
        novelty: Option<Novelty>,
    },
    Error {
        error: String,
    },
}

/// The smallest group that is sure enough; null where none is.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Surest {
    Group(Group),
    Nothing,
}

/// Whether a picture is of none of the classes.
#[derive(Serialize)]
pub struct Novelty {
    /// ln sum exp of the logits; see `c2f_engine::familiarity`.
    pub familiarity: f32,
    /// Whether that is below the threshold.
    pub unknown: bool,
}

#[derive(Serialize)]
pub struct Prediction {
    pub class: String,
    pub index: usize,
    pub probability: f32,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For reading
    Table,
    /// One list, as --json has it
    Json,
    /// A JSON value a line, a line a picture
    Jsonl,
    /// A line a prediction, with `rank` from 1
    Csv,
}

const CSV_HEADER: &str = "image,label,rank,class,index,probability,error,unknown";

impl Format {
    /// What tells a file of ours. A table has nothing of the kind, so that none is ever replaced.
    fn mark(self) -> Mark {
        match self {
            Self::Table => "c2f-train predict",
            Self::Json | Self::Jsonl => r#"{"image":"#,
            Self::Csv => "image,label,rank,class,index,probability,error",
        }
    }

    fn before(self) -> String {
        match self {
            Self::Json => "[".to_owned(),
            Self::Csv => format!("{CSV_HEADER}\n"),
            Self::Table | Self::Jsonl => String::new(),
        }
    }

    fn after(self) -> &'static str {
        if self == Self::Json { "]\n" } else { "" }
    }

    /// `answer`, the first or not.
    fn text(self, answer: &Answer, is_first: bool) -> Result<String> {
        Ok(match self {
            Self::Table => table(answer)?,
            Self::Json => format!("{}{}", if is_first { "" } else { "," }, serde_json::to_string(answer)?),
            Self::Jsonl => format!("{}\n", serde_json::to_string(answer)?),
            Self::Csv => csv(answer)?,
        })
    }
}

fn table(answer: &Answer) -> Result<String> {
    let mut text = word(&answer.image).into_owned();
    if let Some(label) = &answer.label {
        write!(text, " ({})", word(label))?;
    }
    text.push('\n');
    match &answer.outcome {
        Outcome::Predictions { predictions, surest, novelty } => {
            if novelty.as_ref().is_some_and(|novelty| novelty.unknown) {
                writeln!(text, "  {:>8}", "unknown")?;
            }
            match surest {
                Some(Surest::Group(group)) => {
                    writeln!(text, "  {:>8}  {}, surely", percent(group.probability.into()), word(&group.name))?;
                }
                Some(Surest::Nothing) => writeln!(text, "  {:>8}  sure of nothing", "")?,
                None => {}
            }
            for p in predictions {
                writeln!(text, "  {:>8}  {}", percent(p.probability.into()), word(&p.class))?;
            }
        }
        Outcome::Error { error } => writeln!(text, "  {:>8}  {}", "error", word(error))?,
    }
    Ok(text)
}

fn csv(answer: &Answer) -> Result<String> {
    let (image, label) = (quoted(&answer.image), quoted(answer.label.as_deref().unwrap_or_default()));
    let mut text = String::new();
    match &answer.outcome {
        Outcome::Predictions { predictions, novelty, .. } => {
            let unknown = novelty.as_ref().map_or(String::new(), |novelty| novelty.unknown.to_string());
            for (rank, p) in (1..).zip(predictions) {
                let class = quoted(&p.class);
                writeln!(text, "{image},{label},{rank},{class},{},{},,{unknown}", p.index, p.probability)?;
            }
        }
        Outcome::Error { error } => writeln!(text, "{image},{label},,,,,{},", quoted(error))?,
    }
    Ok(text)
}

/// A field of a CSV file (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Where answers go, one after the other.
pub struct Answers {
    format: Format,
    to: To,
    /// Written and not yet sent.
    text: String,
    is_empty: bool,
}

enum To {
    Stdout,
    File(Output),
}

impl Answers {
    /// Into `file`, which appears in [`Self::finish`], or to stdout.
    pub fn open(format: Format, file: Option<&Path>) -> Result<Self> {
        let to = match file {
            Some(file) => To::File(Output::create(file, format.mark())?),
            None => To::Stdout,
        };
        Ok(Self { format, to, text: format.before(), is_empty: true })
    }

    /// Fails if the file would be put in the place of `input`.
    pub fn refuse_input(&self, input: &Path) -> Result<()> {
        match &self.to {
            To::File(output) => Ok(output.refuse_input(input)?),
            To::Stdout => Ok(()),
        }
    }

    /// Adds an answer.
    pub fn push(&mut self, answer: &Answer) -> Result<()> {
        self.text += &self.format.text(answer, self.is_empty)?;
        self.is_empty = false;
        Ok(())
    }

    /// Sends what was added. False if nobody reads any more (`| head`), which is no failure.
    pub fn send(&mut self) -> Result<bool> {
        let text = std::mem::take(&mut self.text);
        match &mut self.to {
            To::File(output) => output.write_all(text.as_bytes()).map_err(|e| output.error(e))?,
            To::Stdout => {
                let mut stdout = io::stdout().lock();
                match stdout.write_all(printable(&text).as_bytes()).and_then(|()| stdout.flush()) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                    other => other.context("stdout")?,
                }
            }
        }
        Ok(true)
    }

    /// Ends the list, and gives the file its name.
    pub fn finish(mut self) -> Result<()> {
        self.text += self.format.after();
        self.send()?;
        match self.to {
            To::File(output) => Ok(output.finish()?),
            To::Stdout => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers() -> [Answer; 2] {
        let prediction = Prediction { class: "gull, \"grey\"".to_owned(), index: 3, probability: 0.25 };
        let outcome = Outcome::Predictions {
            predictions: vec![prediction],
            surest: None,
            novelty: Some(Novelty { familiarity: 2.5, unknown: true }),
        };
        [
            Answer { image: "a.jpg".to_owned(), label: Some("gull".to_owned()), outcome },
            Answer {
                image: "b.jpg".to_owned(),
                label: None,
                outcome: Outcome::Error { error: "b.jpg is empty".to_owned() },
            },
        ]
    }

    fn written(format: Format) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        // Twice: a file of ours is replaced.
        for _ in 0..=usize::from(format != Format::Table) {
            let mut to = Answers::open(format, Some(&path)).unwrap();
            for answer in answers() {
                to.push(&answer).unwrap();
                assert!(to.send().unwrap());
            }
            to.finish().unwrap();
        }
        std::fs::write(folder.path().join("other"), "precious").unwrap();
        assert!(Answers::open(format, Some(&folder.path().join("other"))).is_err());
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn each_format_has_a_row_for_what_can_not_be_read() {
        let json = written(Format::Json);
        assert_eq!(json, format!("{}\n", serde_json::to_string(&answers()).unwrap()));
        let lines = written(Format::Jsonl);
        assert_eq!(lines.lines().collect::<Vec<_>>(), answers().map(|a| serde_json::to_string(&a).unwrap()));
        let csv = "a.jpg,gull,1,\"gull, \"\"grey\"\"\",3,0.25,,true\nb.jpg,,,,,,b.jpg is empty,\n";
        assert_eq!(written(Format::Csv), format!("{CSV_HEADER}\n{csv}"));
        assert_eq!(
            written(Format::Table),
            "a.jpg (gull)\n   unknown\n    25.0 %  gull, \"grey\"\nb.jpg\n     error  b.jpg is empty\n"
        );
    }
}
