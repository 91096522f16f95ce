//! One run of the table: training, evaluation, and what is kept of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::jobs::Jobs;
use super::record::{Asked, Made, Record};
use super::resolved::{difference, resolve};
use crate::process::json;

/// A run that the table needs.
pub struct Run {
    /// The data set without its path.
    pub data: String,
    /// The data set as c2f-train takes it, with the fold.
    pub spec: String,
    /// The row's name.
    pub row: String,
    /// The run's seed.
    pub seed: u64,
    /// The fold, as `1/5`.
    pub fold: Option<String>,
    /// The recipe's file.
    pub recipe: PathBuf,
    /// Pretrained weights, where the recipe wants some.
    pub weights: Option<String>,
    /// cpu, cuda or cuda:N.
    pub device: String,
    /// Recipe and settings.
    pub asked: Asked,
    /// The recipe with its defaults, before the row's settings.
    pub resolved: Map<String, Value>,
    /// Where its record lies.
    pub record: PathBuf,
    /// Its folder while it isn't done.
    pub work: PathBuf,
}

impl Run {
    /// The record of an earlier call, if the run is done.
    ///
    /// # Errors
    /// If the record is of a run with other settings, or a default has changed since.
    pub fn done(&self) -> Result<Option<Record>> {
        let Some(record) = Record::read(&self.record)? else { return Ok(None) };
        ensure!(
            record.asked.is_same_as(&self.asked),
            "{} was made with another recipe or other settings; remove it, or give another --output",
            self.record.display()
        );
        let settings = self.asked.settings.iter().filter_map(|setting| Some(setting.split_once('=')?.0));
        let own: Vec<&str> = settings.chain(["seed"]).collect();
        if let Some(field) = difference(&record.config, &self.resolved, &own) {
            bail!(
                "{} was made with another `{field}`, whose default has changed since; remove it, or give another --output",
                self.record.display()
            );
        }
        Ok(Some(record))
    }

    /// The finished run of another row that trains the same network in the same way, as a record of this row.
    ///
    /// # Errors
    /// If a record beside this run's can't be read, or the recipe is wrong.
    pub fn twin(&self, program: &Path) -> Result<Option<Record>> {
        let wanted = resolve(program, &self.recipe, &self.asked.settings)?;
        let folder = self.record.parent().context("a record without a folder")?;
        for record in Record::read_all(folder)? {
            let same_data = (record.seed, &record.fold) == (self.seed, &self.fold) && record.same_as.is_none();
            let same_data = same_data && record.asked.views == self.asked.views;
            if same_data && difference(&record.config, &wanted, &["seed"]).is_none() {
                let same_as = Some(record.row);
                return Ok(Some(Record { row: self.row.clone(), same_as, asked: self.asked.clone(), ..record }));
            }
        }
        Ok(None)
    }

    /// Trains, going on where an earlier call was stopped, evaluates the last epoch, and writes the record.
    ///
    /// # Errors
    /// If a program fails.
    pub fn run(&self, program: &Path, made: &Made, jobs: &Jobs) -> Result<Record> {
        let mut train = Command::new(program);
        train.args(["train", "--output"]).arg(&self.work).args(["--device", &self.device]);
        if self.work.join("config.toml").exists() {
            train.arg("--resume");
        } else {
            train.arg("--recipe").arg(&self.recipe).args(["--data", &self.spec]);
            train.args(["--seed", &self.seed.to_string()]);
            train.args(self.weights.iter().flat_map(|weights| ["--weights", weights]));
            train.args(self.asked.settings.iter().flat_map(|setting| ["--set", setting]));
        }
        // Its results are the page of one run; stdout here is for the table.
        train.stdout(Stdio::null());
        jobs.run(train)?;

        // The last epoch: choosing the best one would look at the test pictures.
        let mut eval = Command::new(program);
        eval.arg("eval").arg("--checkpoint").arg(self.work.join("checkpoints/last.safetensors"));
        eval.args(["--data", &self.spec, "--device", &self.device, "--full", "--json"]).args(&self.asked.views);
        jobs.share(&mut eval);
        let mut test: Map<String, Value> = json(eval)?;
        let correct = correct(&test).context("`eval --full` doesn't say which pictures were right")?;
        let cross_entropy = cross_entropy(&test).context("`eval --full` doesn't say how probable the truth was")?;
        test.remove("pictures");
        let record = Record {
            data: self.data.clone(),
            row: self.row.clone(),
            seed: self.seed,
            same_as: None,
            fold: self.fold.clone(),
            asked: self.asked.clone(),
            made: made.clone(),
            config: self.config()?,
            epochs: self.epochs()?,
            test,
            correct,
            cross_entropy,
        };
        record.write(&self.record)?;
        fs::remove_dir_all(&self.work).with_context(|| self.work.display().to_string())?;
        Ok(record)
    }

    fn config(&self) -> Result<Map<String, Value>> {
        let path = self.work.join("config.toml");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let mut config: Map<String, Value> = toml::from_str(&text).with_context(|| path.display().to_string())?;
        // Where they lie is another place on every machine.
        config.remove("data");
        config.remove("weights");
        Ok(config)
    }

    fn epochs(&self) -> Result<Vec<Map<String, Value>>> {
        let path = self.work.join("metrics.jsonl");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }
}

/// `1` for each picture that was named right, `0` for the others.
fn correct(test: &Map<String, Value>) -> Option<String> {
    let pictures = test.get("pictures")?.as_array()?;
    let right = |picture: &Value| Some(picture.get("label")? == picture.get("predicted")?);
    pictures.iter().map(|picture| Some(if right(picture)? { '1' } else { '0' })).collect()
}

/// -ln of the probability of each picture's class, in thousandths and at most 10.
fn cross_entropy(test: &Map<String, Value>) -> Option<Vec<u32>> {
    let of = |picture: &Value| {
        let probability = picture.get("probability_of_truth")?.as_f64()?;
        Some((-1000.0 * probability.ln()).clamp(0.0, 10_000.0).round() as u32)
    };
    test.get("pictures")?.as_array()?.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_right_or_wrong() {
        let test = |text| serde_json::from_str::<Map<String, Value>>(text).unwrap();
        let two = test(r#"{"pictures": [{"label": 3, "predicted": 3}, {"label": 3, "predicted": 0}]}"#);
        assert_eq!(correct(&two).unwrap(), "10");
        assert!(correct(&test("{}")).is_none());
        let sure = test(
            r#"{"pictures": [{"probability_of_truth": 1}, {"probability_of_truth": 0.5}, {"probability_of_truth": 0}]}"#,
        );
        assert_eq!(cross_entropy(&sure).unwrap(), [0, 693, 10_000]);
        assert!(cross_entropy(&two).is_none());
        assert!(correct(&test(r#"{"pictures": [{"label": 3}]}"#)).is_none());
    }
}
