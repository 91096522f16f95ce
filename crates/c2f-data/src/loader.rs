//! Batches of transformed pictures, made in parallel, the same whatever the number of threads.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rand::Rng;
use rand::seq::SliceRandom;

use crate::cache::{Cache, DiskCache};
use crate::random::generator;
use crate::{Error, Limits, Result, Sample, Transform, Views};

/// How the loader works.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Pictures in a batch, at least 1; the last batch of an epoch may have fewer.
    pub batch_size: usize,
    /// Threads that decode and transform, at least 1. The batches don't depend on it.
    pub threads: usize,
    /// How many batches are held or in the making at most, at least 1.
    pub prefetch: usize,
    /// Whether each epoch has an order of its own, drawn from the seed; if not, the samples keep theirs.
    pub shuffle: bool,
    /// Whether a shuffled epoch has each class equally often, instead of each sample once: a class is drawn for each place
    /// and gives its samples in turn, those of a large class not all, those of a small one several times.
    pub balanced: bool,
    /// Whether to leave out a last batch that is not full.
    pub drop_last: bool,
    /// The seed of order and transforms.
    pub seed: u64,
    /// The share of the samples that may be unreadable in an epoch, rounded down to a number of pictures.
    pub max_unreadable: f64,
    /// The most memory for decoded pictures that are kept from one epoch to the next, in MiB; 0 for none. The batches don't
    /// depend on it.
    pub cache_mb: usize,
    /// How large a picture may be.
    pub limits: Limits,
}

impl Default for LoaderConfig {
    /// Batches of 32, a thread for each core, 2 batches ahead, in order, seed 0, at most 1 % unreadable,
    /// no cache.
    fn default() -> Self {
        Self {
            batch_size: 32,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            prefetch: 2,
            shuffle: false,
            balanced: false,
            drop_last: false,
            seed: 0,
            max_unreadable: 0.01,
            cache_mb: 0,
            limits: Limits::default(),
        }
    }
}

/// Some pictures as the network takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// (B, 3, size, size), normalised. B is the number of labels.
    pub images: Vec<f32>,
    /// (B, 3, source_size, source_size), normalised: the second view, where the transform makes one.
    pub source: Option<Vec<f32>>,
    /// Width and height of the pictures.
    pub size: usize,
    /// Width and height of the second view; equal to `size` where there is none.
    pub source_size: usize,
    /// (B) the labels.
    pub labels: Vec<u32>,
    /// (B) indices into the loader's samples.
    pub ids: Vec<u64>,
    /// Samples that belong here but couldn't be read: their indices, and what was wrong. With all of a batch unreadable,
    /// B is 0.
    pub unreadable: Vec<(u64, String)>,
}

/// Makes batches of samples, epoch after epoch.
#[derive(Clone, Debug)]
pub struct Loader {
    samples: Arc<[Sample]>,
    transform: Arc<Transform>,
    cache: Arc<Cache>,
    config: LoaderConfig,
}

impl Loader {
    /// A loader of `samples`. Numbers in `config` that must be at least 1 count as 1 if they are 0.
    pub fn new(samples: Arc<[Sample]>, transform: Transform, mut config: LoaderConfig) -> Self {
        config.batch_size = config.batch_size.max(1);
        config.threads = config.threads.max(1);
        config.prefetch = config.prefetch.max(1);
        let cache = Arc::new(Cache::new(config.cache_mb.saturating_mul(1 << 20), None, config.limits));
        Self { samples, transform: Arc::new(transform), cache, config }
    }

    /// The same loader, but it looks for decoded pictures in `disk` before it decodes any. The batches don't depend on it.
    #[must_use]
    pub fn with_disk_cache(self, disk: DiskCache) -> Self {
        let memory = self.config.cache_mb.saturating_mul(1 << 20);
        Self { cache: Arc::new(Cache::new(memory, Some(disk), self.config.limits)), ..self }
    }

    /// The number of batches in an epoch.
    pub fn batches(&self) -> usize {
        let (n, size) = (self.samples.len(), self.config.batch_size);
        if self.config.drop_last { n / size } else { n.div_ceil(size) }
    }

    /// The samples, in the order that [`Batch::ids`] counts.
    pub fn samples(&self) -> &Arc<[Sample]> {
        &self.samples
    }

