//! The rows of the table: a method, and what it changes in the recipe of the scale.

use anyhow::{Context, Result};

use super::scale::Recipe;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// As `--rows` and the table name it.
    pub name: &'static str,
    /// c2f-train's name of the method.
    pub method: &'static str,
    change: Change,
}

/// What a row changes in the recipe of the scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Fields, as `--set` takes them.
    Set(&'static [&'static str]),
    /// As many epochs as cost what Coarse2Fine's cost: an epoch of two looks counts as two.
    AsLongAsTwoLooks,
    /// The same time, of which the fine look has half of the recipe's epochs, at the end: the coarse look first, as the paper has it.
    StagedAsLong(&'static [&'static str]),
    /// Every look sees this multiple of the scale's side, in per cent.
    Size(usize),
    /// Nothing in the recipe: what `c2f-train eval` is asked for besides.
    Views(&'static [&'static str]),
}

const fn row(name: &'static str, method: &'static str, change: Change) -> Row {
    Row { name, method, change }
}

/// The methods beside each other: the same data, backbone, schedule and seeds.
const COMPARISON: [Row; 7] = [
    row("baseline", "baseline", Change::Set(&[])),
    row("attention", "attention", Change::Set(&[])),
    row("attention-orthogonal", "attention-orthogonal", Change::Set(&[])),
    row("ws-dan", "ws-dan", Change::Set(&[])),
    row("coarse2fine", "coarse2fine", Change::Set(&[])),
    row("coarse2fine-orthogonal", FULL, Change::Set(&[])),
    row("attention-as-long", "attention", Change::AsLongAsTwoLooks),
];

/// Methods of others that the field compares with (docs/method.md), on the same footing.
const FIELD: [Row; 5] = [
    row("isqrt-cov", "isqrt-cov", Change::Set(&[])),
    row("cal", "cal", Change::Set(&[])),
    row("mc-loss", "mc-loss", Change::Set(&[])),
    row("api-net", "api-net", Change::Set(&[])),
    row("pmg", "pmg", Change::Set(&[])),
];

/// The full method with one thing changed.
const ABLATIONS: [Row; 15] = [
    row("mask", FULL, Change::Set(&["inverse.mode=mask"])),
    row("zoom", FULL, Change::Set(&["inverse.mode=zoom"])),
    row("mask-zoom", FULL, Change::Set(&["inverse.mode=mask-zoom"])),
    row("maps-4", FULL, Change::Set(&["attention.maps=4"])),
    row("maps-8", FULL, Change::Set(&["attention.maps=8"])),
    row("maps-16", FULL, Change::Set(&["attention.maps=16"])),
    row("maps-32", FULL, Change::Set(&["attention.maps=32"])),
    row("area-20", FULL, Change::Set(&["inverse.area_target=0.2"])),
    row("area-40", FULL, Change::Set(&["inverse.area_target=0.4"])),
    row("area-60", FULL, Change::Set(&["inverse.area_target=0.6"])),
    row("no-area", FULL, Change::Set(&["inverse.area_weight=0"])),
    row("joint", FULL, Change::Set(&["inverse.coarse_epochs=0"])),
    row("registered", FULL, Change::Set(&["inverse.registered=true"])),
    row("path-cut", FULL, Change::Set(&["inverse.detach_attended=true"])),
    row("even-start", FULL, Change::Set(&["inverse.attention_gain=0"])),
];

/// What a fine look is worth without what is learnt, and what each part of the recipe adds to one look.
const CONTROLS: [Row; 6] = [
    row("centre-box", FULL, Change::Set(&["inverse.region=centre"])),
    row("random-box", FULL, Change::Set(&["inverse.region=random"])),
    row("attention-box", FULL, Change::Set(&["inverse.region=attention"])),
    row("centre-0", "attention", Change::Set(&["loss.center_weight=0"])),
    row("centre-half", "attention", Change::Set(&["loss.center_weight=0.5"])),
    row("attention-two-views", "attention", Change::Views(&["--flip"])),
];

/// Other paths from the fine look to the attention, and attention whose responses are orthogonal.
const PATHS: [Row; 14] = [
    row("staged-as-long", FULL, Change::StagedAsLong(&[])),
    row("staged-alternate-as-long", FULL, Change::StagedAsLong(&["inverse.steps=alternate"])),
    row("alternate", FULL, Change::Set(&["inverse.steps=alternate"])),
    row("detail", FULL, Change::Set(&DETAIL)),
    row("detail-cut", FULL, Change::Set(&["inverse.mode=detail", "inverse.gradient_scale=0"])),
    row("budget", FULL, Change::Set(&["inverse.gradient_scale=1", "inverse.gradient_budget=0.1"])),
    row("detail-budget", FULL, Change::Set(&[DETAIL[0], DETAIL[1], "inverse.gradient_budget=0.1"])),
    row("warp", FULL, Change::Set(&["inverse.mode=warp", "inverse.gradient_scale=1", "inverse.gradient_budget=0.1"])),
    row("probe", FULL, Change::Set(&["inverse.probe=on", "inverse.gradient_scale=0"])),
    row("probe-shuffled", FULL, Change::Set(&["inverse.probe=shuffled", "inverse.gradient_scale=0"])),
    row("whitened", FULL, Change::Set(&WHITENED)),
    row("whitened-start", FULL, Change::Set(&["attention.whitened=true"])),
    row("kaiming-rows-of-1", "coarse2fine", Change::Set(&["attention.gain=1.732"])),
    row("orthogonal-rows-of-0.577", FULL, Change::Set(&["attention.gain=0.577"])),
];

