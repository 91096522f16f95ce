//! What the runs on one data set say together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::compare::{self, Difference, mean, variance};
use super::cost::{Cost, Costs};
use super::record::{Made, Record};
use super::rows::Row;

/// The rows that all others are compared with.
pub const REFERENCES: [&str; 3] = ["attention", "ws-dan", "coarse2fine-orthogonal"];

/// What the runs on one data set say together.
#[derive(Serialize, Deserialize)]
pub struct Summary {
    /// The data set without its path.
    pub data: String,
    /// Its test pictures; with folds, those of all folds.
    pub pictures: usize,
    /// The rows that have runs, in the order of [`Row::all`].
    pub rows: Vec<RowSummary>,
    /// Where and when the runs were made, and how many there.
    pub made: Vec<(Made, usize)>,
    /// Where and when the costs were measured, if they were.
    pub costs_made: Option<Made>,
}

/// What the runs of one row say together. Accuracies are shares in 0..1.
#[derive(Serialize, Deserialize)]
pub struct RowSummary {
    /// The row's name.
    pub row: String,
    /// The row whose runs these are, where both train the same network in the same way.
    pub same_as: Option<String>,
    /// The seeds that have run, on every fold.
    pub seeds: Vec<u64>,
    /// Accuracy of the combined prediction.
    pub top1: Spread,
    /// Of the coarse look.
    pub top1_coarse: Option<Spread>,
    /// Of the fine look.
    pub top1_fine: Option<Spread>,
    /// How often the truth is among the five first.
    pub top5: Spread,
    /// This row compared with others, by their names.
    pub against: BTreeMap<String, Comparison>,
    /// Trained parameters.
    pub parameters: Option<f64>,
    /// Measured speed; see [`Cost`].
    pub cost: Option<Cost>,
    /// Time of the whole training without its evaluations, over that of the row `attention`: the epochs that were run, at
    /// the measured speeds. What the runs themselves took depends on what else ran beside each of them.
    pub training_time: Option<f64>,
    /// Means over the runs of what `eval --full` measures, by its name.
    pub measures: BTreeMap<String, f64>,
    /// Mean pairwise cosine of a test picture's attention maps when the first epoch and each quarter of the training was
    /// done: means over the runs. None without such maps.
    pub attention_similarity: Option<[f64; 5]>,
}

/// A mean over seeds and its standard deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// The standard deviation; none for one seed.
    pub sd: Option<f64>,
}

/// A row beside a reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Accuracy of the row less that of the reference.
    #[serde(flatten)]
    pub paired: Difference,
    /// [`Difference::margin`].
    pub margin: f64,
    /// [`Difference::detectable`].
    pub detectable: f64,
    /// By which share the row has fewer errors.
    pub error_reduction: f64,
    /// Cross entropy of the row less that of the reference, in nats; none where a run of either is of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cross_entropy: Option<Difference>,
}

/// Names in the tables, and where `eval --full` has the number.
pub const MEASURES: [(&str, &[&str]); 16] = [
    ("nll", &["loss"]),
    ("ece", &["calibration", "ece"]),
    ("attention cosine", &["attention_similarity"]),
    ("attention in box", &["localisation", "attention", "box_mass"]),
    ("attention points at box", &["localisation", "attention", "pointing"]),
    ("attention in parts", &["localisation", "attention", "parts_mass"]),
    ("attention points at parts", &["localisation", "attention", "parts_pointing"]),
    ("region in box", &["localisation", "region", "box_mass"]),
    ("region points at box", &["localisation", "region", "pointing"]),
    ("region in parts", &["localisation", "region", "parts_mass"]),
    ("region points at parts", &["localisation", "region", "parts_pointing"]),
    ("box area", &["localisation", "attention", "box_area"]),
    ("parts area", &["localisation", "attention", "parts_area"]),
    ("fine look's area", &["area"]),
    ("fine look covers box", &["localisation", "fine_box", "box_covered"]),
    ("fine look covers parts", &["localisation", "fine_box", "parts_covered"]),
];

