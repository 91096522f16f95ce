//! The report of a run: one page of HTML that needs nothing else, neither files nor a network.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use c2f_engine::{EpochRecord, Explanation, Recipe, Stage};
use c2f_files::atomic;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, RgbImage};
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

use crate::chart::{Chart, Series};
use crate::{Result, attention_panel, region_panel};

/// Side of the pictures on the page, in pixels: as large as they are shown on a screen of common density.
const PANEL: u32 = 160;
const JPEG_QUALITY: u8 = 82;

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// The heading: the run's name.
    pub name: &'a str,
    /// The data set's name.
    pub data: &'a str,
    /// How many classes it has.
    pub classes: usize,
    /// How many pictures the accuracies are measured on.
    pub pictures: usize,
    /// All settings.
    pub recipe: &'a Recipe,
    /// The epochs so far.
    pub records: &'a [EpochRecord],
    /// The epoch of the checkpoint that the pictures come from; its numbers head the page.
    pub best: Option<&'a EpochRecord>,
    /// Whether that epoch is the best one; if not, it is the last.
    pub is_chosen: bool,
    /// Pictures with what the network made of them.
    pub samples: &'a [Explanation],
    /// The wrong answers with the highest probabilities, the most confident first.
    pub mistakes: &'a [Explanation],
    /// Something to say first, such as that the run was stopped.
    pub notice: Option<&'a str>,
}

impl Report<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let mut templates = Environment::new();
        templates
            .add_template("report.html", include_str!("report.html.j2"))
            .and_then(|()| templates.get_template("report.html"))
            .and_then(|template| template.render(Serde(self.page())))
            .unwrap_or_else(|e| unreachable!("the embedded template is valid: {e:#}"))
    }

    /// Writes the page, replacing an older one at once.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(atomic::write(path, self.to_html().as_bytes())?)
    }

    fn page(&self) -> Page<'_> {
        let fine_from = self.records.iter().position(|r| r.stage == Stage::Fine);
        Page {
            name: self.name,
            summary: self.summary(),
            notice: self.notice,
            numbers: self.numbers(),
            charts: self.charts(fine_from),
            staged: fine_from.is_some_and(|epoch| epoch > 0),
            samples: cards(self.samples),
            mistakes: cards(self.mistakes),
            fine_look: self.samples.iter().any(Explanation::has_fine_look),
            recipe: self.recipe.to_toml(),
        }
    }

    fn summary(&self) -> String {
        let recipe = self.recipe;
        format!(
            "{} on {} at {} pixels · {}, {} classes · {} of {} epochs",
            recipe.method,
            recipe.backbone,
            recipe.image_size,
            self.data,
            self.classes,
            self.records.len(),
            recipe.epochs,
        )
    }

    fn numbers(&self) -> Vec<Number> {
        let Some(best) = self.best else { return Vec::new() };
        let share = |label: &'static str, value: f64, note: String| Number { label, value: percent(value), note };
        // Binomial: what another set of as many pictures would give or take.
        let error = (best.val_top1 * (1.0 - best.val_top1)).max(0.0) / self.pictures.max(1) as f64;
        let error = error.sqrt();
        let mut numbers = vec![share("top-1", best.val_top1, format!("± {:.1}", error * 100.0))];
        numbers.extend(best.val_top1_coarse.map(|v| share("top-1, coarse look", v, String::new())));
        numbers.extend(best.val_top1_fine.map(|v| share("top-1, fine look", v, String::new())));
        numbers.push(share("top-5", best.val_top5, String::new()));
        numbers.push(share("chance", 1.0 / self.classes.max(1) as f64, String::new()));
        let plain = |label, value: String| Number { label, value, note: String::new() };
        numbers.push(plain("pictures tested", self.pictures.to_string()));
        numbers.push(plain(if self.is_chosen { "best epoch" } else { "last epoch" }, best.epoch.to_string()));
        let digits = usize::from(best.images_per_s < 100.0);
        numbers.push(plain("images/s, training", format!("{:.digits$}", best.images_per_s)));
        numbers
    }

    fn charts(&self, fine_from: Option<usize>) -> Vec<Chart> {
        if self.records.is_empty() {
            return Vec::new();
        }
        let series = |label, value: fn(&EpochRecord) -> Option<f64>| Series {
            label,
            values: self.records.iter().map(value).collect(),
        };
        let mut accuracy = vec![series("combined", |r| Some(r.val_top1))];
        if self.records.iter().any(|r| r.val_top1_fine.is_some()) {
            accuracy.push(series("coarse look", |r| r.val_top1_coarse));
            accuracy.push(series("fine look", |r| r.val_top1_fine));
        }
        let loss = [series("training", |r| r.train_loss), series("validation", |r| Some(r.val_loss))];
        let mut charts = vec![
            Chart::new("Top-1 accuracy, %", &accuracy, (0.0, 0.0), true, fine_from),
            Chart::new("Loss", &loss, (0.0, 0.0), false, fine_from),
        ];
        if self.records.iter().any(|r| r.val_attention_similarity.is_some()) {
            let cosine = [series("validation", |r| r.val_attention_similarity)];
            charts.push(Chart::new("Mean cosine between attention maps", &cosine, (0.0, 0.0), false, fine_from));
        }
        charts
    }
}

