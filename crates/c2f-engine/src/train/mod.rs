//! The training loop.

mod data;
mod event;
mod loss;
mod metrics;
mod mix;
mod objective;
mod outcome;
mod phases;
mod probe;
mod progress;
mod ranks;
mod rehearsal;
mod step;
mod trained_on;

pub use data::Data;
pub use event::Event;
pub use metrics::{EpochRecord, read_metrics};
pub use progress::{Progress, Sums};
pub use rehearsal::{Rehearsal, rehearse};
pub use step::{Moment, StepReport, Stepper};
pub use trained_on::TrainedOn;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use c2f_data::{Batch, DiskCache, Loader, LoaderConfig};
use c2f_dist::World;
use c2f_files::atomic;
use candle_core::Device;

use metrics::{read_lines, write_lines};
use progress::{BatchReport, stage_of};

use crate::checkpoint::{self, Checkpoint, best_path, last_path, restore};
use crate::evaluate::{evaluate_until, loader_of};
use crate::network::Stage;
use crate::recipe::Sampling;
use crate::schedule::Schedule;
use crate::transfer::transfer;
use crate::whiten::whiten;
use crate::{Error, Evaluation, HeldOut, Inputs, Network, Prediction, Recipe, Result, RunFolder, Taxonomy, TestViews};

/// Steps in a row without a finite loss after which a run gives up.
const NOT_FINITE_LIMIT: usize = 10;

/// Where and how a run runs.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The run's folder.
    pub output: RunFolder,
    /// Go on from the folder's last checkpoint; from the beginning, if it has none yet.
    pub resume: bool,
    /// Where to compute. A card is to have one stream for all threads: `Device::new_cuda_with_stream`, not `Device::new_cuda`, which
    /// takes one for each and orders nothing between them.
    pub device: Device,
    /// The processes that train together; each calls [`train`] with the same recipe. Events are told on every rank, files are written by
    /// the first alone: the others' `output` is [`RunFolder::of_another`].
    pub world: World,
    /// Set it from a signal handler: the run saves and stops after the step that it is at, on whichever rank it was set.
    pub stop: Arc<AtomicBool>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Epochs done.
    pub epochs: usize,
    /// The epoch, counted from 1, whose weights are in `checkpoints/best.safetensors`: the best of the last stage, measured on
    /// the split `val`; the last where the data set has none, as the test pictures mustn't choose.
    pub best_epoch: Option<usize>,
    /// The line of the last epoch.
    pub last: Option<EpochRecord>,
    /// The line of `best_epoch`.
    pub best: Option<EpochRecord>,
    /// Whether it was told to stop before its end.
    pub interrupted: bool,
    /// The run's folder.
    pub output: PathBuf,
    /// The pictures that the run began with.
    pub data: Data,
}