    /// Whether so many samples may be unreadable in an epoch; `messages` say what was wrong with each. An epoch asks for those that it
    /// comes across; who has several epochs share the batches asks for all of them.
    ///
    /// # Errors
    /// If they are more than [`LoaderConfig::max_unreadable`] allows.
    pub fn check_unreadable(&self, messages: &[String]) -> Result<()> {
        let total = self.samples.len();
        let allowed = (self.config.max_unreadable * total as f64).floor() as usize;
        if messages.len() <= allowed {
            return Ok(());
        }
        let first = messages.iter().take(3).cloned().collect();
        Err(Error::Unreadable { count: messages.len(), allowed, total, first })
    }

    /// The order of the samples in an epoch.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        if self.config.shuffle {
            order.shuffle(&mut generator(self.config.seed, *b"shuffle ", [epoch, 0]));
        }
        if self.config.shuffle && self.config.balanced { self.balance(&order, epoch) } else { order }
    }

    /// As many samples as in `order`, of classes drawn evenly; each class gives its samples in that order, over and over.
    fn balance(&self, order: &[usize], epoch: u64) -> Vec<usize> {
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &id in order {
            classes.entry(self.samples[id].label).or_default().push(id);
        }
        let mut turns: Vec<_> = classes.values().map(|ids| ids.iter().cycle()).collect();
        let mut rng = generator(self.config.seed, *b"balance ", [epoch, 0]);
        let draw = |_| {
            let class = rng.random_range(0..turns.len());
            turns[class].next().copied()
        };
        (0..order.len()).filter_map(draw).collect()
    }

    /// Starts an epoch at batch `start_batch`: the batches are those of a whole epoch without the first `start_batch`.
    pub fn epoch(&self, epoch: u64, start_batch: usize) -> Epoch {
        self.epoch_of(epoch, start_batch..self.batches())
    }

    /// Starts an epoch of some of its batches, by their numbers from 0, in this order: each is as it is in the whole epoch. Numbers
    /// from [`batches`](Self::batches) on are left out.
    pub fn epoch_of(&self, epoch: u64, batches: impl IntoIterator<Item = usize>) -> Epoch {
        let (jobs, job_queue) = unbounded();
        let (result_queue, results) = unbounded();
        let (mut threads, mut failure) = (Vec::new(), None);
        for _ in 0..self.config.threads {
            let worker = Worker {
                samples: Arc::clone(&self.samples),
                transform: Arc::clone(&self.transform),
                cache: Arc::clone(&self.cache),
                seed: self.config.seed,
                epoch,
                jobs: job_queue.clone(),
                results: result_queue.clone(),
            };
            match std::thread::Builder::new().spawn(move || worker.run()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    failure = Some(Error::Threads(error));
                    break;
                }
            }
        }
        // Batches don't depend on how many there are.
        if let (Some(error), false) = (&failure, threads.is_empty()) {
            tracing::warn!("{} threads read pictures instead of {}: {error}", threads.len(), self.config.threads);
            failure = None;
        }
        let mut epoch = Epoch {
            loader: self.clone(),
            order: self.order(epoch),
            batches: batches.into_iter().filter(|&batch| batch < self.batches()).collect(),
            next: 0,
            next_to_ask: 0,
            ready: BTreeMap::new(),
            unreadable: Vec::new(),
            channels: Some((jobs, results)),
            threads,
            failure,
        };
        for _ in 0..self.config.prefetch {
            epoch.ask();
        }
        epoch
    }
}

/// A job is a place in the epoch's order and the sample there.
type Job = (usize, usize);
/// The place of a job, and what came of it.
type Done = (usize, std::result::Result<Views, String>);

struct Worker {
    samples: Arc<[Sample]>,
    transform: Arc<Transform>,
    cache: Arc<Cache>,
    seed: u64,
    epoch: u64,
    jobs: Receiver<Job>,
    results: Sender<Done>,
}

impl Worker {
    /// Works until the epoch drops its ends of the channels.
    fn run(&self) {
        for (place, id) in &self.jobs {
            // A picture that makes a decoder panic is one more unreadable picture.
            let views = catch_unwind(AssertUnwindSafe(|| self.views(id)))
                .unwrap_or_else(|_| Err(format!("{}: the decoder panicked", self.samples[id].file)));
            if self.results.send((place, views)).is_err() {
                return;
            }
        }
    }

