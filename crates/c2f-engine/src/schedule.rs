//! The learning rate over time.

use std::f64::consts::PI;

use crate::recipe::{self, ScheduleKind};

/// The learning rate of each batch, as a factor of the peak.
#[derive(Clone, Debug)]
pub struct Schedule {
    settings: recipe::Schedule,
    batches: usize,
    epoch: usize,
}

impl Schedule {
    /// For `epochs` of `batches_per_epoch` batches each.
    pub fn new(settings: &recipe::Schedule, epochs: usize, batches_per_epoch: usize) -> Self {
        Self { settings: settings.clone(), batches: epochs * batches_per_epoch, epoch: batches_per_epoch }
    }

    /// The factor for batch `batch`, counted from 0 over the whole run.
    ///
    /// One-cycle is PyTorch's `OneCycleLR` (Smith and Topin 2017; `anneal_strategy="cos"`, two phases, `pct_start` =
    /// `warmup`, `div_factor` = 1 / `start_factor`) without its cycle of the momentum: `warmup * batches - 1` steps up,
    /// the rest down, the last batch at `final_factor`. The others rise along a line and then fall as half a cosine
    /// (Loshchilov and Hutter 2017) or in stairs, counted from the start of the training.
    pub fn factor(&self, batch: usize) -> f64 {
        let s = &self.settings;
        let last = (self.batches.max(1) - 1) as f64;
        let position = (batch as f64).min(last);
        let peak = match s.kind {
            ScheduleKind::OneCycle => (s.warmup * self.batches as f64 - 1.0).max(0.0),
            ScheduleKind::Cosine | ScheduleKind::Step => s.warmup * self.batches as f64,
        };
        if position < peak {
            let share = position / peak;
            return match s.kind {
                ScheduleKind::OneCycle => cosine(s.start_factor, 1.0, share),
                ScheduleKind::Cosine | ScheduleKind::Step => s.start_factor + (1.0 - s.start_factor) * share,
            };
        }
        match s.kind {
            ScheduleKind::OneCycle | ScheduleKind::Cosine => {
                let share = if last > peak { (position - peak) / (last - peak) } else { 0.0 };
                cosine(1.0, s.final_factor, share)
            }
            ScheduleKind::Step => {
                let epochs = position / self.epoch.max(1) as f64;
                s.step_factor.powf((epochs / s.step_epochs).floor())
            }
        }
    }
}

/// From `start` to `end` along half a cosine.
fn cosine(start: f64, end: f64, share: f64) -> f64 {
    end + (start - end) * f64::midpoint(1.0, (PI * share).cos())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    fn schedule(kind: ScheduleKind, warmup: f64) -> Schedule {
        let mut settings = Recipe::builtin("default").unwrap().schedule;
        settings.kind = kind;
        settings.warmup = warmup;
        Schedule::new(&settings, 4, 10)
    }

    #[test]
    fn one_cycle_is_torchs() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=40, pct_start=0.3, div_factor=25,
        // final_div_factor=1e4): tests/fixtures/optim.py prints these.
        let s = schedule(ScheduleKind::OneCycle, 0.3);
        for (batch, expected) in ONE_CYCLE {
            assert!((s.factor(batch) - expected).abs() < 1e-9, "batch {batch}: {} not {expected}", s.factor(batch));
        }
    }

    #[test]
    fn cosine_rises_then_falls_to_the_final_factor() {
        let s = schedule(ScheduleKind::Cosine, 0.25);
        assert!((s.factor(0) - 0.04).abs() < 1e-12);
        assert!((s.factor(5) - 0.52).abs() < 1e-12);
        assert!((s.factor(10) - 1.0).abs() < 1e-12);
        assert!((s.factor(39) - 4e-6).abs() < 1e-12);
        assert!((11..40).all(|i| s.factor(i) < s.factor(i - 1)));
    }

    #[test]
    fn step_falls_every_two_epochs() {
        let s = schedule(ScheduleKind::Step, 0.0);
        assert_eq!([0, 19, 20, 39].map(|i| s.factor(i)), [1.0, 1.0, 0.9, 0.9]);
    }

    #[test]
    fn one_batch_is_trained_at_the_peak() {
        let mut settings = Recipe::builtin("default").unwrap().schedule;
        for kind in [ScheduleKind::OneCycle, ScheduleKind::Cosine, ScheduleKind::Step] {
            (settings.kind, settings.warmup) = (kind, 0.0);
            assert_eq!(Schedule::new(&settings, 1, 1).factor(0), 1.0);
        }
    }

    const ONE_CYCLE: [(usize, f64); 6] = [
        (0, 0.04),
        (5, 0.451_688_877_628_823_04),
        (11, 1.0),
        (12, 0.996_856_117_522_201_6),
        (25, 0.500_002),
        (39, 4e-6),
    ];
}
