//! One step of the optimiser: forward, backward, clip, move.

use std::collections::BTreeMap;

use c2f_attention::LEVELS;
use c2f_dist::{TreeSum, World};
use c2f_ops::nn::{BufferUpdate, Entry, Kind};
use candle_core::Tensor;
use candle_core::backprop::GradStore;

use super::mix::mix;
use super::objective::{Objective, fine_loss, level_objective, objective};
use super::outcome::{Outcome, Outcomes};
use super::phases::{self, budgeted};
use super::ranks::branch;
use crate::Inputs;
use crate::ema::Ema;
use crate::optim::{Gradients, Optimizer, clip_global_norm, global_norm};
use crate::recipe::{Method, Steps};
use crate::{Error, Network, Result, Stage};

/// Trains a network batch by batch: [`accumulate`](Self::accumulate) for each of a step, then [`update`](Self::update).
///
/// A step's gradient is the mean of its batches', added as a balanced binary tree ([`TreeSum`]). Each batch sees the centres as they were
/// when the step began; they and the running statistics follow the batches, in their order, when it ends.
pub struct Stepper {
    optimizer: Optimizer,
    ema: Option<Ema>,
    parameters: Vec<Entry>,
    world: World,
    /// Batches of a step that this rank does.
    share: usize,
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
#[derive(Clone, Debug)]
pub struct StepReport {
    /// Its loss; may be infinite or NaN.
    pub loss: f64,
    /// What the loss is the sum of, each with its weight.
    pub terms: Vec<(String, f64)>,
    /// Pictures that the coarse look got right.
    pub correct: usize,
    /// Pictures in the batch.
    pub images: usize,
}

/// The batches since the last step.
struct Pending {
    gradients: TreeSum<Gradients>,
    /// Of those with pictures.
    outcomes: Vec<Outcome>,
    finite: bool,
}

impl Pending {
    fn new(batches: usize) -> Self {
        Self { gradients: TreeSum::new(batches), outcomes: Vec::new(), finite: true }
    }
}

impl Stepper {
    /// An optimiser that has made no step.
    ///
    /// # Errors
    /// If candle fails.
    pub fn new(network: &Network) -> Result<Self> {
        Self::in_world(network, World::Single)
    }