impl Summary {
    /// Summarises records of one data set.
    pub fn new(data: &str, records: &[Record], costs: Option<&Costs>) -> Self {
        let of = |row: &str| Runs::new(records.iter().filter(|record| record.row == row));
        let cost = |row: &str| costs?.rows.get(row);
        let time = |row: &str| of(row).training_time(cost(row)?, cost("attention")?);
        let base_time = time("attention");
        let summaries = Row::all().filter_map(|&Row { name: row, .. }| {
            let runs = of(row);
            if runs.by_seed.is_empty() {
                return None;
            }
            let same_as = runs.same_as();
            let other = |reference: &str| {
                reference != row && same_as != Some(reference) && of(reference).same_as() != Some(row)
            };
            let against = REFERENCES.iter().filter(|&&reference| other(reference));
            let against = against.filter_map(|&reference| Some((reference.to_owned(), runs.against(&of(reference))?)));
            let measures = MEASURES.iter().filter_map(|&(name, keys)| Some((name.to_owned(), runs.mean_of(keys)?)));
            Some(RowSummary {
                row: row.to_owned(),
                same_as: same_as.map(str::to_owned),
                seeds: runs.by_seed.keys().copied().collect(),
                top1: runs.spread(&["top1"])?,
                top1_coarse: runs.spread(&["top1_coarse"]),
                top1_fine: runs.spread(&["top1_fine"]),
                top5: runs.spread(&["top5"])?,
                against: against.collect(),
                parameters: runs.mean_of(&["parameters"]),
                cost: cost(row).copied(),
                training_time: time(row).zip(base_time).map(|(time, base)| time / base),
                measures: measures.collect(),
                attention_similarity: runs.over_training("val_attention_similarity"),
            })
        });
        let rows: Vec<RowSummary> = summaries.collect();
        let pictures = rows.first().map_or(0, |row| of(&row.row).pictures());
        let mut made: BTreeMap<Made, usize> = BTreeMap::new();
        // The run of a row that isn't shown counts where it is shown.
        let shown = |other: &String| rows.iter().any(|row| row.row == *other);
        for record in records.iter().filter(|record| !record.same_as.as_ref().is_some_and(shown)) {
            *made.entry(record.made.clone()).or_default() += 1;
        }
        let costs_made = costs.map(|costs| costs.made.clone());
        Self { data: data.to_owned(), pictures, rows, made: made.into_iter().collect(), costs_made }
    }
}

/// The runs of one row: for each seed its folds, in their order.
pub struct Runs<'a> {
    by_seed: BTreeMap<u64, Vec<&'a Record>>,
}

impl<'a> Runs<'a> {
    /// The runs of one row with one schedule.
    pub fn new(records: impl Iterator<Item = &'a Record>) -> Self {
        let mut by_seed: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
        for record in records {
            by_seed.entry(record.seed).or_default().push(record);
        }
        let folds = |runs: &[&Record]| runs.iter().map(|record| record.fold.clone()).collect::<BTreeSet<_>>();
        let most = by_seed.values().map(|runs| folds(runs).len()).max().unwrap_or(0);
        // A seed some of whose folds are missing says something else than the others.
        by_seed.retain(|_, runs| runs.len() == most);
        for runs in by_seed.values_mut() {
            runs.sort_by(|a, b| a.fold.cmp(&b.fold));
        }
        Self { by_seed }
    }

