//! The tables of `c2f-train eval --full`.

use std::fmt::{Result, Write};

use c2f_engine::measures::{ClassAccuracy, Confusion, Keypoints, Localisation, Measures};

use super::percent;
use crate::terminal::word;

/// Rows of the tables of confused pairs and of classes.
const ROWS: usize = 10;

/// Appends what was measured beyond accuracy.
pub fn write(text: &mut String, measures: &Measures) -> Result {
    write_calibration(text, measures)?;
    if !measures.levels.is_empty() {
        writeln!(text, "\nabove the classes, the most general first")?;
        for level in &measures.levels {
            let name = format!("level {}, {} groups", level.level, level.groups);
            writeln!(text, "  {name:<20} {:>8}", percent(level.top1))?;
        }
    }
    if let Some(localisation) = &measures.localisation {
        write_localisation(text, localisation)?;
    }
    if let Some(keypoints) = &measures.keypoints {
        write_keypoints(text, keypoints)?;
    }
    if let Some(cosine) = measures.attention_similarity {
        writeln!(text, "\nattention maps: mean cosine {cosine:.3} between two of a picture")?;
    }
    write_confused(text, &measures.confused)?;
    write_worst(text, &measures.per_class)
}

fn write_calibration(text: &mut String, measures: &Measures) -> Result {
    writeln!(text, "\ncalibration")?;
    writeln!(text, "  {:<20} {:>8}", "expected error", percent(measures.calibration.ece))?;
    writeln!(text, "  {:<20} {:>8.3}", "loss", measures.loss)?;
    writeln!(text, "  {:<20} {:>8.3}", "Brier score", measures.brier)?;
    writeln!(text, "  {:<20} {:>8} {:>9} {:>9}", "probability", "pictures", "mean", "right")?;
    for bin in &measures.calibration.bins {
        if let (Some(confidence), Some(accuracy)) = (bin.confidence, bin.accuracy) {
            let range = format!("{:.1} to {}", bin.from * 100.0, percent(bin.to));
            writeln!(text, "  {range:<20} {:>8} {:>9} {:>9}", bin.n, percent(confidence), percent(accuracy))?;
        }
    }
    Ok(())
}

fn write_localisation(text: &mut String, localisation: &Localisation) -> Result {
    let optional = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    writeln!(text, "\nwhere it looks ({} pictures)", localisation.n)?;
    let titles = ["in the box", "points", "in the parts", "points"];
    let mut row = |label: &str, values: [String; 4]| {
        let [a, b, c, d] = values;
        writeln!(text, "  {label:<20} {a:>12} {b:>8} {c:>14} {d:>8}")
    };
    row("", titles.map(str::to_owned))?;
    let maps = [("attention", Some(&localisation.attention)), ("region", localisation.region.as_ref())];
    for (label, scores) in maps {
        let Some(s) = scores else { continue };
        row(label, [percent(s.box_mass), percent(s.pointing), optional(s.parts_mass), optional(s.parts_pointing)])?;
    }
    let uniform = &localisation.attention;
    let (object, parts) = (percent(uniform.box_area), optional(uniform.parts_area));
    row("a uniform map", [object.clone(), object, parts.clone(), parts])?;
    if let Some(look) = &localisation.fine_box {
        let (area, object, iou) = (percent(look.area), percent(look.box_covered), percent(look.iou));
        let parts =
            look.parts_covered.map_or_else(String::new, |share| format!(" and {} of the parts", percent(share)));
        writeln!(text, "  the fine look sees {area} of the view, with {object} of the box{parts} (IoU {iou})")?;
    }
    Ok(())
}

fn write_keypoints(text: &mut String, keypoints: &Keypoints) -> Result {
    let optional = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    writeln!(text, "\nkeypoints ({} pictures)", keypoints.n)?;
    let mut row = |label: &str, values: [String; 3]| {
        let [n, hit, inside] = values;
        writeln!(text, "  {label:<20} {n:>8} {hit:>10} {inside:>18}")
    };
    row("", ["in view", "attended", "in the fine look"].map(str::to_owned))?;
    for part in &keypoints.parts {
        row(&word(&part.part), [part.n.to_string(), percent(part.hit), optional(part.in_fine_look)])?;
    }
    let n: usize = keypoints.parts.iter().map(|part| part.n).sum();
    row("all", [n.to_string(), percent(keypoints.hit), optional(keypoints.in_fine_look)])?;
    row("points anywhere", ["-".to_owned(), percent(keypoints.chance), "-".to_owned()])?;
    if let Some(share) = keypoints.whole_heads {
        writeln!(text, "  the fine look has all points of the head in {} of the pictures", percent(share))?;
    }
    Ok(())
}

fn write_confused(text: &mut String, confused: &[Confusion]) -> Result {
    if confused.is_empty() {
        return Ok(());
    }
    writeln!(text, "\nmost confused: pictures, share of the class")?;
    for pair in confused.iter().take(ROWS) {
        let (truth, predicted) = (word(&pair.truth), word(&pair.predicted));
        writeln!(text, "  {:>4} {:>8}  {truth} taken for {predicted}", pair.count, percent(pair.share))?;
    }
    Ok(())
}

fn write_worst(text: &mut String, classes: &[ClassAccuracy]) -> Result {
    let mut worst: Vec<&ClassAccuracy> = classes.iter().collect();
    worst.sort_by(|a, b| a.top1.total_cmp(&b.top1).then_with(|| a.class.cmp(&b.class)));
    writeln!(text, "\nworst classes: top-1, pictures")?;
    for class in worst.into_iter().take(ROWS) {
        writeln!(text, "  {:>8} {:>5}  {}", percent(class.top1), class.n, word(&class.class))?;
    }
    Ok(())
}
