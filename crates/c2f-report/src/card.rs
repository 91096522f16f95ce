//! A run's model card: `README.md`, with the front matter that the Hugging Face hub reads (Mitchell et al. 2019, arXiv 1810.03993).

use std::path::Path;

use c2f_engine::{EpochRecord, HeldOut, Recipe};
use c2f_files::atomic;
use minijinja::Environment;
use minijinja::value::Serde;
use serde::Serialize;

use crate::Result;

/// By this line a card is known as one that nobody has taken over.
const MARK: &str = "<!-- Written by c2f-train. Take this line out to keep what you write here. -->";
/// The normal distribution's share of 95 % lies so many deviations to either side.
const DEVIATIONS: f64 = 1.96;

/// What a trained network is, for whoever finds it.
#[derive(Debug, Clone, Copy)]
pub struct Card<'a> {
    /// The run's name.
    pub name: &'a str,
    /// The data set's, without where it lies.
    pub data: &'a str,
    /// The split that it was measured on.
    pub split: &'a str,
    /// Pictures of that split.
    pub pictures: usize,
    /// Pictures that it was trained on.
    pub trained_on: usize,
    /// The classes.
    pub classes: &'a [String],
    /// All settings.
    pub recipe: &'a Recipe,
    /// The epoch whose network it is.
    pub best: &'a EpochRecord,
    /// What held-out pictures say of it.
    pub held_out: Option<&'a HeldOut>,
}

impl Card<'_> {
    /// The card.
    pub fn to_markdown(&self) -> String {
        let mut templates = Environment::new();
        templates.add_filter("quoted", |text: &str| serde_json::Value::from(text).to_string());
        templates.add_filter("escaped", escaped);
        let card = templates
            .add_template("card.md", include_str!("card.md.j2"))
            .and_then(|()| templates.get_template("card.md"))
            .and_then(|template| template.render(Serde(self.page())))
            .unwrap_or_else(|e| unreachable!("the embedded template is valid: {e:#}"));
        // The template's last line break isn't rendered.
        card + "\n"
    }

    /// Writes the card into a run's folder, unless there is a `README.md` of somebody's there.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        let path = run.join("README.md");
        if !path.exists() || c2f_files::is_free(&path, MARK) {
            atomic::write(&path, self.to_markdown().as_bytes())?;
        }
        Ok(())
    }

    fn page(&self) -> Page<'_> {
        let metric = |kind, label: &str, share: f64| {
            let [low, high] = interval(share, self.pictures);
            Metric { kind, value: share, label: format!("{label} (95 % interval {low:.3} to {high:.3})") }
        };
        let mut metrics = vec![metric("accuracy", "top-1", self.best.val_top1)];
        metrics.extend(self.best.val_top1_coarse.map(|share| metric("accuracy", "top-1, coarse look", share)));
        metrics.extend(self.best.val_top1_fine.map(|share| metric("accuracy", "top-1, fine look", share)));
        metrics.push(metric("accuracy", "top-5", self.best.val_top5));
        Page {
            mark: MARK,
            name: self.name,
            data: self.data,
            kind: self.data.split(':').next().unwrap_or(self.data),
            split: self.split,
            is_chosen: self.split == "val",
            pictures: self.pictures,
            trained_on: self.trained_on,
            epoch: self.best.epoch,
            metrics,
            classes: self.classes,
            method: self.recipe.method.to_string(),
            backbone: &self.recipe.backbone,
            image_size: self.recipe.image_size,
            // Without paths, which say nothing elsewhere.
            recipe: Recipe { data: None, weights: None, ..self.recipe.clone() }.to_toml(),
            held_out: self.held_out,
        }
    }
}

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    mark: &'static str,
    name: &'a str,
    data: &'a str,
    kind: &'a str,
    split: &'a str,
    is_chosen: bool,
    pictures: usize,
    trained_on: usize,
    epoch: usize,
    metrics: Vec<Metric>,
    classes: &'a [String],
    method: String,
    backbone: &'a str,
    image_size: usize,
    recipe: String,
    held_out: Option<&'a HeldOut>,
}

#[derive(Serialize)]
struct Metric {
    kind: &'static str,
    value: f64,
    label: String,
}

/// Text of somebody's as Markdown shows it: in one line, and nothing in it means anything.
fn escaped(text: &str) -> String {
    let letter = |c: char| match c {
        c if c.is_control() => " ".to_owned(),
        c if c.is_ascii_punctuation() && !",.:;'-()/".contains(c) => format!("\\{c}"),
        c => c.to_string(),
    };
    text.chars().map(letter).collect::<Vec<_>>().concat()
}

/// Wilson's interval of 95 % around a share of `n` pictures (1927): what other pictures of the same kind would give.
fn interval(share: f64, n: usize) -> [f64; 2] {
    let (n, square) = (n.max(1) as f64, DEVIATIONS * DEVIATIONS);
    let centre = share + square / (2.0 * n);
    let half = DEVIATIONS * (share * (1.0 - share) / n + square / (4.0 * n * n)).max(0.0).sqrt();
    [centre - half, centre + half].map(|end| end / (1.0 + square / n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(folder: &Path) -> String {
        let recipe = Recipe::load("quickstart").unwrap();
        let line = r#"{"epoch":3,"stage":"fine","train_loss":2.0,"train_top1":0.5,"val_loss":1.5,"val_top1":0.8,
            "val_top1_coarse":0.75,"val_top1_fine":0.7,"val_top5":0.95,"val_area":null,"lr":0.01,"images_per_s":9.0}"#;
        let best: EpochRecord = serde_json::from_str(line).unwrap();
        let classes = ["gull, \"grey\"".to_owned(), "# crow: *black*".to_owned()];
        let card = Card {
            name: "my: run",
            data: "cub2010:birds",
            split: "val",
            pictures: 100,
            trained_on: 400,
            classes: &classes,
            recipe: &recipe,
            best: &best,
            held_out: None,
        };
        card.write(folder).unwrap();
        std::fs::read_to_string(folder.join("README.md")).unwrap()
    }

    #[test]
    fn a_card_has_front_matter_and_takes_nobodys_place() {
        let folder = tempfile::tempdir().unwrap();
        let text = card(folder.path());
        let (front, body) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
        for line in
            ["library_name: c2f", "pipeline_tag: image-classification", "      value: 0.8", "    - type: accuracy"]
        {
            assert!(front.lines().any(|there| there == line), "{line} in {front}");
        }
        // Names are in quotes: a colon or a hash would be YAML's.
        assert!(front.contains("- name: \"my: run\"") && front.contains("0.711 to 0.867"), "{front}");
        assert!(body.contains("\\# crow: \\*black\\*") && body.contains("400 pictures"), "{body}");
        assert_eq!(card(folder.path()), text, "ours is written anew");

        let path = folder.path().join("README.md");
        std::fs::write(&path, "My own").unwrap();
        assert_eq!(card(folder.path()), "My own");
    }

    #[test]
    fn intervals_are_wilsons() {
        // statsmodels.stats.proportion.proportion_confint(8, 10, method="wilson")
        let [low, high] = interval(0.8, 10);
        assert!((low - 0.4902).abs() < 1e-3 && (high - 0.9433).abs() < 1e-3, "{low} {high}");
        let [low, high] = interval(1.0, 50);
        assert!(low > 0.92 && (high - 1.0).abs() < 1e-9);
    }
}
