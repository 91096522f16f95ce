//! What a training run leaves: overlays, the report, and what it says on stdout.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use c2f_data::Sample;
use c2f_engine::TestViews;
use c2f_engine::checkpoint::best_path;
use c2f_engine::{EpochRecord, Explanation, Network, Picture, Recipe, Summary, TrainOptions};
use c2f_report::{Card, Report};

use super::{one_line, percent, print};
use crate::bars;

/// Pictures on the page, and in the folder of overlays.
const SAMPLES: usize = 8;
/// Wrong answers on the page.
const MISTAKES: usize = 8;
/// Classes that an overlay lists.
const GUESSES: usize = 5;

/// What to do for an epoch to be chosen.
const NO_CHOICE: &str = "the data set has no pictures to choose an epoch on, so this is the last; `holdout=10` among its \
                         options holds a tenth of the training pictures out for that";

/// Prints the results, then writes overlays and report into the run's folder: the trained network is safe, so what goes
/// wrong there is a warning. A run that was stopped isn't evaluated again, so its page lacks the mistakes.
pub fn finish(recipe: &Recipe, options: &TrainOptions, summary: &Summary) -> Result<()> {
    let run = &summary.output;
    let mut text = String::new();
    match &summary.best {
        Some(best) => write_results(&mut text, recipe, best, summary)?,
        None => writeln!(text, "no epoch was finished")?,
    }
    let printed = print(&text);
    text.clear();
    match write_pages(recipe, options, summary) {
        Ok(()) if summary.best.is_some() => {
            writeln!(text, "report      {}", run.join("report.html").display())?;
            writeln!(text, "overlays    {}", run.join("overlays").display())?;
        }
        Ok(()) => {}
        Err(error) => {
            tracing::warn!("The network is trained and saved, but its report isn't whole: {}", one_line(&error));
        }
    }
    if summary.interrupted {
        writeln!(text, "\nstopped and saved; to go on:\n  {}", resume_command(run))?;
    } else {
        write_next(&mut text, recipe.data.as_deref().unwrap_or_default(), run)?;
    }
    printed.and_then(|()| print(&text))
}

/// Overlays and the report.
fn write_pages(recipe: &Recipe, options: &TrainOptions, summary: &Summary) -> Result<()> {
    let (run, data) = (&summary.output, &summary.data);
    let records = c2f_engine::read_metrics(&run.join("metrics.jsonl"))?;
    let mut shown = Shown::default();
    if best_path(run).exists() {
        let network = c2f_engine::load_network(run, &options.device)?.finished();
        shown = Shown::of(&network, data.validation(), !summary.interrupted)?;
        save_overlays(&shown.samples, &run.join("overlays"))?;
        if let Some(best) = &summary.best {
            write_card(&network, best, summary)?;
        }
    }
    let notice = match (summary.interrupted, data.may_choose()) {
        (true, _) => Some(format!("This run was stopped. It goes on with: {}", resume_command(run))),
        (false, false) => Some(format!("No epoch was chosen: {NO_CHOICE}.")),
        (false, true) => None,
    };
    let page = Report {
        name: &run.display().to_string(),
        data: recipe.data.as_deref().unwrap_or_default(),
        classes: data.dataset.classes.len(),
        pictures: data.validation().len(),
        recipe,
        records: &records,
        best: summary.best.as_ref(),
        is_chosen: data.may_choose(),
        samples: &shown.samples,
        mistakes: &shown.mistakes,
        notice: notice.as_deref(),
    };
    Ok(page.write(&run.join("report.html"))?)
}

/// The model card, so that the folder can be put on the hub as it is.
fn write_card(network: &Network, best: &EpochRecord, summary: &Summary) -> Result<()> {
    let (run, data) = (&summary.output, &summary.data);
    let name = run.canonicalize().unwrap_or_else(|_| run.clone());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let card = Card {
        name: &name,
        data: &data.dataset.name,
        split: data.validation_split,
        pictures: data.validation().len(),
        trained_on: data.train.len(),
        classes: &network.classes,
        recipe: &network.recipe,
        best,
        held_out: network.held_out.as_ref(),
    };
    Ok(card.write(run)?)
}

#[derive(Default)]
struct Shown {
    samples: Vec<Explanation>,
    mistakes: Vec<Explanation>,
}

