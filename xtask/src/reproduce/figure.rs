//! The table as a picture: a line for each row, with its seeds, their mean and the standard deviation.

use std::fmt::Write;

use super::record::Record;
use super::summary::Summary;

/// In the units of the view box.
const WIDTH: f64 = 720.0;
const LABELS: f64 = 220.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 12.0;
const LINE: f64 = 26.0;
const AXIS: f64 = 34.0;

/// An SVG with the accuracies of each row.
pub fn figure(summary: &Summary, records: &[Record]) -> String {
    let top1 = |record: &Record| record.test(&["top1"]);
    let all = records.iter().filter_map(top1);
    let (low, high) = all.fold((1.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    // Whole steps of five points around all values.
    let (low, high) = ((low * 20.0 - 0.2).floor() / 20.0, (high * 20.0 + 0.2).ceil() / 20.0);
    let x = |value: f64| LABELS + (value - low) / (high - low) * (WIDTH - LABELS - RIGHT);
    let bottom = TOP + LINE * summary.rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n",
        height = bottom + AXIS
    );
    let steps = ((high - low) * 20.0).round() as usize;
    for step in 0..=steps {
        let value = low + step as f64 / 20.0;
        let at = x(value);
        let _ = writeln!(svg, "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#ddd\"/>");
        let label = format!("{:.0}", value * 100.0);
        let y = bottom + 14.0;
        let _ = writeln!(svg, "<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\" fill=\"#444\">{label}</text>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#444\">top-1 accuracy, %; dots: runs; bar: mean ± sd over seeds</text>",
        (LABELS + WIDTH - RIGHT) / 2.0,
        bottom + 29.0
    );
    for (index, row) in summary.rows.iter().enumerate() {
        let y = TOP + LINE * (index as f64 + 0.5);
        let (mean, sd) = (row.top1.mean, row.top1.sd.unwrap_or(0.0));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", LABELS - 10.0, y + 4.0, row.row);
        let (from, to) = (x((mean - sd).max(low)), x((mean + sd).min(high)));
        let _ = writeln!(
            svg,
            "<line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#1f5fa8\" stroke-width=\"3\"/>"
        );
        let at = x(mean);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{}\" stroke=\"#1f5fa8\" stroke-width=\"3\"/>",
            y - 7.0,
            y + 7.0
        );
        for value in records.iter().filter(|record| record.row == row.row).filter_map(top1) {
            let at = x(value);
            let _ =
                writeln!(svg, "<circle cx=\"{at:.1}\" cy=\"{y}\" r=\"3.5\" fill=\"#d9822b\" fill-opacity=\"0.8\"/>");
        }
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::super::summary::tests::record;
    use super::*;

    #[test]
    fn every_run_is_a_dot_inside_of_the_picture() {
        let records = [record("attention", 1, None, "1100"), record("attention", 2, None, "1111")];
        let summary = Summary::new("synthetic", &records, None);
        let svg = figure(&summary, &records);
        assert_eq!(svg.matches("<circle").count(), 2);
        let document = svg.replace('\n', "");
        assert!(document.starts_with("<svg") && document.ends_with("</svg>"));
        for x in svg.split("cx=\"").skip(1).map(|rest| rest.split('"').next().unwrap().parse::<f64>().unwrap()) {
            assert!((LABELS..=WIDTH - RIGHT).contains(&x), "{x}");
        }
    }
}
