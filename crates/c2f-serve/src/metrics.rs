//! Counts for Prometheus, as the text that it reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets of seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds of the buckets of batch sizes.
const SIZES: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// What has been counted since the start.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// By route and status.
    requests: BTreeMap<(&'static str, u16), u64>,
    /// By route.
    seconds: BTreeMap<&'static str, Histogram<{ SECONDS.len() }>>,
    /// By model.
    batches: BTreeMap<String, Histogram<{ SIZES.len() }>>,
}

struct Histogram<const N: usize> {
    /// How many were in each bucket alone.
    buckets: [u64; N],
    count: u64,
    sum: f64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { buckets: [0; N], count: 0, sum: 0.0 }
    }
}

impl<const N: usize> Histogram<N> {
    fn add(&mut self, bounds: &[f64; N], value: f64) {
        if let Some(bucket) = bounds.iter().position(|bound| value <= *bound) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum += value;
    }

    fn write(&self, text: &mut String, name: &str, label: &str, bounds: &[f64; N]) {
        let mut below = 0;
        for (bound, count) in bounds.iter().zip(self.buckets) {
            below += count;
            let _ = writeln!(text, "{name}_bucket{{{label},le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(text, "{name}_bucket{{{label},le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(text, "{name}_sum{{{label}}} {}", self.sum);
        let _ = writeln!(text, "{name}_count{{{label}}} {}", self.count);
    }
}

impl Metrics {
    /// Counts an answered request.
    pub fn request(&self, route: &'static str, status: u16, took: Duration) {
        let mut counts = self.lock();
        *counts.requests.entry((route, status)).or_default() += 1;
        counts.seconds.entry(route).or_default().add(&SECONDS, took.as_secs_f64());
    }

    /// Counts a batch that goes through a network.
    pub fn batch(&self, model: &str, size: usize) {
        let mut counts = self.lock();
        counts.batches.entry(model.to_owned()).or_default().add(&SIZES, size as f64);
    }

    /// Everything as text, with the length of each model's queue and how many requests are being worked on.
    pub fn text<'a>(&self, queues: impl Iterator<Item = (&'a str, usize)>, in_flight: usize) -> String {
        let mut text = String::new();
        head(&mut text, "c2f_requests_in_flight", "gauge", "Requests that are being worked on.");
        let _ = writeln!(text, "c2f_requests_in_flight {in_flight}");
        head(&mut text, "c2f_queue_pictures", "gauge", "Pictures that wait for the network.");
        for (model, length) in queues {
            let _ = writeln!(text, "c2f_queue_pictures{{model=\"{}\"}} {length}", escaped(model));
        }
        let counts = self.lock();
        head(&mut text, "c2f_requests_total", "counter", "Answered requests by route and status.");
        for ((route, status), count) in &counts.requests {
            let _ = writeln!(text, "c2f_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        head(&mut text, "c2f_request_seconds", "histogram", "Seconds from a request's head to its answer.");
        for (route, histogram) in &counts.seconds {
            histogram.write(&mut text, "c2f_request_seconds", &format!("route=\"{route}\""), &SECONDS);
        }
        head(&mut text, "c2f_batch_pictures", "histogram", "Pictures that went through the network together.");
        for (model, histogram) in &counts.batches {
            let label = format!("model=\"{}\"", escaped(model));
            histogram.write(&mut text, "c2f_batch_pictures", &label, &SIZES);
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A label's value.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_all_below_them_and_names_are_escaped() {
        let metrics = Metrics::default();
        metrics.batch("a\"b", 1);
        metrics.batch("a\"b", 3);
        metrics.batch("a\"b", 100);
        metrics.request("infer", 200, Duration::from_millis(20));
        let text = metrics.text([("m", 2)].into_iter(), 1);
        for line in [
            "c2f_requests_in_flight 1",
            "c2f_queue_pictures{model=\"m\"} 2",
            "c2f_requests_total{route=\"infer\",status=\"200\"} 1",
            "c2f_request_seconds_bucket{route=\"infer\",le=\"0.01\"} 0",
            "c2f_request_seconds_bucket{route=\"infer\",le=\"0.025\"} 1",
            "c2f_batch_pictures_bucket{model=\"a\\\"b\",le=\"2\"} 1",
            "c2f_batch_pictures_bucket{model=\"a\\\"b\",le=\"64\"} 2",
            "c2f_batch_pictures_bucket{model=\"a\\\"b\",le=\"+Inf\"} 3",
            "c2f_batch_pictures_sum{model=\"a\\\"b\"} 104",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }
}
