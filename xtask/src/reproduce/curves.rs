//! Accuracy against training time: each row with schedules of several lengths, which is what rows of unequal cost are to be
//! compared by.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::cost::Costs;
use super::page::percent;
use super::record::Record;
use super::rows::Row;
use super::summary::{Runs, Spread};
use crate::table::Table;

/// What a row reaches with a schedule.
pub struct Point {
    row: &'static str,
    epochs: usize,
    seeds: usize,
    /// Training time in epochs of one look: those of the row `attention` at its measured speed.
    time: f64,
    top1: Spread,
    cross_entropy: Option<f64>,
}

/// The points of the rows whose speed was measured, in the order of the rows and of the schedules.
pub fn points(records: &[Record], costs: &Costs) -> Vec<Point> {
    let Some(one_look) = costs.rows.get("attention") else { return Vec::new() };
    let mut by_schedule: BTreeMap<(usize, usize), Vec<&Record>> = BTreeMap::new();
    for record in records {
        if let Some(place) = Row::all().position(|row| row.name == record.row) {
            by_schedule.entry((place, record.epochs.len())).or_default().push(record);
        }
    }
    let point = |((place, epochs), records): ((usize, usize), Vec<&Record>)| {
        let row = Row::all().nth(place)?.name;
        let runs = Runs::new(records.into_iter());
        let seconds = runs.training_time(costs.rows.get(row)?, one_look)?;
        Some(Point {
            row,
            epochs,
            seeds: runs.seeds(),
            time: seconds * one_look.train_images_per_s,
            top1: runs.spread(&["top1"])?,
            cross_entropy: runs.mean_of(&["loss"]),
        })
    };
    by_schedule.into_iter().filter_map(point).collect()
}

/// The page, with the picture in `figure`.
pub fn page(data: &str, points: &[Point], figure: &str) -> String {
    let mut table = Table::new(&["row", "epochs", "seeds", "training time", "top-1", "cross entropy"]);
    for point in points {
        table.push([
            format!("`{}`", point.row),
            point.epochs.to_string(),
            point.seeds.to_string(),
            format!("{:.1}", point.time),
            percent(point.top1),
            point.cross_entropy.map_or("-".to_owned(), |value| format!("{value:.3}")),
        ]);
    }
    format!(
        "# {data}: accuracy against training time\n\nEach schedule is a training of its own. Its time is in epochs of one look, those of `attention`, at the speeds in cost.json. Top-1 after the\n\
         last epoch in per cent, mean ± standard deviation over seeds.\n\n![Accuracy against training time]({figure})\n\n{table}"
    )
}

/// In the units of the view box.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 48.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 44.0;
/// Of the rows, in turn: those of Okabe and Ito (2008), which people with any colour vision can tell apart.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"];

/// An SVG with a line for each row; time is logarithmic.
pub fn figure(points: &[Point]) -> String {
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (first, last) = bounds(&mut points.iter().map(|point| point.time.log2()));
    let ends = |point: &Point| [-1.0, 1.0].map(|sign: f64| point.top1.mean + sign * point.top1.sd.unwrap_or(0.0));
    let (low, high) = bounds(&mut points.iter().flat_map(ends));
    // Whole steps of five points around all values.
    let (low, high) = ((low * 20.0 - 0.2).floor() / 20.0, (high * 20.0 + 0.2).ceil() / 20.0);
    let x = |time: f64| LEFT + (time.log2() - first) / (last - first).max(1e-9) * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| HEIGHT - BOTTOM - (share - low) / (high - low) * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for step in 0..=((high - low) * 20.0).round() as usize {
        let share = low + step as f64 / 20.0;
        let (at, end) = (y(share), WIDTH - RIGHT);
        let _ = writeln!(svg, "<line x1=\"{LEFT}\" x2=\"{end}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>");
        let (label, text) = (format!("{:.0}", 100.0 * share), at + 4.0);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text:.1}\" text-anchor=\"end\" fill=\"#444\">{label}</text>",
            LEFT - 6.0
        );
    }
    // Powers of two.
    for power in first.ceil() as i32..=last.floor() as i32 {
        let (at, label, bottom) = (x(2.0_f64.powi(power)), 2.0_f64.powi(power), HEIGHT - BOTTOM);
        let _ = writeln!(svg, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#ddd\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444\">{label}</text>",
            bottom + 15.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444\">training time, in epochs of one look; top-1 accuracy, %, mean ± sd</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0
    );
    let mut rows: Vec<&str> = points.iter().map(|point| point.row).collect();
    rows.dedup();
    for (index, row) in rows.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let own: Vec<&Point> = points.iter().filter(|point| point.row == *row).collect();
        let line: Vec<String> =
            own.iter().map(|point| format!("{:.1},{:.1}", x(point.time), y(point.top1.mean))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        );
        for point in own {
            let (at, [from, to]) = (x(point.time), ends(point).map(y));
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{from:.1}\" y2=\"{to:.1}\" stroke=\"{colour}\"/>"
            );
            let _ =
                writeln!(svg, "<circle cx=\"{at:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/>", y(point.top1.mean));
        }
        let (left, top) = (WIDTH - RIGHT + 12.0, TOP + 18.0 * (index as f64 + 0.5));
        let _ = writeln!(svg, "<circle cx=\"{left}\" cy=\"{}\" r=\"4\" fill=\"{colour}\"/>", top - 4.0);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{top}\">{row}</text>", left + 10.0);
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::super::cost::Cost;
    use super::super::summary::tests::{made, record};
    use super::*;

    fn run(row: &str, seed: u64, epochs: usize, correct: &str) -> Record {
        let stage = if row == "attention" { "coarse" } else { "fine" };
        let epoch = || serde_json::json!({ "stage": stage }).as_object().unwrap().clone();
        Record { epochs: (0..epochs).map(|_| epoch()).collect(), ..record(row, seed, None, correct) }
    }

    #[test]
    fn rows_are_laid_by_the_time_that_they_take() {
        let cost = |speed| Cost { train_images_per_s: speed, infer_images_per_s: 1.0, train_peak_mb: None };
        let rows = [("attention", cost(100.0)), ("coarse2fine", cost(50.0))];
        let costs = Costs { made: made(), rows: rows.map(|(row, cost)| (row.to_owned(), cost)).into() };
        let records = [
            run("attention", 1, 4, "1100"),
            run("coarse2fine", 1, 2, "1110"),
            run("attention", 1, 2, "1000"),
            run("attention", 2, 4, "1111"),
            run("ws-dan", 1, 4, "1100"),
        ];
        let points = points(&records, &costs);
        let seen: Vec<_> = points.iter().map(|p| (p.row, p.epochs, p.seeds, p.time, p.top1.mean)).collect();
        // ws-dan's speed wasn't measured.
        let expected =
            [("attention", 2, 1, 2.0, 0.25), ("attention", 4, 2, 4.0, 0.75), ("coarse2fine", 2, 1, 4.0, 0.75)];
        assert_eq!(seen, expected);
        let page = page("synthetic", &points, "curves.svg");
        assert!(page.contains("| `coarse2fine` |") && page.contains("75.0 ± 35.4"), "{page}");
        let svg = figure(&points);
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (2, 5));
        for x in svg.split(" cx=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap()) {
            assert!((LEFT..=WIDTH).contains(&x), "{x}");
        }
    }
}