/// Trains as the recipe says, and tells `on_event` what happens.
///
/// Stage 1 trains the coarse look for `inverse.coarse_epochs`, stage 2 both looks. Each epoch ends with a validation on the
/// split `val` or, without one, `test`, a line in `metrics.jsonl` and a checkpoint. The pictures to validate on are read once
/// before the first epoch, so that damaged ones are known at once. A run that was killed at any moment and
/// resumed has, bit for bit, the weights of an uninterrupted one.
///
/// # Errors
/// If the recipe, the data, the weights or the folder can't be used, or the loss wasn't finite ten times in a row.
pub fn train(recipe: &Recipe, options: &TrainOptions, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Summary> {
    train_on(&Data::open(recipe)?, recipe, options, on_event)
}

/// As [`train`], on pictures that the program has: `Data::of` a [`Dataset`](c2f_data::Dataset) of its own. What the recipe's `data`
/// says isn't read.
///
/// # Errors
/// As [`train`].
pub fn train_on(
    data: &Data,
    recipe: &Recipe,
    options: &TrainOptions,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<Summary> {
    recipe.validate()?;
    if recipe.schedule.early_stopping > 0 && !data.may_choose() {
        let expected = "0 with a data set without a validation split, which `holdout=PERCENT` behind its name makes";
        return Err(Error::field("schedule.early_stopping", recipe.schedule.early_stopping, expected));
    }
    if !data.dataset.skipped.is_empty() {
        on_event(Event::Warning(&data.dataset.skipped.to_string()));
    }
    ranks::branch(recipe, &options.world)?;
    ranks::check_alike(&options.world, &data.dataset)?;
    let resumed = if options.resume { find_checkpoint(options)? } else { None };
    let mut run = match resumed {
        Some(checkpoint) => Run::resume(recipe, options, data, checkpoint)?,
        None => Run::start(recipe, options, data, on_event)?,
    };
    run.train(data, on_event)
}

/// The first rank's, for all.
fn find_checkpoint(options: &TrainOptions) -> Result<Option<Checkpoint>> {
    let (path, world) = (last_path(&options.output), &options.world);
    if !world.any(world.is_first() && path.exists())? {
        return Ok(None);
    }
    let mine = if world.is_first() { c2f_files::bytes(&path, u64::MAX)? } else { Vec::new() };
    Ok(Some(Checkpoint::from_bytes(&path, &world.broadcast(mine)?)?))
}

/// A network for these pictures, with initial weights.
fn network_for(recipe: &Recipe, data: &Data, device: &Device) -> Result<Network> {
    let mut network = Network::new(recipe, data.dataset.classes.clone(), device)?;
    network.taxonomy = Taxonomy::of(&data.dataset);
    network.weigh_classes(data.train.iter().map(|sample| sample.label))?;
    Ok(network)
}

/// A network before its first batch, with the recipe's pretrained weights, if it has any, and whether its attention is to be whitened.
fn begin(
    recipe: &Recipe,
    data: &Data,
    device: &Device,
    world: &World,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<(Network, bool)> {
    let mut network = network_for(recipe, data, device)?;
    network.trained_on = TrainedOn::new(&data.dataset);
    let mut whitens = recipe.attention.whitened && recipe.method.is_orthogonal();
    // The other ranks needn't have the file.
    if let Some(weights) = recipe.weights.as_ref().filter(|_| world.is_first()) {
        let weights = Path::new(weights);
        if checkpoint::is_checkpoint(weights) {
            whitens = false;
            if let Some(warning) = transfer(&mut network, weights)?.warning(weights) {
                on_event(Event::Warning(&warning));
            }
        } else {
            network.load_pretrained(weights)?;
        }
    }
    let whitens = ranks::start_alike(world, &mut network, whitens)?;
    Ok((network, whitens))
}

/// The batches to train on, augmented as the recipe says.
fn loader(network: &Network, data: &Data) -> Result<Loader> {
    let recipe = &network.recipe;
    let config = LoaderConfig {
        shuffle: true,
        balanced: recipe.loader.sampling == Sampling::Balanced,
        // A last batch of one or two pictures would spoil BatchNorm's statistics.
        drop_last: data.train.len() >= recipe.batch_size,
        cache_mb: recipe.loader.cache_mb,
        ..recipe.loader_config()
    };
    let loader = Loader::new(Arc::clone(&data.train), network.train_transform(), config);
    let (folder, mb) = (&recipe.loader.disk_cache, recipe.loader.disk_cache_mb as u64);
    if folder.is_empty() {
        return Ok(loader);
    }
    Ok(loader.with_disk_cache(DiskCache::open(Path::new(folder), mb << 20, &data.train)?))
}

/// A run between two batches.
struct Run<'a> {
    recipe: &'a Recipe,
    options: &'a TrainOptions,
    network: Network,
    stepper: Stepper,
    progress: Progress,
    /// The lines of `metrics.jsonl`.
    lines: Vec<String>,
    is_resumed: bool,
}

impl<'a> Run<'a> {
    fn start(
        recipe: &'a Recipe,
        options: &'a TrainOptions,
        data: &Data,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Self> {
        let (network, whitens) = begin(recipe, data, &options.device, &options.world, on_event)?;
        if let Some(coarse) = network.coarse_epochs().filter(|coarse| *coarse >= recipe.epochs) {
            on_event(Event::Warning(&format!(
                "inverse.coarse_epochs = {coarse} leaves none of the {} epochs for the fine look",
                recipe.epochs
            )));
        }
        let (stepper, progress) = (Stepper::in_world(&network, options.world.clone())?, Progress::default());
        let mut run = Self { recipe, options, network, stepper, progress, lines: Vec::new(), is_resumed: false };
        if whitens {
            whiten(&run.network, &loader(&run.network, data)?)?;
            // A moving average begins with the weights as they are now.
            run.stepper = Stepper::in_world(&run.network, options.world.clone())?;
        }
        Ok(run)
    }

    fn resume(recipe: &'a Recipe, options: &'a TrainOptions, data: &Data, checkpoint: Checkpoint) -> Result<Self> {
        let path = last_path(&options.output);
        let changed = checkpoint.recipe.differences_to_resume(recipe);
        if !changed.is_empty() {
            return Err(Error::Usage(format!(
                "{} was trained with another recipe; different: {}",
                options.output.display(),
                changed.join(", ")
            )));
        }
        data.check_same(&path, &checkpoint, recipe)?;
        let mut network = network_for(recipe, data, &options.device)?;
        network.trained_on = checkpoint.trained_on;
        restore(&path, &checkpoint.weights, &network.params)?;
        let mut stepper = Stepper::in_world(&network, options.world.clone())?;
        let to_device = |tensors: std::collections::BTreeMap<_, candle_core::Tensor>| {
            tensors.into_iter().map(|(name, t)| Ok((name, t.to_device(&options.device)?))).collect::<Result<_>>()
        };
        stepper.restore(to_device(checkpoint.optimizer)?, to_device(checkpoint.ema)?);
        let progress = checkpoint.progress;
        // A kill between the line and the checkpoint of an epoch leaves a line whose epoch is trained again.
        let metrics = options.output.join("metrics.jsonl");
        let mut lines = if options.world.is_first() && metrics.exists() { read_lines(&metrics)? } else { Vec::new() };
        lines.retain(|(record, _)| record.epoch <= progress.epoch);
        let lines = lines.into_iter().map(|(_, line)| line).collect();
        Ok(Self { recipe, options, network, stepper, progress, lines, is_resumed: true })
    }

    fn train(&mut self, data: &Data, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Summary> {
        if self.options.world.is_first() {
            self.prepare_folder()?;
        }
        let loader = loader(&self.network, data)?;
        on_event(Event::Start {
            parameters: self.network.parameter_count(),
            train: data.train.len(),
            validation: data.validation().len(),
            validation_split: data.validation_split,
            classes: data.dataset.classes.len(),
            epochs: self.recipe.epochs,
            batches: loader.batches(),
            resumed: self.is_resumed.then_some((self.progress.epoch + 1, self.progress.batch)),
        });
        if self.progress == Progress::default() && !self.read_validation(data, on_event)? {
            return Ok(self.summary(data, true));
        }
        while self.progress.epoch < self.recipe.epochs && !self.stops_early() {
            if !self.train_epoch(&loader, on_event)? || !self.finish_epoch(data, on_event)? {
                return Ok(self.summary(data, true));
            }
        }
        let is_done = !data.may_choose() || self.measure_held_out(data, on_event)?;
        Ok(self.summary(data, !is_done))
    }

    fn prepare_folder(&self) -> Result<()> {
        let output = &self.options.output;
        let checkpoints = output.join("checkpoints");
        atomic::sweep(output)?;
        // First of all: by this file the folder is known as that of a run.
        atomic::write(&output.join("config.toml"), self.recipe.to_toml().as_bytes())?;
        std::fs::create_dir_all(&checkpoints).map_err(|source| Error::io(&checkpoints, source))?;
        atomic::sweep(&checkpoints)?;
        write_lines(&output.join("metrics.jsonl"), &self.lines)
    }

    /// Whether the last stage has had as many epochs without a better one as the recipe bears with.
    fn stops_early(&self) -> bool {
        let patience = self.recipe.schedule.early_stopping;
        let is_last_stage = match self.network.coarse_epochs() {
            Some(coarse) => self.progress.epoch > coarse || coarse >= self.recipe.epochs,
            None => true,
        };
        let stops = patience > 0 && is_last_stage && self.progress.epochs_since_best() >= patience;
        if stops && self.options.world.is_first() {
            tracing::info!("Ending after epoch {}: no better one for {patience}", self.progress.epoch);
        }
        stops
    }

    /// Reads the pictures that each epoch will be measured on, so that damaged ones don't end a run after its first epoch;
    /// false if told to stop before.
    fn read_validation(&self, data: &Data, on_event: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let files = data.validation_files();
        let (of, world) = (files.len(), &self.options.world);
        let (mut done, mut unreadable) = (0, Vec::new());
        let loader = loader_of(&self.network, files, self.network.eval_transform());
        let mut mine = loader.epoch_of(0, (world.rank()..loader.batches()).step_by(world.size()));
        for _ in 0..loader.batches().div_ceil(world.size()) {
            let read = match mine.next().transpose()? {
                Some(batch) => (batch.labels.len(), batch.unreadable.into_iter().map(|(_, message)| message).collect()),
                None => (0, Vec::new()),
            };
            for (readable, messages) in world.gather(read)? {
                for message in &messages {
                    on_event(Event::Warning(&format!("can't be validated on: {message}")));
                }
                done += readable + messages.len();
                unreadable.extend(messages);
            }
            world.told_once(loader.check_unreadable(&unreadable).map_err(Error::from))?;
            on_event(Event::Check { done, of });
            if world.any(self.options.stop.load(Ordering::Relaxed))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Trains to the end of the epoch; false if told to stop before.
    fn train_epoch(&mut self, loader: &Loader, on_event: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let (epoch, batches) = (self.progress.epoch, loader.batches());
        let coarse_epochs = self.network.coarse_epochs();
        let stage = stage_of(epoch, coarse_epochs);
        if coarse_epochs == Some(epoch) && self.progress.batch == 0 {
            self.stepper.start_fine_statistics(&self.network)?;
        }
        self.network.stage = stage;
        if self.progress.batch >= batches {
            return Ok(true);
        }
        let schedule = Schedule::new(&self.recipe.schedule, self.recipe.epochs, batches);
        let (world, in_step) = (&self.options.world, self.recipe.optimizer.grad_accum_steps);
        let lr = |batch: usize| self.recipe.optimizer.lr * schedule.factor(epoch * batches + batch);
        let branch = ranks::branch(self.recipe, world)?;
        let is_mine = |batch: &usize| branch.contains(&(batch % in_step));
        let mut mine = loader.epoch_of(epoch as u64, (self.progress.batch..batches).filter(is_mine));
        let mut unreadable = Vec::new();
        let mut clock = Instant::now();
        // A save is due after so many batches, at the next step of the optimiser.
        let mut next_save = self.progress.batch + self.recipe.checkpoint.every_batches;
        while self.progress.batch < batches {
            let first = self.progress.batch;
            let end = ((first / in_step + 1) * in_step).min(batches);
            let mut reports = Vec::new();
            for batch in (first..end).filter(is_mine) {
                let number = epoch * batches + batch;
                let progress = number as f64 / (self.recipe.epochs * batches) as f64;
                let moment = Moment { batch: number as u64, progress, lr: lr(batch) };
                let loaded = mine.next().unwrap_or_else(|| unreachable!("the loader has as many batches"))?;
                reports.push(self.train_batch(loaded, stage, moment)?);
            }
            let reports = world.gather(reports)?.concat();
            for report in &reports {
                for message in &report.unreadable {
                    on_event(Event::Warning(&format!("Skipped {message}")));
                    unreadable.push(message.clone());
                }
                self.progress.sums.add(report);
            }
            world.told_once(loader.check_unreadable(&unreadable).map_err(Error::from))?;
            self.progress.batch = end;
            self.progress.sums.lr = lr(end - 1);
            let grad_norm = if reports.iter().any(|report| report.images > 0) {
                self.step(lr(end - 1), on_event)?
            } else {
                // None of the pictures could be read, which was said.
                self.stepper.discard();
                None
            };
            self.progress.sums.seconds += clock.elapsed().as_secs_f64();
            clock = Instant::now();
            for (batch, report) in (first..end).zip(&reports) {
                on_event(Event::Batch {
                    epoch: epoch + 1,
                    stage,
                    done: batch + 1,
                    of: batches,
                    loss: self.progress.sums.mean_loss().unwrap_or(f64::NAN),
                    terms: &report.terms,
                    grad_norm,
                    lr: lr(batch),
                    images_per_s: self.progress.sums.images_per_s(),
                });
            }
            let stop = world.any(self.options.stop.load(Ordering::Relaxed))?;
            if stop || (end >= next_save && end < batches) {
                next_save = end + self.recipe.checkpoint.every_batches;
                self.save_last(on_event)?;
            }
            if stop {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn train_batch(&mut self, mut batch: Batch, stage: Stage, moment: Moment) -> Result<BatchReport> {
        let unreadable = std::mem::take(&mut batch.unreadable).into_iter().map(|(_, message)| message).collect();
        if batch.labels.is_empty() {
            self.stepper.skip()?;
            return Ok(BatchReport { loss: None, terms: Vec::new(), correct: 0, images: 0, unreadable });
        }
        let inputs = Inputs::new(batch, &self.options.device)?;
        let report = self.stepper.accumulate(&self.network, &inputs, stage, moment)?;
        let StepReport { loss, terms, correct, images } = report;
        Ok(BatchReport { loss: Some(loss).filter(|loss| loss.is_finite()), terms, correct, images, unreadable })
    }

    /// Gives the gradient's norm, where the weights were moved.
    fn step(&mut self, lr: f64, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Option<f64>> {
        if let Some(norm) = self.stepper.update(&self.network, lr)? {
            self.progress.not_finite = 0;
            self.progress.sums.steps += 1;
            self.progress.sums.grad_norm += norm;
            return Ok(Some(norm));
        }
        let Progress { epoch, batch, not_finite, .. } = &mut self.progress;
        *not_finite += 1;
        on_event(Event::Warning(&format!(
            "epoch {}, batch {batch}: the loss or its gradient is not finite; the step is skipped ({not_finite} in a row)",
            *epoch + 1
        )));
        if *not_finite < NOT_FINITE_LIMIT {
            return Ok(None);
        }
        let last = last_path(&self.options.output);
        let error =
            Error::NotFinite { steps: *not_finite, epoch: *epoch + 1, checkpoint: last.exists().then_some(last) };
        self.options.world.told_once(Err(error))
    }

    /// Validates, writes the epoch's line and its checkpoints; false if told to stop before.
    fn finish_epoch(&mut self, data: &Data, on_event: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        let epoch = self.progress.epoch + 1;
        let Some(evaluation) = self.validate(data, epoch, on_event)? else {
            self.save_last(on_event)?;
            return Ok(false);
        };
        for message in &evaluation.unreadable {
            on_event(Event::Warning(&format!("Skipped {message}")));
        }
        let sums = self.progress.sums;
        let record = EpochRecord {
            epoch,
            stage: self.network.stage,
            train_loss: sums.mean_loss(),
            train_top1: sums.top1(),
            grad_norm: sums.mean_grad_norm(),
            val_loss: evaluation.loss,
            val_top1: evaluation.top1,
            val_top1_coarse: evaluation.top1_coarse,
            val_top1_fine: evaluation.top1_fine,
            val_top5: evaluation.top5,
            val_area: evaluation.area,
            val_attention_similarity: evaluation.attention_similarity,
            lr: sums.lr,
            images_per_s: sums.images_per_s(),
            seconds: Some(sums.seconds),
        };
        let best = self.progress.finish_epoch(&record, data.may_choose());
        if self.options.world.is_first() {
            if best {
                self.save_best()?;
            }
            self.keep_epoch(epoch)?;
            let metrics = self.options.output.join("metrics.jsonl");
            self.lines.push(serde_json::to_string(&record).map_err(|e| Error::io(&metrics, e.into()))?);
            write_lines(&metrics, &self.lines)?;
        }
        self.save_last(on_event)?;
        on_event(Event::Epoch { record: &record, best });
        Ok(true)
    }

    fn validate(&self, data: &Data, epoch: usize, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Option<Evaluation>> {
        let on_event = RefCell::new(on_event);
        let tell = |event: Event<'_>| (on_event.borrow_mut())(event);
        let mut on_batch = |done, of| tell(Event::Validation { epoch, done, of });
        let mut on_predictions = |_: &[usize], prediction: &Prediction| {
            tell(Event::Prediction(prediction));
            Ok(())
        };
        let mut work = || {
            let views = TestViews::default();
            let TrainOptions { world, stop, .. } = self.options;
            evaluate_until(&self.network, world, data.validation(), views, stop, &mut on_predictions, &mut on_batch)
        };
        match self.stepper.ema() {
            Some(ema) => ema.with_averages(&self.network.params, work),
            None => work(),
        }
    }

    /// Has the best network know what the held-out pictures say of it; false if told to stop before. The first rank does it alone: what
    /// is written is its.
    fn measure_held_out(&self, data: &Data, on_event: &mut dyn FnMut(Event<'_>)) -> Result<bool> {
        if !self.options.world.is_first() {
            return Ok(true);
        }
        let path = best_path(&self.options.output);
        let checkpoint = Checkpoint::read(&path)?;
        let progress = checkpoint.progress.clone();
        let mut network = checkpoint.into_network(&path, &self.options.device)?.finished();
        network.held_out = None;
        let Some(held_out) = HeldOut::measure(&network, data.validation(), &self.options.stop)? else {
            return Ok(false);
        };
        on_event(Event::HeldOut(&held_out));
        network.held_out = Some(held_out);
        let none = std::collections::BTreeMap::new();
        Checkpoint::write(&path, &network, &progress, &none, &none)?;
        Ok(true)
    }

    /// Keeps the network of this epoch, and no longer that of the one which is too long ago.
    fn keep_epoch(&self, epoch: usize) -> Result<()> {
        let keep = self.recipe.checkpoint.keep;
        if keep == 0 {
            return Ok(());
        }
        let path = |epoch: usize| self.options.output.join(format!("checkpoints/epoch-{epoch}.safetensors"));
        self.save_evaluated(&path(epoch))?;
        match epoch.checked_sub(keep).map(path) {
            Some(old) if old.exists() => std::fs::remove_file(&old).map_err(|source| Error::io(&old, source)),
            _ => Ok(()),
        }
    }

    fn save_best(&self) -> Result<()> {
        self.save_evaluated(&best_path(&self.options.output))
    }

    /// What was evaluated, without what only resuming needs.
    fn save_evaluated(&self, path: &Path) -> Result<()> {
        let none = std::collections::BTreeMap::new();
        let write = || Checkpoint::write(path, &self.network, &self.progress, &none, &none);
        match self.stepper.ema() {
            Some(ema) => ema.with_averages(&self.network.params, write),
            None => write(),
        }
    }

    fn save_last(&self, on_event: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        if !self.options.world.is_first() {
            return Ok(());
        }
        let path = last_path(&self.options.output);
        let none = std::collections::BTreeMap::new();
        let averages = self.stepper.ema().map_or(&none, |ema| ema.averages());
        Checkpoint::write(&path, &self.network, &self.progress, self.stepper.optimizer().state(), averages)?;
        on_event(Event::Saved(&path));
        Ok(())
    }

    fn summary(&self, data: &Data, interrupted: bool) -> Summary {
        Summary {
            epochs: self.progress.epoch,
            best_epoch: self.progress.best.as_ref().map(|record| record.epoch),
            last: self.progress.last.clone(),
            best: self.progress.best.clone(),
            interrupted,
            output: self.options.output.to_path_buf(),
            data: data.clone(),
        }
    }
}