/// The template's variables.
#[derive(Serialize)]
struct Page<'a> {
    name: &'a str,
    summary: String,
    notice: Option<&'a str>,
    numbers: Vec<Number>,
    charts: Vec<Chart>,
    /// Whether the run has both stages.
    staged: bool,
    samples: Vec<Card<'a>>,
    mistakes: Vec<Card<'a>>,
    fine_look: bool,
    recipe: String,
}

#[derive(Serialize)]
struct Number {
    label: &'static str,
    value: String,
    note: String,
}

#[derive(Serialize)]
struct Card<'a> {
    name: &'a str,
    truth: Option<&'a str>,
    panels: Vec<Panel>,
    guesses: Vec<Guess<'a>>,
}

#[derive(Serialize)]
struct Panel {
    caption: &'static str,
    size: u32,
    jpeg: String,
}

#[derive(Serialize)]
struct Guess<'a> {
    class: &'a str,
    percent: String,
    /// The bar's colour: right, wrong or neither.
    verdict: &'static str,
}

fn cards(explanations: &[Explanation]) -> Vec<Card<'_>> {
    explanations.iter().map(card).collect()
}

fn card(explanation: &Explanation) -> Card<'_> {
    let mut panels = vec![panel("picture", &explanation.view)];
    if let Some(attention) = &explanation.attention {
        panels.push(panel("attention", &attention_panel(&explanation.view, attention)));
    }
    if explanation.has_fine_look() {
        let image = region_panel(&explanation.view, explanation.region.as_ref(), explanation.zoom);
        panels.push(panel("fine look", &image));
    }
    let verdict = |class: &str, rank: usize| match &explanation.truth {
        Some(truth) if truth == class => "right",
        Some(_) if rank == 0 => "wrong",
        _ => "",
    };
    let guesses = explanation.guesses.classes.iter().take(3).enumerate().map(|(rank, guess)| Guess {
        class: &guess.class,
        percent: format!("{:.1}", guess.probability * 100.0),
        verdict: verdict(&guess.class, rank),
    });
    Card { name: &explanation.name, truth: explanation.truth.as_deref(), panels, guesses: guesses.collect() }
}