const DETAIL: [&str; 2] = ["inverse.mode=detail", "inverse.gradient_scale=1"];
const WHITENED: [&str; 3] =
    ["attention.whitened=true", "loss.attention_correlation_weight=1", "optimizer.attention_lr_scale=0.1"];

/// What the fine look gains from a larger picture, and what a larger coarse look would cost.
const SIZES: [Row; 4] = [
    row("one-look-100", "attention-orthogonal", Change::Size(100)),
    row("one-look-200", "attention-orthogonal", Change::Size(200)),
    row("zoom-from-100", FULL, Change::Set(&["inverse.source_scale=1"])),
    row("zoom-from-200", FULL, Change::Set(&["inverse.source_scale=2"])),
];

const FULL: &str = "coarse2fine-orthogonal";

impl Row {
    /// Every row, in the order of the tables.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        COMPARISON.iter().chain(&FIELD).chain(&ABLATIONS).chain(&CONTROLS).chain(&PATHS).chain(&SIZES)
    }

    /// The rows that a comma-separated list names: rows, or the groups `comparison`, `field`, `ablations`, `controls`, `paths` and `sizes`.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn parse(names: &str) -> Result<Vec<Self>> {
        let known = || Self::all().map(|row| row.name).collect::<Vec<_>>().join(", ");
        let mut rows = Vec::new();
        for name in names.split(',') {
            match name {
                "comparison" => rows.extend(COMPARISON),
                "field" => rows.extend(FIELD),
                "ablations" => rows.extend(ABLATIONS),
                "controls" => rows.extend(CONTROLS),
                "paths" => rows.extend(PATHS),
                "sizes" => rows.extend(SIZES),
                _ => rows.push(*Self::all().find(|row| row.name == name).with_context(|| {
                    format!(
                        "no row `{name}`; there are the groups comparison, field, ablations, controls, paths, sizes and the rows {}",
                        known()
                    )
                })?),
            }
        }
        let mut seen = Vec::new();
        rows.retain(|row| {
            let new = !seen.contains(&row.name);
            seen.push(row.name);
            new
        });
        Ok(rows)
    }

    /// What `--set` has to change in the recipe.
    pub fn settings(&self, recipe: &Recipe) -> Vec<String> {
        let mut settings = vec![format!("method={}", self.method)];
        match self.change {
            Change::Set(fields) => settings.extend(fields.iter().map(|field| (*field).to_owned())),
            Change::AsLongAsTwoLooks => {
                settings.push(format!("epochs={}", 2 * recipe.epochs - recipe.coarse_epochs));
            }
            Change::StagedAsLong(fields) => {
                let fine = recipe.epochs.div_ceil(2);
                let coarse = (2 * recipe.epochs - recipe.coarse_epochs).saturating_sub(2 * fine);
                settings.extend([format!("epochs={}", coarse + fine), format!("inverse.coarse_epochs={coarse}")]);
                settings.extend(fields.iter().map(|field| (*field).to_owned()));
            }
            Change::Size(share) => {
                settings.push(format!("image_size={}", recipe.image_size * share / 100));
            }
            Change::Views(_) => {}
        }
        settings
    }

    /// What `c2f-train eval` is asked for besides.
    pub fn views(&self) -> Vec<String> {
        match self.change {
            Change::Views(options) => options.iter().map(|option| (*option).to_owned()).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe { epochs: 10, coarse_epochs: 4, image_size: 112 }
    }

    fn settings(name: &str) -> Vec<String> {
        Row::parse(name).unwrap()[0].settings(&recipe())
    }

    #[test]
    fn groups_and_names_give_each_row_once() {
        let names = |text| Row::parse(text).unwrap().iter().map(|row| row.name).collect::<Vec<_>>();
        assert_eq!(names("attention,zoom,attention"), ["attention", "zoom"]);
        assert_eq!(names("comparison,baseline").len(), COMPARISON.len());
        let error = Row::parse("attention,crop").unwrap_err().to_string();
        assert!(error.contains("`crop`") && error.contains("path-cut"), "{error}");
    }

    #[test]
    fn rows_differ_in_what_they_say() {
        assert_eq!(settings("attention"), ["method=attention"]);
        assert_eq!(settings("attention-as-long"), ["method=attention", "epochs=16"]);
        // Six coarse epochs and five of both looks take as long as sixteen coarse ones.
        let staged = ["method=coarse2fine-orthogonal", "epochs=11", "inverse.coarse_epochs=6"];
        assert_eq!(settings("staged-as-long"), staged);
        assert_eq!(settings("path-cut"), ["method=coarse2fine-orthogonal", "inverse.detach_attended=true"]);
        assert_eq!(Row::parse("attention-two-views").unwrap()[0].views(), ["--flip"]);
        assert_eq!(settings("attention-two-views"), settings("attention"));
        assert!(settings("one-look-200").contains(&"image_size=224".to_owned()));
        assert!(settings("zoom-from-200").contains(&"inverse.source_scale=2".to_owned()));
    }
}
