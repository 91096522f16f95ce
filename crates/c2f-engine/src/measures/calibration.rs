//! Whether probabilities are as high as accuracies.

use serde::Serialize;

use crate::PictureResult;

/// Bins of confidence, as Guo et al. have them.
const BINS: usize = 15;

/// How far the combined prediction's probabilities can be believed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// The expected calibration error, in 0..=1: the mean over the pictures of the distance between confidence and accuracy
    /// of their bin (Guo et al. 2017, arXiv 1706.04599).
    pub ece: f64,
    /// 15 bins of equal width, from the least confident up.
    pub bins: Vec<Bin>,
}

/// The pictures whose highest probability is above `from` and at most `to`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// The lower end.
    pub from: f64,
    /// The upper end.
    pub to: f64,
    /// How many pictures.
    pub n: usize,
    /// The mean of their highest probabilities; none of an empty bin.
    pub confidence: Option<f64>,
    /// The share of them that is right; none of an empty bin.
    pub accuracy: Option<f64>,
}

impl Calibration {
    pub(super) fn new(rows: &[PictureResult]) -> Self {
        let bins = bins(rows.iter().map(|row| (row.probability, row.predicted == row.label)));
        Self { ece: expected_error(&bins), bins }
    }
}

/// See [`Calibration::ece`]; of answers' highest probabilities, and whether they were right.
pub(crate) fn expected_calibration_error(answers: impl IntoIterator<Item = (f64, bool)>) -> f64 {
    expected_error(&bins(answers))
}

fn bins(answers: impl IntoIterator<Item = (f64, bool)>) -> Vec<Bin> {
    let mut sums = [(0, 0.0, 0); BINS];
    for (probability, is_right) in answers {
        // A bin has its upper end and not its lower one.
        let index = (probability * BINS as f64).ceil() as usize;
        let (n, confidence, right) = &mut sums[index.clamp(1, BINS) - 1];
        *n += 1;
        *confidence += probability;
        *right += usize::from(is_right);
    }
    let bin = |(index, (n, confidence, right)): (usize, (usize, f64, usize))| Bin {
        from: index as f64 / BINS as f64,
        to: (index + 1) as f64 / BINS as f64,
        n,
        confidence: (n > 0).then(|| confidence / n as f64),
        accuracy: (n > 0).then(|| right as f64 / n as f64),
    };
    sums.into_iter().enumerate().map(bin).collect()
}

fn expected_error(bins: &[Bin]) -> f64 {
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    let gap = |bin: &Bin| Some((bin.confidence? - bin.accuracy?).abs() * bin.n as f64);
    bins.iter().filter_map(gap).sum::<f64>() / n.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn the_expected_error_of_a_known_set() {
        // Bin 13 of 15 (above 0.8, up to 0.8667): 0.85 right, 0.85 wrong. Bin 8 (above 0.4667, up to 0.5333): 0.5 right.
        let bins = bins([(0.85, true), (0.85, false), (0.5, true), (0.5, true)]);
        assert_eq!(bins.len(), 15);
        assert_eq!(bins.iter().map(|bin| bin.n).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0, 0]);
        assert_eq!((bins[12].confidence, bins[12].accuracy), (Some(0.85), Some(0.5)));
        assert_eq!((bins[7].confidence, bins[7].accuracy), (Some(0.5), Some(1.0)));
        assert_eq!((bins[0].confidence, bins[0].accuracy), (None, None));
        // Half of the pictures are 0.35 too sure, half 0.5 not sure enough.
        assert!((expected_error(&bins) - (0.5 * 0.35 + 0.5 * 0.5)).abs() < 1e-12);
    }

    #[test]
    fn a_bin_has_its_upper_end() {
        let place = |probability| bins([(probability, true)]).iter().position(|bin| bin.n == 1).unwrap();
        assert_eq!([0.0, 0.01, 0.2, 0.2001, 1.0].map(place), [0, 0, 2, 3, 14]);
        assert_eq!(expected_calibration_error([(1.0, true), (1.0, true)]), 0.0);
    }
}