impl Shown {
    /// Evenly spaced pictures and, if asked for, the most confident mistakes.
    fn of(network: &Network, pictures: &[Sample], with_mistakes: bool) -> Result<Self> {
        let count = SAMPLES.min(pictures.len());
        let evenly = (0..count).map(|i| (2 * i + 1) * pictures.len() / (2 * count));
        let samples = explain(network, &evenly.map(|i| &pictures[i]).collect::<Vec<_>>())?;
        if !with_mistakes {
            return Ok(Self { samples, mistakes: Vec::new() });
        }
        let bar = bars::bar("report", pictures.len());
        let evaluation = c2f_engine::evaluate(network, pictures, TestViews::default(), &mut |done, _| {
            bar.set_position(done as u64);
        })?;
        bar.finish_and_clear();
        let mut wrong: Vec<_> = evaluation.rows.iter().filter(|row| row.predicted != row.label).collect();
        wrong.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let wrong: Vec<_> = wrong.iter().take(MISTAKES).map(|row| &pictures[row.sample]).collect();
        Ok(Self { samples, mistakes: explain(network, &wrong)? })
    }
}

/// What the network made of the samples; those that can't be read are left out.
fn explain(network: &Network, samples: &[&Sample]) -> Result<Vec<Explanation>> {
    let (transform, limits) = (network.eval_transform(), network.recipe.loader.limits());
    let picture = |sample: &&Sample| {
        let views = vec![transform.apply(&c2f_data::decode_within(sample, limits).ok()?, 0, 0, 0)];
        Some(Picture { name: sample.file.to_string(), views, truth: Some(network.classes[sample.label].clone()) })
    };
    let pictures: Vec<Picture> = samples.iter().filter_map(picture).collect();
    Ok(c2f_engine::explain(network, &pictures, GUESSES)?)
}

/// Numbered, in the order of the report: pictures' names may be longer than a file's may.
fn save_overlays(explanations: &[Explanation], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (index, explanation) in explanations.iter().enumerate() {
        let path = folder.join(format!("{:02}.png", index + 1));
        c2f_report::save_png(&c2f_report::sheet(explanation), &path)?;
    }
    Ok(())
}

fn write_results(text: &mut String, recipe: &Recipe, best: &EpochRecord, summary: &Summary) -> Result<()> {
    let (data, classes) = (&summary.data, summary.data.dataset.classes.len());
    let (pictures, split) = (data.validation().len(), data.validation_split);
    writeln!(text, "{} on {}: {pictures} pictures of {split}, {classes} classes", recipe.method, recipe.backbone)?;
    let which = if data.may_choose() { "best" } else { "last" };
    writeln!(
        text,
        "  {:<20} {:>8}   (chance: {}; {which} of {} epochs: {})",
        "top-1",
        percent(best.val_top1),
        percent(1.0 / classes as f64),
        recipe.epochs,
        best.epoch
    )?;
    let looks = [
        ("top-1, coarse look", best.val_top1_coarse),
        ("top-1, fine look", best.val_top1_fine),
        ("top-5", Some(best.val_top5)),
    ];
    for (label, share) in looks {
        if let Some(share) = share {
            writeln!(text, "  {label:<20} {:>8}", percent(share))?;
        }
    }
    if !data.may_choose() {
        writeln!(text, "  {NO_CHOICE}")?;
    }
    writeln!(text, "\ncheckpoint  {}", best_path(&summary.output).display())?;
    Ok(())
}

/// Commands to go on with, as this program was called.
fn write_next(text: &mut String, data: &str, run: &Path) -> Result<()> {
    let program = program();
    let checkpoint = quoted(&run.display().to_string());
    writeln!(text, "\nnext, for example")?;
    writeln!(text, "  {program} eval --checkpoint {checkpoint} --data {}", quoted(data))?;
    writeln!(text, "  {program} predict --checkpoint {checkpoint} --overlay seen PICTURE.jpg")?;
    writeln!(text, "  {program} train --data folder:PICTURES --weights tf_efficientnet_lite0.in1k")?;
    Ok(())
}

fn resume_command(run: &Path) -> String {
    format!("{} train --resume --output {}", program(), quoted(&run.display().to_string()))
}

fn program() -> String {
    quoted(&std::env::args().next().unwrap_or_else(|| "c2f-train".to_owned()))
}

/// The text as one word for a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("runs/a-1"), "runs/a-1");
        assert_eq!(quoted("cub2010:birds?classes=30"), "'cub2010:birds?classes=30'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