    fn views(&self, id: usize) -> std::result::Result<Views, String> {
        let picture = self.cache.decode(id, &self.samples[id]).map_err(|e| e.to_string())?;
        Ok(self.transform.apply(&picture, self.seed, self.epoch, id as u64))
    }
}

/// The batches of one epoch. Dropping it stops its threads: each finishes at most the picture that it is at.
#[derive(Debug)]
pub struct Epoch {
    loader: Loader,
    order: Vec<usize>,
    /// The numbers of its batches.
    batches: Vec<usize>,
    /// Which of those comes next.
    next: usize,
    /// The first of those that no thread was asked for.
    next_to_ask: usize,
    /// What threads have made of batches to come, by place. Its size is bounded by the jobs that were asked for.
    ready: BTreeMap<usize, std::result::Result<Views, String>>,
    /// What couldn't be read so far.
    unreadable: Vec<String>,
    /// `None` after the end or an error.
    channels: Option<(Sender<Job>, Receiver<Done>)>,
    threads: Vec<JoinHandle<()>>,
    /// Why there are no threads, until that was told.
    failure: Option<Error>,
}

impl Epoch {
    /// The places of a batch in the order.
    fn places(&self, batch: usize) -> std::ops::Range<usize> {
        let size = self.loader.config.batch_size;
        batch * size..((batch + 1) * size).min(self.order.len())
    }

    /// Asks the threads for one more batch, if there is one.
    fn ask(&mut self) {
        let Some(&batch) = self.batches.get(self.next_to_ask) else { return };
        let Some((jobs, _)) = &self.channels else { return };
        for place in self.places(batch) {
            // The threads are alive as long as this end is.
            let _ = jobs.send((place, self.order[place]));
        }
        self.next_to_ask += 1;
    }

    /// Waits for what a thread made of the sample at a place.
    fn wait(&mut self, place: usize) -> Option<std::result::Result<Views, String>> {
        let (_, results) = self.channels.as_ref()?;
        loop {
            if let Some(views) = self.ready.remove(&place) {
                return Some(views);
            }
            let (done, views) = results.recv().ok()?;
            self.ready.insert(done, views);
        }
    }

    fn stop(&mut self) {
        self.channels = None;
        for thread in self.threads.drain(..) {
            // A panic of a thread is caught inside it.
            let _ = thread.join();
        }
    }
}

impl Iterator for Epoch {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failure.take() {
            self.stop();
            return Some(Err(error));
        }
        let Some(&number) = self.batches.get(self.next).filter(|_| self.channels.is_some()) else {
            self.stop();
            return None;
        };
        let (size, source_size) = (self.loader.transform.size(), self.loader.transform.source_size());
        let places = self.places(number);
        let mut batch = Batch {
            images: Vec::with_capacity(places.len() * 3 * size * size),
            source: (source_size != size).then(|| Vec::with_capacity(places.len() * 3 * source_size * source_size)),
            size,
            source_size,
            labels: Vec::with_capacity(places.len()),
            ids: Vec::with_capacity(places.len()),
            unreadable: Vec::new(),
        };
        for place in places {
            let id = self.order[place];
            match self.wait(place)? {
                Ok(views) => {
                    batch.images.extend_from_slice(&views.coarse);
                    if let (Some(all), Some(source)) = (&mut batch.source, &views.source) {
                        all.extend_from_slice(source);
                    }
                    batch.labels.push(self.loader.samples[id].label as u32);
                    batch.ids.push(id as u64);
                }
                Err(message) => {
                    tracing::warn!("Skipped {message}");
                    self.unreadable.push(message.clone());
                    batch.unreadable.push((id as u64, message));
                }
            }
        }
        if let Err(error) = self.loader.check_unreadable(&self.unreadable) {
            self.stop();
            return Some(Err(error));
        }
        self.next += 1;
        self.ask();
        Some(Ok(batch))
    }
}

impl Drop for Epoch {
    fn drop(&mut self) {
        self.stop();
    }
}
