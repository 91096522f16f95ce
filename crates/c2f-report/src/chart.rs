//! The geometry of a line chart; the template draws it.

use std::fmt::Write;

use serde::Serialize;

/// Size and plot area of every chart in the units of its SVG view box.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

#[derive(Serialize)]
pub struct Chart {
    title: &'static str,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    series: Vec<Line>,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    /// Where the fine stage starts, if it starts inside of the chart.
    stage: Option<f64>,
}

/// Values over epochs, in the order of the epochs; gaps are epochs without a finite value.
pub struct Series {
    pub label: &'static str,
    pub values: Vec<Option<f64>>,
}

#[derive(Serialize)]
struct Line {
    label: &'static str,
    path: String,
    points: Vec<(f64, f64)>,
}

#[derive(Serialize)]
struct Tick {
    at: f64,
    label: String,
}

impl Chart {
    /// Lays out series of the same length; those without any value are left out. `bounds` are the smallest range of the
    /// vertical axis, `percent` labels it in per cent, `fine_from` is the index of the fine stage's first epoch.
    pub fn new(
        title: &'static str,
        series: &[Series],
        bounds: (f64, f64),
        percent: bool,
        fine_from: Option<usize>,
    ) -> Self {
        let count = series.iter().map(|s| s.values.len()).max().unwrap_or(0);
        let finite = |v: &Option<f64>| v.and_then(plotted);
        let values = series.iter().flat_map(|s| s.values.iter().filter_map(finite));
        let (low, high) = values.fold(bounds, |(low, high), v| (low.min(v), high.max(v)));
        let step = nice_step((high - low) / 4.0);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        let high = if high > low { high } else { low + step };

        let x = |index: f64| {
            let share = if count > 1 { index / (count - 1) as f64 } else { 0.5 };
            round(LEFT + share * (WIDTH - LEFT - RIGHT))
        };
        let y = |value: f64| round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM));

        let lines = series.iter().filter_map(|s| {
            let mut path = String::new();
            let mut points = Vec::new();
            let mut pen = 'M';
            for (index, value) in s.values.iter().enumerate() {
                let Some(value) = finite(value) else {
                    pen = 'M';
                    continue;
                };
                let point = (x(index as f64), y(value));
                let _ = write!(path, "{pen}{} {}", point.0, point.1);
                points.push(point);
                pen = 'L';
            }
            (!points.is_empty()).then_some(Line { label: s.label, path, points })
        });
        let y_ticks = (0..=((high - low) / step).round() as usize).map(|i| {
            let value = low + i as f64 * step;
            Tick { at: y(value), label: label(value, step, percent) }
        });
        let every = (count.max(1) as f64 / 8.0).ceil() as usize;
        let x_ticks = (0..count).filter(|i| i % every == 0 || *i + 1 == count);
        // The last epoch's label replaces one that would run into it.
        let x_ticks = x_ticks.filter(|i| *i + 1 == count || count - 1 - i >= every.div_ceil(2));
        Self {
            title,
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            top: TOP,
            bottom: HEIGHT - BOTTOM,
            series: lines.collect(),
            x_ticks: x_ticks.map(|i| Tick { at: x(i as f64), label: (i + 1).to_string() }).collect(),
            y_ticks: y_ticks.collect(),
            stage: fine_from.filter(|&i| i > 0 && i < count).map(|i| x(i as f64 - 0.5)),
        }
    }
}

/// A value as it is drawn: what isn't finite or is beyond any loss is a gap, what can't be told from 0 is 0.
fn plotted(value: f64) -> Option<f64> {
    match value.abs() {
        size if size < 1e-60 => Some(0.0),
        size if size < 1e60 => Some(value),
        _ => None,
    }
}

/// The nearest of 1, 2 and 5 times a power of ten that is not smaller.
fn nice_step(step: f64) -> f64 {
    if step.is_nan() || step <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|m| m * power).find(|&s| s >= step * (1.0 - 1e-9)).unwrap_or(10.0 * power)
}

fn label(value: f64, step: f64, percent: bool) -> String {
    let (value, step) = if percent { (value * 100.0, step * 100.0) } else { (value, step) };
    if step >= 1e6 {
        return format!("{value:.1e}");
    }
    let digits = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.digits$}")
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_numbers() {
        for (step, nice) in [(0.07, 0.1), (0.2, 0.2), (0.21, 0.5), (3.0, 5.0), (7.0, 10.0), (0.0, 1.0)] {
            assert!((nice_step(step) - nice).abs() < 1e-9, "{step}: {}", nice_step(step));
        }
        assert_eq!(label(0.25, 0.25, true), "25");
        assert_eq!(label(0.25, 0.05, false), "0.25");
    }

    #[test]
    fn lines_stay_inside_and_break_at_gaps() {
        let values = vec![Some(0.1), None, Some(f64::NAN), Some(0.9), Some(1.0)];
        let chart = Chart::new("t", &[Series { label: "a", values }], (0.0, 1.0), true, Some(3));
        let line = &chart.series[0];
        assert_eq!(line.path.matches('M').count(), 2);
        assert_eq!(line.points.len(), 3);
        for &(x, y) in &line.points {
            assert!((chart.left..=chart.right).contains(&x) && (chart.top..=chart.bottom).contains(&y));
        }
        assert!(line.points[0].1 > line.points[2].1, "larger values are higher up");
        assert!(chart.stage.is_some());
    }

    #[test]
    fn no_epochs_and_no_values_make_an_empty_chart() {
        let nothing = |values| [Series { label: "a", values }];
        assert!(Chart::new("t", &nothing(vec![]), (0.0, 1.0), true, None).series.is_empty());
        assert!(Chart::new("t", &nothing(vec![None]), (0.0, 0.0), true, None).series.is_empty());
        assert_eq!(Chart::new("t", &nothing(vec![Some(0.5)]), (0.0, 1.0), true, None).series[0].points.len(), 1);
    }

    #[test]
    fn epoch_labels_never_crowd() {
        for count in 1..200 {
            let values = (0..count).map(|i| Some(f64::from(i))).collect();
            let chart = Chart::new("t", &[Series { label: "a", values }], (0.0, 1.0), false, None);
            assert!(chart.x_ticks.windows(2).all(|w| w[1].at - w[0].at >= 22.0), "{count} epochs");
            assert_eq!(chart.x_ticks.last().unwrap().label, count.to_string());
        }
    }
}
