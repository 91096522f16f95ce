//! Maps on the CPU: their values, their gradient and their place in candle's graph.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{CpuStorage, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::batch_norm::{PartSums, part_sums, task_rows};
use crate::epilogue::Epilogue;
use crate::kernel::{TASK, output};
use crate::simd::Float;
use crate::source::Source;

/// Values that several maps may hold.
pub(super) type Shared<T> = Arc<Vec<T>>;

/// Maps in candle's graph.
#[derive(Clone, Debug)]
pub(super) struct Stored<T> {
    /// Stands for the maps in the graph.
    pub token: Tensor,
    pub content: Arc<Content<T>>,
}

/// What the maps' maker and their readers share.
#[derive(Debug)]
pub(super) struct Content<T> {
    /// (batch, channels, height, width)
    pub dims: (usize, usize, usize, usize),
    /// What readers apply to the stored values, which are channels-last.
    pub epilogue: Option<Epilogue<T>>,
    values: Mutex<Option<Shared<T>>>,
    /// Several maps may share one gradient.
    gradient: Mutex<Option<Shared<T>>>,
    /// What BatchNorm needs of the gradient, if the only reader found it on the way.
    sums: Mutex<Option<Vec<PartSums<T>>>>,
    readers: AtomicUsize,
}

impl<T: Float> Content<T> {
    pub fn new(values: Vec<T>, dims: (usize, usize, usize, usize), epilogue: Option<Epilogue<T>>) -> Arc<Self> {
        let values = Mutex::new(Some(Arc::new(values)));
        Arc::new(Self {
            dims,
            epilogue,
            values,
            gradient: Mutex::new(None),
            sums: Mutex::new(None),
            readers: AtomicUsize::new(0),
        })
    }

    /// The content for one more operation that reads it.
    pub fn reader(self: &Arc<Self>) -> Arc<Self> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        self.clone()
    }

    /// What BatchNorm needs of a block of the gradient that begins with value `first`, to be found while the block is in the
    /// cache. None if the maps have no BatchNorm, or other readers than the caller: its gradient isn't the whole one then.
    pub fn part_sums(&self, values: &[T], first: usize, gradient: &[T]) -> Option<Vec<PartSums<T>>> {
        let epilogue = self.epilogue.as_ref().filter(|_| self.readers.load(Ordering::Relaxed) == 1)?;
        let step = task_rows(self.channels()) * self.channels();
        let rows = values[first..first + gradient.len()].chunks(step).zip(gradient.chunks(step));
        Some(rows.map(|(values, gradient)| part_sums(values, gradient, epilogue)).collect())
    }

    pub fn take_sums(&self) -> Option<Vec<PartSums<T>>> {
        lock(&self.sums).take()
    }

    pub fn channels(&self) -> usize {
        self.dims.1
    }

    pub fn values(&self) -> Result<Shared<T>> {
        match &*lock(&self.values) {
            Some(values) => Ok(values.clone()),
            None => bail!("the maps are gone: `backward` frees them, and can run once through a graph"),
        }
    }

    /// The values as their readers see them.
    pub fn source<'a>(&'a self, values: &'a [T]) -> Source<'a, T> {
        match &self.epilogue {
            Some(epilogue) => Source::Activated(values, epilogue),
            None => Source::Plain(values),
        }
    }

    /// The values and their gradient, which nobody needs after the maker's own backward pass: every reader's was before.
    pub fn take(&self) -> Result<(Shared<T>, Shared<T>)> {
        match (lock(&self.values).take(), lock(&self.gradient).take()) {
            (Some(values), Some(gradient)) => Ok((values, gradient)),
            _ => bail!("the maps or their gradient are gone: `backward` frees them, and can run once through a graph"),
        }
    }

    /// Adds what one reader found, with [`part_sums`](Self::part_sums) of all its blocks in order.
    pub fn add_gradient_and_sums(&self, more: Shared<T>, sums: Vec<Option<Vec<PartSums<T>>>>) {
        self.add_gradient(more);
        // All or none.
        *lock(&self.sums) =
            sums.into_iter().collect::<Option<Vec<_>>>().map(|sums| sums.into_iter().flatten().collect());
    }

    /// Adds what one reader found.
    pub fn add_gradient(&self, more: Shared<T>) {
        let mut gradient = lock(&self.gradient);
        *gradient = Some(match gradient.take() {
            None => more,
            Some(sum) => add(sum, more),
        });
    }
}

/// The sum, in the memory of one of the two if nobody else holds it.
fn add<T: Float>(mut a: Shared<T>, mut b: Shared<T>) -> Shared<T> {
    if Arc::get_mut(&mut a).is_none() {
        std::mem::swap(&mut a, &mut b);
    }
    let into = Arc::make_mut(&mut a);
    into.par_chunks_mut(TASK).zip(b.par_chunks(TASK)).for_each(|(sum, more)| {
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += *more);
    });
    a
}

// What is locked is replaced as a whole: a panic elsewhere can't leave it half-changed.
fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Float> Stored<T> {
    pub fn dims(&self) -> (usize, usize, usize, usize) {
        self.content.dims
    }
}

/// What an operation that makes maps shows candle.
pub(super) fn token<T: Float>() -> (CpuStorage, Shape) {
    output(vec![T::zero()], 1)
}

/// The gradient that a reader's backward pass shows candle: that the token has one is all that matters.
pub(super) fn token_gradient(token: &Tensor) -> Result<Option<Tensor>> {
    token.track_op().then(|| token.zeros_like()).transpose()
}