    /// One whose steps all ranks of `world` make together, each with its branch of the batches: neighbours, as many for each rank. Weights, centres
    /// and running statistics are the same bits on every rank, and those of a single process.
    ///
    /// # Errors
    /// If the number of ranks isn't a power of two that divides `optimizer.grad_accum_steps`, or candle fails.
    pub fn in_world(network: &Network, world: World) -> Result<Self> {
        let recipe = &network.recipe;
        let share = branch(recipe, &world)?.len();
        let entries = network.params.entries();
        let optimizer = Optimizer::new(&recipe.optimizer, &entries);
        let ema = (recipe.ema.decay > 0.0).then(|| Ema::new(&network.params, recipe.ema.decay)).transpose()?;
        let parameters = entries.into_iter().filter(|entry| entry.kind == Kind::Parameter).collect();
        Ok(Self { optimizer, ema, parameters, world, share, pending: Pending::new(share) })
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

    /// Takes the saved states of the optimiser and the moving average up.
    pub fn restore(&mut self, optimizer: BTreeMap<String, Tensor>, ema: BTreeMap<String, Tensor>) {
        self.optimizer.set_state(optimizer);
        if let Some(average) = &mut self.ema {
            average.set_averages(ema);
        }
    }

    /// Forward and backward of one batch. Where a batch has several steps, each look's (`inverse.steps = "alternate"`) or each level's (`pmg`), all but
    /// the last are made here, and that is left to [`update`](Self::update).
    ///
    /// # Errors
    /// If the shapes don't fit, or there were as many batches since the last step as this rank does of one.
    pub fn accumulate(
        &mut self,
        network: &Network,
        inputs: &Inputs,
        stage: Stage,
        moment: Moment,
    ) -> Result<StepReport> {
        let mixed = mix(&network.recipe, inputs, network.classes.len(), moment.batch)?;
        let inputs = mixed.as_ref().unwrap_or(inputs);
        let inverse = &network.recipe.inverse;
        if stage == Stage::Fine && inverse.steps == Steps::Alternate {
            let (first, updates) = network.params.deferred(|| phases::coarse(network, inputs));
            let (objective, look) = first?;
            let mut report = self.backward(inputs, objective, updates)?;
            if !self.step_between(network, moment.lr)? {
                return Ok(StepReport { loss: f64::NAN, ..report });
            }
            let (loss, updates) = network.params.deferred(|| fine_loss(network, inputs, &look));
            let objective = Objective { loss: loss?, logits: look.logits, parts: None };
            let second = self.backward(inputs, objective, updates)?;
            report.loss += second.loss;
            report.terms.extend(second.terms);
            return Ok(report);
        }
        if stage == Stage::Fine && inverse.gradient_budget > 0.0 {
            let share = inverse.gradient_budget * phases::ramp(moment.progress);
            let (outcome, updates) = network.params.deferred(|| budgeted(network, inputs, share));
            let outcome = outcome?;
            let report = report(&outcome.objective, inputs)?;
            self.keep(inputs, &outcome.objective, outcome.gradients, updates, report.loss.is_finite())?;
            return Ok(report);
        }
        let (mut loss, mut terms) = (0.0, Vec::new());
        if network.recipe.method == Method::Pmg {
            for level in 0..LEVELS {
                let (outcome, updates) =
                    network.params.deferred(|| level_objective(network, inputs, level, moment.batch));
                let report = self.backward(inputs, outcome?, updates)?;
                if !self.step_between(network, moment.lr)? {
                    return Ok(StepReport { loss: f64::NAN, ..report });
                }
                loss += report.loss;
                terms.extend(report.terms);
            }
        }
        let (outcome, updates) = network.params.deferred(|| objective(network, inputs, stage, moment.batch));
        let report = self.backward(inputs, outcome?, updates)?;
        terms.extend(report.terms);
        Ok(StepReport { loss: loss + report.loss, terms, ..report })
    }

    /// Makes one of several steps of a batch but the last; whether all was finite. If it wasn't, the batch's last step moves nothing, either.
    fn step_between(&mut self, network: &Network, lr: f64) -> Result<bool> {
        let is_finite = self.pending.finite && self.update(network, lr)?.is_some();
        self.pending.finite &= is_finite;
        Ok(is_finite)
    }

    /// Counts a batch none of whose pictures could be read.
    ///
    /// # Errors
    /// As those of [`accumulate`](Self::accumulate).
    pub fn skip(&mut self) -> Result<()> {
        self.pending.gradients.add(None, plus)
    }

    /// Forgets the batches since the last step.
    pub fn discard(&mut self) {
        self.pending = Pending::new(self.share);
    }

    /// Keeps the gradient of an objective and what else it leaves, if it is finite.
    fn backward(&mut self, inputs: &Inputs, outcome: Objective, updates: Vec<BufferUpdate>) -> Result<StepReport> {
        let report = report(&outcome, inputs)?;
        let finite = report.loss.is_finite();
        let gradients = if finite { vec![outcome.loss.sum.backward()?] } else { Vec::new() };
        // The graph holds every layer's activations: it has to be gone before the next forward pass.
        let outcome = Objective { loss: outcome.loss.detach(), ..outcome };
        self.keep(inputs, &outcome, gradients, updates, finite)?;
        Ok(report)
    }

    /// Adds the sum of a batch's gradients to the tree, and what else it leaves to the outcomes.
    fn keep(
        &mut self,
        inputs: &Inputs,
        outcome: &Objective,
        gradients: Vec<GradStore>,
        updates: Vec<BufferUpdate>,
        finite: bool,
    ) -> Result<()> {
        self.pending.finite &= finite;
        let mut sum = Gradients::new();
        for mut gradients in gradients {
            let named = |entry: &Entry| Some((entry.name.clone(), gradients.remove(entry.var.as_tensor())?.detach()));
            sum = plus(sum, self.parameters.iter().filter_map(named).collect())?;
        }
        let parts = outcome.parts.as_ref();
        let centers = parts.map(|parts| Ok::<_, Error>((parts.clone(), inputs.labels.to_vec1()?))).transpose()?;
        self.pending.outcomes.push(Outcome { updates, centers });
        self.pending.gradients.add(Some(sum), plus)
    }

    /// Moves the weights by the mean gradient of the batches since the last call, those of the other ranks among them, at learning
    /// rate `lr` of the head, and gives that gradient's norm before it was clipped. Where a loss or the gradient isn't finite, nothing
    /// moves, and there is no norm.
    ///
    /// # Errors
    /// If candle fails, or another rank doesn't come.
    pub fn update(&mut self, network: &Network, lr: f64) -> Result<Option<f64>> {
        let Pending { gradients, outcomes, finite } = std::mem::replace(&mut self.pending, Pending::new(self.share));
        let gradients = gradients.finish(plus)?.unwrap_or_default();
        let trained = gradients.keys().cloned().collect();
        let device = network.params.device();
        let step = Outcomes { all: outcomes, finite, trained }.gather(&self.world, device)?;
        if !step.finite {
            return Ok(None);
        }
        let mut gradients = self.add_up(gradients, &step)?;
        let batches = step.all.len();
        if batches > 1 {
            for gradient in gradients.values_mut() {
                *gradient = gradient.affine(1.0 / batches as f64, 0.0)?;
            }
        }
        let norm = global_norm(&gradients)?;
        if !norm.is_finite() {
            return Ok(None);
        }
        for outcome in &step.all {
            outcome.apply(network)?;
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

    /// The sum of all ranks' gradients.
    fn add_up(&self, mut gradients: Gradients, step: &Outcomes) -> Result<Gradients> {
        if self.world.size() == 1 {
            return Ok(gradients);
        }
        let trained = self.parameters.iter().filter(|entry| step.trained.contains(&entry.name));
        let (mut names, mut tensors) = (Vec::new(), Vec::new());
        for entry in trained {
            names.push(entry.name.clone());
            tensors.push(match gradients.remove(&entry.name) {
                Some(gradient) => gradient,
                None => entry.var.as_tensor().zeros_like()?.neg()?,
            });
        }
        Ok(names.into_iter().zip(self.world.tree_sum(tensors)?).collect())
    }
}

/// The sum of two batches' gradients; what one of them lacks is the other's.
fn plus(mut earlier: Gradients, later: Gradients) -> Result<Gradients> {
    for (name, gradient) in later {
        let sum = match earlier.remove(&name) {
            Some(sum) => (sum + gradient)?,
            None => gradient,
        };
        earlier.insert(name, sum);
    }
    Ok(earlier)
}

fn report(outcome: &Objective, inputs: &Inputs) -> Result<StepReport> {
    let (loss, terms) = outcome.loss.values()?;
    let correct = count_correct(&outcome.logits, &inputs.labels)?;
    Ok(StepReport { loss, terms, correct, images: inputs.labels.dim(0)? })
}

fn count_correct(logits: &Tensor, labels: &Tensor) -> Result<usize> {
    let predicted = logits.argmax(1)?.to_vec1::<u32>()?;
    let labels = labels.to_vec1::<u32>()?;
    Ok(predicted.iter().zip(&labels).filter(|(a, b)| a == b).count())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::Recipe;

    /// A network with centres and a fine look, whose steps have so many batches.
    fn network(batches: usize) -> Network {
        let mut recipe = Recipe::builtin("quickstart").unwrap();
        for assignment in [
            &format!("method={}", Method::Coarse2fine),
            "image_size=32",
            "attention.maps=4",
            "inverse.channels=2",
            "inverse.decoder_channels=4",
            "loss.center_weight=1",
            &format!("optimizer.grad_accum_steps={batches}"),
        ] {
            recipe.set(assignment).unwrap();
        }
        Network::new(&recipe, ["a", "b", "c"].map(str::to_owned).to_vec(), &Device::Cpu).unwrap()
    }

    /// Three pictures, others in each batch.
    fn inputs(batch: u64) -> Inputs {
        let value = |i: u64| ((i * 2_654_435_761 + batch * 40_503) % 1009) as f32 / 504.5 - 1.0;
        let pixels: Vec<f32> = (0..3 * 3 * 32 * 32).map(value).collect();
        let images = Tensor::from_vec(pixels, (3, 3, 32, 32), &Device::Cpu).unwrap();
        Inputs { images, source: None, labels: Tensor::new(&[0_u32, 2, 1], &Device::Cpu).unwrap(), targets: None }
    }

    fn accumulate(stepper: &mut Stepper, network: &Network, batch: u64) {
        let moment = Moment { batch, progress: 1.0, lr: 0.0 };
        assert!(stepper.accumulate(network, &inputs(batch), Stage::Fine, moment).unwrap().loss.is_finite());
    }

    fn bits(tensor: &Tensor) -> Vec<u32> {
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
    }

    #[test]
    fn a_step_adds_its_batches_in_balance() {
        let (four, one) = (network(4), network(1));
        let alone: Vec<Gradients> = (0..4)
            .map(|batch| {
                let mut stepper = Stepper::new(&one).unwrap();
                accumulate(&mut stepper, &one, batch);
                stepper.pending.gradients.finish(plus).unwrap().unwrap()
            })
            .collect();
        let mut stepper = Stepper::new(&four).unwrap();
        for batch in 0..4 {
            accumulate(&mut stepper, &four, batch);
        }
        let sum = stepper.pending.gradients.finish(plus).unwrap().unwrap();
        assert_eq!(sum.len(), alone[0].len());
        let mut unlike_a_row = 0;
        for (name, sum) in &sum {
            let [a, b, c, d] = [0, 1, 2, 3].map(|batch| &alone[batch][name]);
            let tree = ((a + b).unwrap() + (c + d).unwrap()).unwrap();
            let row = (((a + b).unwrap() + c).unwrap() + d).unwrap();
            assert_eq!(bits(sum), bits(&tree), "{name}");
            unlike_a_row += usize::from(bits(sum) != bits(&row));
        }
        assert!(unlike_a_row > 0, "the order can't be seen");
    }

    #[test]
    fn statistics_and_centres_follow_the_batches_in_their_order() {
        let (four, one) = (network(4), network(1));
        let (mut together, mut apart) = (Stepper::new(&four).unwrap(), Stepper::new(&one).unwrap());
        // At a rate of 0 the weights stay, so that four steps see what one does.
        for batch in 0..4 {
            accumulate(&mut together, &four, batch);
            accumulate(&mut apart, &one, batch);
            apart.update(&one, 0.0).unwrap().unwrap();
        }
        let buffers = |network: &Network| -> Vec<(String, Vec<u32>)> {
            let entries = network.params.entries().into_iter().filter(|entry| entry.kind == Kind::Buffer);
            entries.map(|entry| (entry.name, bits(entry.var.as_tensor()))).collect()
        };
        let before = buffers(&four);
        together.update(&four, 0.0).unwrap().unwrap();
        assert!(before.iter().zip(&buffers(&four)).all(|(before, after)| before != after));
        assert_eq!(buffers(&four), buffers(&one));
    }
}
