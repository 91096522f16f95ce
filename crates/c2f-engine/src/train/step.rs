//! One step of the optimiser: forward, backward, clip, move.

use std::collections::BTreeMap;

use c2f_ops::nn::{Entry, Kind, Params};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::mix::mix;
use super::objective::{Objective, fine_loss, objective};
use super::phases::{self, budgeted};
use crate::Inputs;
use crate::ema::Ema;
use crate::optim::{Gradients, Optimizer, clip_global_norm, global_norm};
use crate::recipe::Steps;
use crate::{Network, Result, Stage};

/// Trains a network batch by batch.
pub struct Stepper {
    optimizer: Optimizer,
    ema: Option<Ema>,
    parameters: Vec<Entry>,
    pending: Pending,
}

/// Where in the training a batch is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Its number in the whole run, which keys what is random in it.
    pub batch: u64,
    /// Share of the run's batches that were before it, 0 to 1.
    pub progress: f64,
    /// The learning rate of the head.
    pub lr: f64,
}

/// What one batch gave.
#[derive(Clone, Copy, Debug)]
pub struct StepReport {
    /// Its loss; may be infinite or NaN.
    pub loss: f64,
    /// Pictures that the coarse look got right.
    pub correct: usize,
    /// Pictures in the batch.
    pub images: usize,
}

/// The batches since the last step.
#[derive(Default)]
struct Pending {
    gradients: Gradients,
    batches: usize,
    finite: bool,
    /// BatchNorm's statistics and the centres as they were before: a batch that isn't finite spoils them.
    buffers: BTreeMap<String, Tensor>,
}

impl Stepper {
    /// An optimiser that has made no step.
    ///
    /// # Errors
    /// If candle fails.
    pub fn new(network: &Network) -> Result<Self> {
        let recipe = &network.recipe;
        let entries = network.params.entries();
        let optimizer = Optimizer::new(&recipe.optimizer, &entries);
        let ema = (recipe.ema.decay > 0.0).then(|| Ema::new(&network.params, recipe.ema.decay)).transpose()?;
        let parameters = entries.into_iter().filter(|entry| entry.kind == Kind::Parameter).collect();
        Ok(Self { optimizer, ema, parameters, pending: Pending::default() })
    }

    /// The optimiser's state.
    pub fn optimizer(&self) -> &Optimizer {
        &self.optimizer
    }

    /// The moving average of the weights, where the recipe has one.
    pub fn ema(&self) -> Option<&Ema> {
        self.ema.as_ref()
    }

    /// Starts stage 2 with the coarse look's statistics for the fine look, in the network and in the moving average.
    ///
    /// # Errors
    /// If candle fails.
    pub fn start_fine_statistics(&mut self, network: &Network) -> Result<()> {
        if let Some(ema) = &mut self.ema {
            ema.start_fine_statistics();
        }
        network.start_fine_statistics()
    }

    /// Whether there was a batch since the last step.
    pub fn has_batches(&self) -> bool {
        self.pending.batches > 0
    }

    /// Takes the saved states of the optimiser and the moving average up.
    pub fn restore(&mut self, optimizer: BTreeMap<String, Tensor>, ema: BTreeMap<String, Tensor>) {
        self.optimizer.set_state(optimizer);
        if let Some(average) = &mut self.ema {
            average.set_averages(ema);
        }
    }

    /// Forward and backward of one batch. Where each look has a step of its own (`inverse.steps = "alternate"`), the coarse one's is made here, and
    /// the fine one's is left to [`update`](Self::update).
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn accumulate(
        &mut self,
        network: &Network,
        inputs: &Inputs,
        stage: Stage,
        moment: Moment,
    ) -> Result<StepReport> {
        self.begin(network)?;
        let mixed = mix(&network.recipe, inputs, network.classes.len(), moment.batch)?;
        let inputs = mixed.as_ref().unwrap_or(inputs);
        let inverse = &network.recipe.inverse;
        if stage == Stage::Fine && inverse.steps == Steps::Alternate {
            let (objective, look) = phases::coarse(network, inputs)?;
            let mut report = self.backward(network, inputs, objective)?;
            if !self.pending.finite || self.update(network, moment.lr)?.is_none() {
                return Ok(StepReport { loss: f64::NAN, ..report });
            }
            self.begin(network)?;
            let loss = fine_loss(network, inputs, &look)?;
            let objective = Objective { loss, logits: look.logits, parts: None };
            report.loss += self.backward(network, inputs, objective)?.loss;
            return Ok(report);
        }
        if stage == Stage::Fine && inverse.gradient_budget > 0.0 {
            let share = inverse.gradient_budget * phases::ramp(moment.progress);
            let outcome = budgeted(network, inputs, share)?;
            let report = report(&outcome.objective, inputs)?;
            self.pending.finite &= report.loss.is_finite();
            for gradients in outcome.gradients {
                self.add(gradients)?;
            }
            if report.loss.is_finite() {
                follow_centers(network, &outcome.objective, inputs)?;
            }
            return Ok(report);
        }
        let outcome = objective(network, inputs, stage, moment.batch)?;
        self.backward(network, inputs, outcome)
    }

