//! A mean, number by number.

/// The mean of the numbers that were added.
#[derive(Default)]
pub(super) struct Mean {
    sum: f64,
    n: usize,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.n += 1;
    }

    /// None of no numbers.
    pub(super) fn get(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / self.n as f64)
    }
}
