//! How sure a difference between two rows is.
//!
//! Both rows see the same test pictures with the same seeds, so that the difference is taken picture by picture and seed by
//! seed, and what all runs find hard cancels out. Pictures and seeds are both samples of what could have been: the variance
//! of the mean difference has a part of each (a crossed design with two random effects; Searle, Casella and McCulloch 1992,
//! chapter 4).

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Row minus reference, of a number that each test picture has: whether it was named right, or its cross entropy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Over pictures and seeds.
    #[serde(rename = "difference")]
    pub mean: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Degrees of freedom of the standard error.
    pub freedom: f64,
}

impl Difference {
    /// Half the width of the 95 % interval.
    pub fn margin(&self) -> f64 {
        self.standard_error * self.quantile(0.975)
    }

    /// The smallest true difference that such an experiment finds four times out of five (power 0.8, two-sided 5 %).
    pub fn detectable(&self) -> f64 {
        self.margin() + self.standard_error * self.quantile(0.8)
    }

    /// Of Student's distribution.
    fn quantile(&self, share: f64) -> f64 {
        StudentsT::new(0.0, 1.0, self.freedom).map_or(f64::NAN, |t| t.inverse_cdf(share))
    }
}

/// The mean of differences on sets that share no pictures, and have seeds of their own: a statement about these sets, whose
/// choice adds no variance.
pub fn over_sets(differences: &[Difference]) -> Difference {
    let variances: Vec<(f64, f64)> = differences.iter().map(|d| (d.standard_error.powi(2), d.freedom)).collect();
    let sum: f64 = variances.iter().map(|(variance, _)| variance).sum();
    Difference {
        mean: mean(differences.iter().map(|d| d.mean)),
        standard_error: sum.sqrt() / differences.len() as f64,
        freedom: freedom_of_sum(&variances),
    }
}

/// The degrees of freedom of a sum of variances, each of which comes with its own (Satterthwaite 1946).
fn freedom_of_sum(variances: &[(f64, f64)]) -> f64 {
    let sum: f64 = variances.iter().map(|(variance, _)| variance).sum();
    let spread: f64 = variances.iter().map(|(variance, freedom)| variance.powi(2) / freedom).sum();
    // Where nothing varies the interval has no width, whatever its freedom.
    if spread > 0.0 { sum.powi(2) / spread } else { variances.iter().map(|(_, freedom)| freedom).sum() }
}

/// The difference between two rows of which `row[s][i]` and `reference[s][i]` are what the run with seed s has for picture
/// i. None where the seeds or pictures aren't the same, or there are fewer than two pictures.
pub fn paired(row: &[Vec<f64>], reference: &[Vec<f64>]) -> Option<Difference> {
    let seeds = row.len();
    let pictures = row.first()?.len();
    let same = |side: &[Vec<f64>]| side.len() == seeds && side.iter().all(|run| run.len() == pictures);
    if pictures < 2 || !same(row) || !same(reference) {
        return None;
    }
    let at = |s: usize, i: usize| row[s][i] - reference[s][i];
    let by_seed: Vec<f64> = (0..seeds).map(|s| mean((0..pictures).map(|i| at(s, i)))).collect();
    let by_picture: Vec<f64> = (0..pictures).map(|i| mean((0..seeds).map(|s| at(s, i)))).collect();
    let mean_difference = mean(by_seed.iter().copied());

    // The variance of the mean if only seeds, or only pictures, were drawn anew; what is left of each value counts in both.
    let of_pictures = variance(&by_picture) / pictures as f64;
    let of_seeds = if seeds > 1 { variance(&by_seed) / seeds as f64 } else { 0.0 };
    let mut left = 0.0;
    for (s, of_seed) in by_seed.iter().enumerate() {
        for (i, of_picture) in by_picture.iter().enumerate() {
            left += (at(s, i) - of_seed - of_picture + mean_difference).powi(2);
        }
    }
    let freedom = (seeds - 1) * (pictures - 1);
    let in_both = if freedom > 0 { left / freedom as f64 / (seeds * pictures) as f64 } else { 0.0 };
    let standard_error = (of_pictures + of_seeds - in_both).max(of_pictures).max(of_seeds).sqrt();

    let variances = [(of_pictures, (pictures - 1) as f64), (of_seeds, (seeds - 1) as f64)];
    // One seed has no variance, and no freedom.
    let freedom = freedom_of_sum(if seeds > 1 { &variances } else { &variances[..1] });
    Some(Difference { mean: mean_difference, standard_error, freedom })
}