    fn same_as(&self) -> Option<&'a str> {
        self.by_seed.values().flatten().find_map(|record| record.same_as.as_deref())
    }

    /// For each seed the mean over its folds, weighted by their pictures.
    fn per_seed(&self, keys: &[&str]) -> Option<Vec<f64>> {
        let of_seed = |runs: &Vec<&Record>| {
            let pictures: usize = runs.iter().map(|record| record.correct.len()).sum();
            let sum = runs.iter().try_fold(0.0, |sum, r| Some(sum + r.test(keys)? * r.correct.len() as f64))?;
            Some(sum / pictures as f64)
        };
        self.by_seed.values().map(of_seed).collect()
    }

    /// How many seeds have run.
    pub fn seeds(&self) -> usize {
        self.by_seed.len()
    }

    /// Of a number that `eval --full` gives.
    pub fn spread(&self, keys: &[&str]) -> Option<Spread> {
        let values = self.per_seed(keys).filter(|values| !values.is_empty())?;
        Some(Spread { mean: mean(values.iter().copied()), sd: (values.len() > 1).then(|| variance(&values).sqrt()) })
    }

    /// The mean alone.
    pub fn mean_of(&self, keys: &[&str]) -> Option<f64> {
        Some(self.spread(keys)?.mean)
    }

    /// A number of each epoch's line, after the first epoch and after each quarter of them.
    fn over_training(&self, key: &str) -> Option<[f64; 5]> {
        let mut sums = [0.0; 5];
        let runs: Vec<&Record> = self.by_seed.values().flatten().copied().collect();
        for run in &runs {
            for (quarter, sum) in sums.iter_mut().enumerate() {
                let done = (run.epochs.len() * quarter).div_ceil(4).max(1);
                *sum += run.epochs.get(done - 1)?.get(key)?.as_f64()?;
            }
        }
        (!runs.is_empty()).then(|| sums.map(|sum| sum / runs.len() as f64))
    }

    /// Seconds for each picture of the training set. Before the last stage, whose speed is `own`, a network trains as
    /// `one_look` does.
    pub fn training_time(&self, own: &Cost, one_look: &Cost) -> Option<f64> {
        let (before, last) = self.by_seed.values().flatten().next()?.epochs_by_stage();
        Some(before as f64 / one_look.train_images_per_s + last as f64 / own.train_images_per_s)
    }

    fn pictures(&self) -> usize {
        self.by_seed.values().next().map_or(0, |runs| runs.iter().map(|record| record.correct.len()).sum())
    }

    /// 1 for each picture that was right and 0 for the others, for each of `seeds`.
    fn outcomes(&self, seeds: &[u64]) -> Vec<Vec<f64>> {
        let right = |r: &&'a Record| r.correct.bytes().map(|c| f64::from(u8::from(c == b'1'))).collect::<Vec<_>>();
        seeds.iter().map(|seed| self.by_seed[seed].iter().flat_map(right).collect()).collect()
    }

    /// The cross entropy of each picture, in nats, for each of `seeds`.
    fn cross_entropies(&self, seeds: &[u64]) -> Vec<Vec<f64>> {
        let of = |r: &&'a Record| {
            r.cross_entropy.iter().map(|&thousandths| f64::from(thousandths) / 1000.0).collect::<Vec<_>>()
        };
        seeds.iter().map(|seed| self.by_seed[seed].iter().flat_map(of).collect()).collect()
    }

    /// Compares by the seeds that both have.
    fn against(&self, reference: &Self) -> Option<Comparison> {
        let seeds: Vec<u64> = self.by_seed.keys().filter(|s| reference.by_seed.contains_key(s)).copied().collect();
        let (row, other) = (self.outcomes(&seeds), reference.outcomes(&seeds));
        let paired = compare::paired(&row, &other)?;
        let errors = mean(other.iter().flatten().map(|right| 1.0 - right));
        Some(Comparison {
            paired,
            margin: paired.margin(),
            detectable: paired.detectable(),
            error_reduction: if errors > 0.0 { paired.mean / errors } else { 0.0 },
            cross_entropy: compare::paired(&self.cross_entropies(&seeds), &reference.cross_entropies(&seeds)),
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::reproduce::record::Asked;

    pub fn made() -> Made {
        Made { commit: "c".to_owned(), date: "d".to_owned(), machine: "m".to_owned(), threads: 2 }
    }

    /// A record of a run that was right where `correct` says so.
    pub fn record(row: &str, seed: u64, fold: Option<&str>, correct: &str) -> Record {
        let right = correct.matches('1').count() as f64 / correct.len() as f64;
        let test = serde_json::json!({ "top1": right, "top5": 1.0, "top1_coarse": right, "top1_fine": null,
            "localisation": { "attention": { "box_mass": 0.5 } } });
        let epoch = serde_json::json!({ "epoch": 1, "stage": "coarse" });
        Record {
            data: "synthetic".to_owned(),
            row: row.to_owned(),
            seed,
            same_as: None,
            fold: fold.map(str::to_owned),
            asked: Asked::default(),
            made: made(),
            config: serde_json::Map::new(),
            epochs: vec![epoch.as_object().unwrap().clone()],
            test: test.as_object().unwrap().clone(),
            correct: correct.to_owned(),
            cross_entropy: Vec::new(),
        }
    }

    #[test]
    fn numbers_of_epochs_are_taken_at_quarters_of_the_training() {
        let with = |epochs: usize, seed| {
            let line = |epoch| serde_json::json!({ "stage": "coarse", "cosine": epoch }).as_object().unwrap().clone();
            Record { epochs: (1..=epochs).map(line).collect(), ..record("attention", seed, None, "10") }
        };
        let records = [with(8, 1), with(1, 2)];
        let eight = Runs::new(records[..1].iter());
        assert_eq!(eight.over_training("cosine"), Some([1.0, 2.0, 4.0, 6.0, 8.0]));
        assert_eq!(eight.over_training("another"), None);
        assert_eq!(Runs::new(records.iter()).over_training("cosine"), Some([1.0, 1.5, 2.5, 3.5, 4.5]));
        assert_eq!(Runs::new([].iter()).over_training("cosine"), None);
    }

    #[test]
    fn a_row_that_is_another_one_is_not_compared_with_it() {
        let same = Record { same_as: Some("attention".to_owned()), ..record("one-look-100", 1, None, "1100") };
        let records = [record("attention", 1, None, "1100"), record("coarse2fine", 1, None, "1110"), same];
        let summary = Summary::new("synthetic", &records, None);
        assert_eq!(summary.rows[2].same_as.as_deref(), Some("attention"));
        assert!(summary.rows[2].against.is_empty() && !summary.rows[1].against.is_empty());
        assert_eq!(summary.made[0].1, 2, "its run is counted once");
        let alone = Summary::new("synthetic", &records[1..], None);
        assert_eq!(alone.made[0].1, 2, "its run is counted where the other row isn't shown");
    }

    #[test]
    fn rows_are_compared_by_the_seeds_that_both_have() {
        let records = [
            record("attention", 1, None, "1100"),
            record("attention", 2, None, "1000"),
            record("coarse2fine", 1, None, "1110"),
        ];
        let summary = Summary::new("synthetic", &records, None);
        assert_eq!(summary.pictures, 4);
        assert_eq!(summary.rows.iter().map(|row| row.row.as_str()).collect::<Vec<_>>(), ["attention", "coarse2fine"]);
        let [attention, ours] = summary.rows.as_slice() else { panic!("two rows") };
        assert_eq!((attention.top1.mean, attention.seeds.len()), (0.375, 2));
        assert!((attention.top1.sd.unwrap() - 0.125 * 2.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(ours.top1.sd, None);
        let comparison = ours.against["attention"];
        assert_eq!((comparison.paired.mean, comparison.error_reduction), (0.25, 0.5));
        assert_eq!((attention.training_time, ours.training_time), (None, None));
        assert_eq!(ours.measures["attention in box"], 0.5);
        assert!(ours.top1_fine.is_none() && ours.parameters.is_none());
        assert!(comparison.cross_entropy.is_none(), "of older versions");
    }

    #[test]
    fn cross_entropies_are_compared_picture_by_picture() {
        let with = |row, cross_entropy: &[u32]| Record {
            cross_entropy: cross_entropy.to_vec(),
            ..record(row, 1, None, "1100")
        };
        let records = [with("attention", &[100, 200, 900, 800]), with("coarse2fine", &[50, 150, 900, 700])];
        let summary = Summary::new("synthetic", &records, None);
        let difference = summary.rows[1].against["attention"].cross_entropy.unwrap();
        assert!((difference.mean + 0.05).abs() < 1e-12, "{difference:?}");
    }

    #[test]
    fn training_takes_its_epochs_at_the_measured_speeds() {
        let cost = |speed| Cost { train_images_per_s: speed, infer_images_per_s: 100.0, train_peak_mb: None };
        let costs = [("attention", cost(20.0)), ("coarse2fine", cost(5.0)), ("attention-as-long", cost(20.0))];
        let costs = Costs { made: made(), rows: costs.map(|(row, cost)| (row.to_owned(), cost)).into() };
        let rows = ["attention", "coarse2fine", "attention-as-long", "ws-dan"];
        let record = |row, stages: &[&str]| {
            let epoch = |stage: &&str| serde_json::json!({ "stage": stage }).as_object().unwrap().clone();
            Record { epochs: stages.iter().map(epoch).collect(), ..record(row, 1, None, "10") }
        };
        let records = [
            record("attention", &["coarse"; 3]),
            record("coarse2fine", &["coarse", "fine", "fine"]),
            record("attention-as-long", &["coarse"; 5]),
            record("ws-dan", &["fine"; 3]),
        ];
        let summary = Summary::new("synthetic", &records, Some(&costs));
        let find = |name| summary.rows.iter().find(|row| row.row == name).unwrap();
        let times = rows.map(|name| find(name).training_time);
        let expected = [1.0, (0.05 + 2.0 * 0.2) / 0.15, 5.0 / 3.0];
        assert!(times.iter().zip(expected).all(|(time, wanted)| (time.unwrap() - wanted).abs() < 1e-12), "{times:?}");
        assert_eq!(times[3], None, "its speed wasn't measured");
    }

    #[test]
    fn folds_make_one_test_set() {
        let records = [
            record("attention", 1, Some("1/2"), "110"),
            record("attention", 1, Some("2/2"), "0"),
            record("attention", 2, Some("1/2"), "111"),
        ];
        let summary = Summary::new("synthetic", &records, None);
        assert_eq!((summary.pictures, summary.rows[0].seeds.as_slice()), (4, &[1_u64][..]));
        assert_eq!(summary.rows[0].top1.mean, 0.5);
    }
}
