//! What a training would be, without one.

use std::time::Instant;

use candle_core::Device;

use super::progress::stage_of;
use super::{Data, Event, Moment, Stepper, begin, loader};
use crate::{Error, Inputs, Recipe, Result, Stage, World};

/// Batches of each stage that are trained on; the first also fills caches and isn't timed.
const BATCHES: usize = 3;

/// What a training would be.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// The pictures.
    pub data: Data,
    /// Trained values in the network.
    pub parameters: usize,
    /// Batches per epoch.
    pub batches: usize,
    /// Epochs.
    pub epochs: usize,
    /// Loss of the last batch that was tried.
    pub loss: f64,
    /// Seconds that the batches of all epochs would take, without the measurements between them: a few batches, many times over.
    pub seconds: f64,
}

/// Opens the data, makes the network, loads its weights and trains it on three batches of each stage, of which nothing is kept: whatever would
/// stop a run at its beginning stops this.
///
/// # Errors
/// As [`train`](crate::train()), and if a loss isn't finite.
pub fn rehearse(recipe: &Recipe, device: &Device, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Rehearsal> {
    recipe.validate()?;
    let data = Data::open(recipe)?;
    let (mut network, _) = begin(recipe, &data, device, &World::Single, on_event)?;
    let loader = loader(&network, &data)?;
    let mut stepper = Stepper::new(&network)?;
    let (mut loss, mut seconds) = (f64::NAN, 0.0);
    for stage in [Stage::Coarse, Stage::Fine] {
        let epochs = (0..recipe.epochs).filter(|&epoch| stage_of(epoch, network.coarse_epochs()) == stage).count();
        if epochs == 0 {
            continue;
        }
        network.stage = stage;
        let mut of_batch = f64::INFINITY;
        let mut clock = Instant::now();
        for (number, batch) in loader.epoch(0, 0).take(BATCHES).enumerate() {
            let batch = batch?;
            if !batch.labels.is_empty() {
                let moment = Moment { batch: number as u64, progress: 0.0, lr: 0.0 };
                loss = stepper.accumulate(&network, &Inputs::new(batch, device)?, stage, moment)?.loss;
                stepper.update(&network, 0.0)?;
            }
            let took = clock.elapsed().as_secs_f64();
            clock = Instant::now();
            if number > 0 || loader.batches() == 1 {
                of_batch = of_batch.min(took);
            }
        }
        seconds += of_batch * (epochs * loader.batches()) as f64;
    }
    if !loss.is_finite() {
        return Err(Error::NotFinite { steps: 1, epoch: 1, checkpoint: None });
    }
    let (parameters, batches) = (network.parameter_count(), loader.batches());
    Ok(Rehearsal { data, parameters, batches, epochs: recipe.epochs, loss, seconds })
}