    /// Counts a batch.
    fn begin(&mut self, network: &Network) -> Result<()> {
        if self.pending.batches == 0 {
            self.pending = Pending { finite: true, buffers: copy_buffers(&network.params)?, ..Pending::default() };
        }
        self.pending.batches += 1;
        Ok(())
    }

    /// Adds the gradients of an objective, if it is finite, and moves the centres.
    fn backward(&mut self, network: &Network, inputs: &Inputs, outcome: Objective) -> Result<StepReport> {
        let report = report(&outcome, inputs)?;
        if !report.loss.is_finite() {
            self.pending.finite = false;
            return Ok(report);
        }
        let gradients = outcome.loss.backward()?;
        // The graph holds every layer's activations: it has to be gone before the next forward pass.
        let outcome = Objective { loss: outcome.loss.detach(), ..outcome };
        self.add(gradients)?;
        follow_centers(network, &outcome, inputs)?;
        Ok(report)
    }

    /// Adds the variables' gradients to those of the batches before.
    fn add(&mut self, mut gradients: GradStore) -> Result<()> {
        for entry in &self.parameters {
            let Some(gradient) = gradients.remove(entry.var.as_tensor()) else { continue };
            let gradient = gradient.detach();
            let sum = match self.pending.gradients.remove(&entry.name) {
                Some(sum) => (sum + gradient)?,
                None => gradient,
            };
            self.pending.gradients.insert(entry.name.clone(), sum);
        }
        Ok(())
    }

    /// Moves the weights by the mean gradient of the batches since the last call, at learning rate `lr` of the head, and
    /// gives that gradient's norm before it was clipped. Where a loss or the gradient isn't finite, nothing moves, and there
    /// is no norm.
    ///
    /// # Errors
    /// If candle fails.
    pub fn update(&mut self, network: &Network, lr: f64) -> Result<Option<f64>> {
        let Pending { mut gradients, batches, finite, buffers } = std::mem::take(&mut self.pending);
        if batches > 1 {
            for gradient in gradients.values_mut() {
                *gradient = gradient.affine(1.0 / batches as f64, 0.0)?;
            }
        }
        let norm = if finite { global_norm(&gradients)? } else { f64::NAN };
        if !norm.is_finite() {
            restore_buffers(&network.params, &buffers)?;
            return Ok(None);
        }
        let largest = network.recipe.optimizer.clip_norm;
        if largest > 0.0 {
            clip_global_norm(&mut gradients, norm, largest)?;
        }
        self.optimizer.step(&gradients, lr)?;
        if let Some(ema) = &mut self.ema {
            ema.update(&network.params)?;
        }
        Ok(Some(norm))
    }
}

fn report(outcome: &Objective, inputs: &Inputs) -> Result<StepReport> {
    let loss = f64::from(outcome.loss.to_scalar::<f32>()?);
    let correct = count_correct(&outcome.logits, &inputs.labels)?;
    Ok(StepReport { loss, correct, images: inputs.labels.dim(0)? })
}

fn follow_centers(network: &Network, outcome: &Objective, inputs: &Inputs) -> Result<()> {
    if let (Some(center), Some(parts)) = (&network.center, &outcome.parts) {
        center.update(parts, &inputs.labels)?;
    }
    Ok(())
}

/// Does `work`, which may run the network in training, and puts its running statistics and centres back as they were.
pub(crate) fn with_buffers_kept<T>(params: &Params, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let buffers = copy_buffers(params)?;
    let done = work();
    restore_buffers(params, &buffers)?;
    done
}

fn restore_buffers(params: &Params, buffers: &BTreeMap<String, Tensor>) -> Result<()> {
    for (name, buffer) in buffers {
        if let Some(entry) = params.get(name) {
            entry.var.set(buffer)?;
        }
    }
    Ok(())
}

fn copy_buffers(params: &Params) -> Result<BTreeMap<String, Tensor>> {
    let buffers = params.entries().into_iter().filter(|entry| entry.kind == Kind::Buffer);
    buffers.map(|entry| Ok((entry.name, entry.var.as_tensor().copy()?.detach()))).collect()
}

fn count_correct(logits: &Tensor, labels: &Tensor) -> Result<usize> {
    let predicted = logits.argmax(1)?.to_vec1::<u32>()?;
    let labels = labels.to_vec1::<u32>()?;
    Ok(predicted.iter().zip(&labels).filter(|(a, b)| a == b).count())
}
