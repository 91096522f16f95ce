//! The moving average of the weights.

use std::collections::BTreeMap;

use c2f_ops::nn::Params;
use candle_core::Tensor;

use crate::Result;
use crate::network::coarse_statistic;

/// The exponential moving average of a network's variables, BatchNorm's running statistics included (timm's
/// `ModelEmaV2`). It starts at the variables' first values.
#[derive(Clone, Debug)]
pub struct Ema {
    decay: f64,
    averages: BTreeMap<String, Tensor>,
}

impl Ema {
    /// `decay` is the share, in 0..1, of the average that stays in each step.
    ///
    /// # Errors
    /// If candle fails.
    pub fn new(params: &Params, decay: f64) -> Result<Self> {
        let averages = params.entries().into_iter().map(|e| Ok((e.name, e.var.as_tensor().copy()?.detach())));
        Ok(Self { decay, averages: averages.collect::<Result<_>>()? })
    }

    /// Follows the variables by one step.
    ///
    /// # Errors
    /// If candle fails.
    pub fn update(&mut self, params: &Params) -> Result<()> {
        for entry in params.entries() {
            if let Some(average) = self.averages.get_mut(&entry.name) {
                let share = entry.var.as_detached_tensor().affine(1.0 - self.decay, 0.0)?;
                *average = (average.affine(self.decay, 0.0)? + share)?;
            }
        }
        Ok(())
    }

    /// Copies the coarse look's averaged statistics to the fine look's, as
    /// [`Network::start_fine_statistics`](crate::Network::start_fine_statistics) does with the variables: their average up to
    /// here is of values that nothing was trained with.
    pub fn start_fine_statistics(&mut self) {
        let coarse = |name: &String| self.averages.get(&coarse_statistic(name)?).cloned();
        let started: Vec<_> = self.averages.keys().filter_map(|name| Some((name.clone(), coarse(name)?))).collect();
        self.averages.extend(started);
    }

    /// The averages by the names of their variables.
    pub fn averages(&self) -> &BTreeMap<String, Tensor> {
        &self.averages
    }

    /// Takes saved averages up.
    pub fn set_averages(&mut self, averages: BTreeMap<String, Tensor>) {
        self.averages = averages;
    }

    /// Runs `work` with the averages in the variables, which are then as they were, whether it failed or not.
    ///
    /// # Errors
    /// What `work` fails with, or candle.
    pub fn with_averages<T>(&self, params: &Params, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let entries = params.entries();
        let raw: Vec<Tensor> = entries.iter().map(|e| e.var.as_tensor().copy()).collect::<candle_core::Result<_>>()?;
        for entry in &entries {
            if let Some(average) = self.averages.get(&entry.name) {
                entry.var.set(average)?;
            }
        }
        let outcome = work();
        for (entry, raw) in entries.iter().zip(&raw) {
            entry.var.set(raw)?;
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use c2f_ops::nn::Init;
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn follows_and_steps_aside() {
        let params = Params::new(&Device::Cpu, DType::F32, 0);
        let var = params.parameter("w", 1, Init::Constant(1.0)).unwrap();
        let value = |t: &Tensor| t.to_vec1::<f32>().unwrap()[0];
        let mut ema = Ema::new(&params, 0.75).unwrap();
        var.set(&Tensor::new(&[5f32], &Device::Cpu).unwrap()).unwrap();
        ema.update(&params).unwrap();
        assert_eq!(value(&ema.averages()["w"]), 2.0);
        let inside = ema.with_averages(&params, || Ok(value(var.as_tensor()))).unwrap();
        assert_eq!((inside, value(var.as_tensor())), (2.0, 5.0));
    }

    #[test]
    fn the_fine_looks_statistics_start_as_the_coarse_looks() {
        let params = Params::new(&Device::Cpu, DType::F32, 0);
        for (name, first) in [("bn.running_mean", 3.0), ("bn.fine_running_mean", 0.0), ("bn.weight", 1.0)] {
            params.parameter(name, 1, Init::Constant(first)).unwrap();
        }
        let mut ema = Ema::new(&params, 0.75).unwrap();
        ema.start_fine_statistics();
        let values = ema.averages().values().map(|t| t.to_vec1::<f32>().unwrap()[0]).collect::<Vec<_>>();
        assert_eq!(values, [3.0, 3.0, 1.0]);
    }
}