fn panel(caption: &'static str, image: &RgbImage) -> Panel {
    let image = imageops::resize(image, PANEL, PANEL, FilterType::CatmullRom);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode(&image, PANEL, PANEL, ExtendedColorType::Rgb8)
        .unwrap_or_else(|e| unreachable!("a small picture fits into memory: {e}"));
    Panel { caption, size: PANEL, jpeg: BASE64.encode(jpeg) }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use c2f_engine::{Guess, Guesses, Map, read_metrics};
    use proptest::prelude::*;

    fn record(epoch: usize, stage: Stage, train_loss: Option<f64>) -> EpochRecord {
        EpochRecord {
            epoch,
            stage,
            train_loss,
            train_top1: Some(0.5),
            grad_norm: None,
            val_loss: 1.0,
            val_top1: 0.5,
            val_top1_coarse: Some(0.45),
            val_top1_fine: (stage == Stage::Fine).then_some(0.55),
            val_top5: 0.9,
            val_area: None,
            val_attention_similarity: None,
            lr: 0.01,
            images_per_s: 12.0,
            seconds: None,
        }
    }

    fn explanation() -> Explanation {
        let guess = |class: &str, probability| Guess { class: class.to_owned(), index: 0, probability };
        Explanation {
            name: "<b>.jpg".to_owned(),
            view: RgbImage::new(32, 32),
            truth: Some("R&D".to_owned()),
            attention: Some(Map::new(4, 4)),
            region: None,
            zoom: None,
            guesses: Guesses {
                classes: vec![guess("\"><script>alert(1)</script>", 0.9), guess("R&D", 0.1)],
                familiarity: 2.0,
            },
        }
    }

    fn report<'a>(recipe: &'a Recipe, records: &'a [EpochRecord], samples: &'a [Explanation]) -> Report<'a> {
        Report {
            name: "runs/<a>",
            data: "synthetic",
            classes: 3,
            pictures: 100,
            recipe,
            records,
            best: records.last(),
            is_chosen: true,
            samples,
            mistakes: &[],
            notice: None,
        }
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let recipe = Recipe::builtin("default").unwrap();
        let records = [record(1, Stage::Coarse, Some(2.0)), record(2, Stage::Fine, Some(1.0))];
        let page = report(&recipe, &records, &[explanation()]).to_html();
        assert!(!page.contains("<script") && !page.contains("<b>.jpg") && !page.contains("runs/<a>"));
        assert!(page.contains("R&amp;D") && page.contains("&lt;script&gt;"));
        // 0.5 on 100 pictures: a standard error of 5 points.
        assert!(page.contains("50.0 %") && page.contains("± 5.0"));
        assert!(page.contains("class=\"stage\"") && page.contains("fine look"));
        assert_eq!(page.matches("data:image/jpeg;base64,").count(), 2);
    }

    #[test]
    fn a_run_without_epochs_or_finite_losses_has_a_page() {
        let recipe = Recipe::builtin("default").unwrap();
        let empty = report(&recipe, &[], &[]).to_html();
        assert!(empty.contains("[optimizer]") && !empty.contains("<svg") && !empty.contains("<dl"));
        let page = report(&recipe, &[record(1, Stage::Coarse, None)], &[]).to_html();
        assert!(page.contains("<svg") && !page.contains("NaN"));
    }

    proptest! {
        #[test]
        fn metrics_that_a_hand_has_changed_never_spoil_the_page(
            lines in prop::collection::vec((0..14_usize, number()), 1..6)
        ) {
            let recipe = Recipe::builtin("default").unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("metrics.jsonl");
            let mut text = String::new();
            for (epoch, (field, number)) in (1..).zip(&lines) {
                let line = serde_json::to_value(record(epoch, Stage::Fine, Some(1.5))).unwrap();
                let fields = line.as_object().unwrap().iter().enumerate();
                let fields = fields.map(|(index, (name, value))| {
                    let value = value.to_string();
                    format!("{name:?}:{}", if index == *field { number } else { &value })
                });
                text += &["{", &fields.collect::<Vec<_>>().join(","), "}\n"].concat();
            }
            std::fs::write(&path, text).unwrap();
            match read_metrics(&path) {
                Ok(records) => {
                    let page = report(&recipe, &records, &[]).to_html();
                    prop_assert!(!page.contains("NaN") && !page.contains("inf "), "{page}");
                    prop_assert!(page.len() < 100_000);
                }
                Err(error) => prop_assert!(error.to_string().contains("metrics.jsonl, line "), "{error}"),
            }
        }
    }

    /// What somebody may write for a number.
    fn number() -> impl Strategy<Value = String> {
        let ends = ["0", "-0.0", "1e308", "-1e308", "5e-324", "1e-310", "1e999", "null", "true", "\"1\"", "NaN", "[]"];
        let whole = ["18446744073709551615", "18446744073709551616", "-9223372036854775808", "-1"];
        prop_oneof![
            prop::sample::select([&ends[..], &whole[..]].concat()).prop_map(str::to_owned),
            prop::num::f64::NORMAL.prop_map(|number| format!("{number:e}")),
            (-2.0..3.0).prop_map(|number: f64| number.to_string()),
        ]
    }

    #[test]
    fn writing_replaces_an_older_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        let recipe = Recipe::builtin("default").unwrap();
        std::fs::write(&path, "old").unwrap();
        report(&recipe, &[], &[]).write(&path).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("<!doctype html>"));
    }
}