/// The mean of at least one value.
pub fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    sum / count as f64
}

/// The unbiased variance; 0 for one value.
pub fn variance(values: &[f64]) -> f64 {
    let centre = mean(values.iter().copied());
    values.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / (values.len().max(2) - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &[&str]) -> Vec<Vec<f64>> {
        text.iter().map(|run| run.chars().map(|c| f64::from(u8::from(c == '1'))).collect()).collect()
    }

    #[test]
    fn equal_rows_do_not_differ() {
        let row = runs(&["1011", "1100"]);
        let difference = paired(&row, &row).unwrap();
        assert_eq!((difference.mean, difference.margin()), (0.0, 0.0));
    }

    #[test]
    fn one_seed_is_a_paired_t_interval() {
        // Differences 1, 1, 0, 0, -1: mean 0.2, variance 0.7; t(0.975, 4) = 2.776445.
        let difference = paired(&runs(&["11010"]), &runs(&["00011"])).unwrap();
        assert!((difference.mean - 0.2).abs() < 1e-12);
        let expected = 2.776_445 * (0.7_f64 / 5.0).sqrt();
        assert!((difference.margin() - expected).abs() < 1e-5, "{difference:?}");
        assert!(difference.detectable() > difference.margin());
    }

    #[test]
    fn seeds_that_disagree_widen_the_interval() {
        // Four of eight pictures gained by one seed and none by the other, and two of eight by both.
        let reference = runs(&["00000000", "00000000"]);
        let apart = paired(&runs(&["11110000", "00000000"]), &reference).unwrap();
        let alike = paired(&runs(&["11000000", "11000000"]), &reference).unwrap();
        assert_eq!((apart.mean, alike.mean), (0.25, 0.25));
        assert!(apart.margin() > 2.0 * alike.margin(), "{apart:?} {alike:?}");
    }

    #[test]
    fn an_interval_of_noise_covers_zero_about_nineteen_times_in_twenty() {
        use rand::{Rng, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut covered = 0;
        for _ in 0..400 {
            let mut side = || {
                (0..3).map(|_| (0..60).map(|_| f64::from(u8::from(rng.random_bool(0.7)))).collect()).collect::<Vec<_>>()
            };
            let difference = paired(&side(), &side()).unwrap();
            covered += usize::from(difference.mean.abs() <= difference.margin());
        }
        assert!((370..=398).contains(&covered), "{covered} of 400");
    }

    #[test]
    fn the_mean_over_sets_is_surer_than_each_of_them() {
        let one = Difference { mean: 0.04, standard_error: 0.02, freedom: 4.0 };
        let two = Difference { mean: 0.02, ..one };
        let both = over_sets(&[one, two]);
        // Welch 1947: equal variances of equal freedom have twice the freedom.
        let expected = [0.03, 0.02 / 2.0_f64.sqrt(), 8.0];
        let values = [both.mean, both.standard_error, both.freedom];
        assert!(values.iter().zip(expected).all(|(value, wanted)| (value - wanted).abs() < 1e-12), "{both:?}");
        // t(0.975, 8) = 2.306004.
        assert!((both.margin() - 2.306_004 * expected[1]).abs() < 1e-7, "{both:?}");
        let exact = Difference { standard_error: 0.0, ..one };
        assert_eq!(over_sets(&[exact, exact]).margin(), 0.0);
    }

    #[test]
    fn what_is_not_paired_is_not_compared() {
        assert!(paired(&runs(&["10"]), &runs(&["101"])).is_none());
        assert!(paired(&runs(&["10"]), &runs(&["10", "11"])).is_none());
        assert!(paired(&[], &[]).is_none());
    }
}
