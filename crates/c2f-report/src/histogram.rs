//! How often values come, whatever their scale.

use std::collections::BTreeMap;

/// Each bucket's upper end is so many times its lower one, as in TensorFlow (core/lib/histogram/histogram.cc).
const GROWTH: f64 = 1.1;
/// What is smaller counts as 0.
const SMALLEST: f64 = 1e-12;

/// Counts of values that are zero or more, in buckets that grow by a tenth. Others, and NaN, aren't counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Counts by the bucket's number, from that of zero, which is 0.
    counts: BTreeMap<i32, usize>,
    range: Option<[f64; 2]>,
    sum: f64,
    squares: f64,
}

impl Histogram {
    /// Counts these.
    pub fn add(&mut self, values: &[f32]) {
        for value in values.iter().map(|value| f64::from(*value)).filter(|value| (0.0..f64::INFINITY).contains(value)) {
            let bucket = if value < SMALLEST { 0 } else { 1 + ((value / SMALLEST).ln() / GROWTH.ln()) as i32 };
            *self.counts.entry(bucket).or_default() += 1;
            let [least, most] = self.range.unwrap_or([value; 2]);
            self.range = Some([least.min(value), most.max(value)]);
            self.sum += value;
            self.squares += value * value;
        }
    }

    /// The smallest and the largest value; none if none was counted.
    pub fn range(&self) -> Option<[f64; 2]> {
        self.range
    }

    /// The number of values, their sum, and the sum of their squares.
    pub fn moments(&self) -> [f64; 3] {
        [self.counts.values().sum::<usize>() as f64, self.sum, self.squares]
    }

    /// Upper end and count of each bucket that has any, in the order of their ends.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, f64)> {
        self.counts.iter().map(|(bucket, count)| (SMALLEST * GROWTH.powi(*bucket), *count as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_lies_in_its_bucket() {
        for value in [1e-9_f32, 0.001, 0.1, 0.5, 1.0, 250.0] {
            let mut histogram = Histogram::default();
            histogram.add(&[value]);
            let (end, count) = histogram.buckets().next().unwrap();
            let value = f64::from(value);
            assert!(count == 1.0 && end > value && end <= value * GROWTH * 1.000_001, "{value}: {end}");
        }
    }

    #[test]
    fn what_is_no_value_is_not_counted() {
        let mut histogram = Histogram::default();
        histogram.add(&[f32::NAN, -1.0, f32::INFINITY]);
        assert_eq!(histogram, Histogram::default());
        histogram.add(&[0.0, 2.0, 2.0]);
        assert_eq!((histogram.range(), histogram.moments()), (Some([0.0, 2.0]), [3.0, 4.0, 8.0]));
        assert_eq!(histogram.buckets().map(|(_, count)| count).collect::<Vec<_>>(), [1.0, 2.0]);
    }
}
