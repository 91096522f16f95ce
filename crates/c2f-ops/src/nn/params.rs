//! The named variables of a network.

use std::collections::BTreeMap;
use std::fmt::{self, Debug, Display, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Shape, Var};
use candle_nn::VarBuilder;

use super::Init;
use super::running::{self, BufferUpdate, Running, Waiting};
use crate::{Error, Format, Result};

/// Whether the optimiser changes a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Trained.
    Parameter,
    /// State that is saved but not trained, such as BatchNorm's running statistics.
    Buffer,
}

/// A variable with its full, dotted name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// For instance `backbone.layer1.0.conv1.weight`.
    pub name: String,
    /// The variable; a clone shares its storage.
    pub var: Var,
    /// Trained or not.
    pub kind: Kind,
}

/// A view, under a name prefix, of the store that keeps the variables of a network. Clones share the store.
#[derive(Clone, Debug)]
pub struct Params {
    store: Arc<Mutex<BTreeMap<String, (Var, Kind)>>>,
    prefix: String,
    device: Device,
    dtype: DType,
    start: Start,
    statistics: usize,
    waiting: Waiting,
}

/// Where the first value of a variable comes from.
#[derive(Clone)]
enum Start {
    /// Drawn by its [`Init`] with this seed.
    Drawn(u64),
    /// Zero.
    Zeros,
    /// Somebody's variable or tensor of that name; drawn with this seed where a `VarMap` hasn't got one yet.
    Builder(VarBuilder<'static>, u64),
}

impl Debug for Start {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drawn(seed) => write!(f, "Drawn({seed})"),
            Self::Zeros => f.write_str("Zeros"),
            Self::Builder(builder, seed) => write!(f, "Builder({:?}, {seed})", builder.prefix()),
        }
    }
}

impl Params {
    /// An empty store. `seed` decides every initial value.
    pub fn new(device: &Device, dtype: DType, seed: u64) -> Self {
        Self { start: Start::Drawn(seed), ..Self::zeros(device, dtype) }
    }

    /// An empty store whose variables all start at zero, which takes no time: for a network whose values will be read from
    /// a file, or of which only names and shapes are wanted.
    pub fn zeros(device: &Device, dtype: DType) -> Self {
        let (device, prefix) = (device.clone(), String::new());
        let waiting = Waiting::default();
        Self { store: Arc::default(), prefix, device, dtype, start: Start::Zeros, statistics: 1, waiting }
    }

    /// An empty store whose variables are those of candle's `VarBuilder`, under the names that they have below its prefix.
    ///
    /// The variables of a `VarMap` are shared with it: its `save` and `load` and any optimiser of candle's see them, and those
    /// that it hasn't got yet start as the layers say, drawn with `seed`. Of tensors in files and in memory the store has copies
    /// that can be trained; one that is missing is an error.
    pub fn from_var_builder(builder: VarBuilder<'static>, seed: u64) -> Self {
        let (device, dtype) = (builder.device().clone(), builder.dtype());
        Self { start: Start::Builder(builder, seed), ..Self::zeros(&device, dtype) }
    }

    /// The view under `name`: `params.at("layer1").at(0)` names its variables `layer1.0.*`.
    #[must_use]
    pub fn at(&self, name: impl Display) -> Self {
        Self { prefix: self.full(&name.to_string()), ..self.clone() }
    }

    /// The same view, whose BatchNorm layers keep `sets` sets of running statistics (1 or 2): with 2, a network that looks
    /// twice normalises each kind of picture by its own.
    #[must_use]
    pub fn with_statistics(&self, sets: usize) -> Self {
        Self { statistics: sets, ..self.clone() }
    }

    /// The view as candle's `VarBuilder`, so that layers of candle-nn, candle-transformers or anybody's have their variables in
    /// this store, and with it in checkpoints. Their first values are candle's kinds, but keyed by seed and name as all are here;
    /// `running_mean` and `running_var` are buffers, and every other variable is trained.
    pub fn var_builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), self.dtype, self.device.clone())
    }

    /// A trained variable; an existing one of that name is shared.
    ///
    /// # Errors
    /// If the name exists with another shape, or the initialiser doesn't fit the shape.
    pub fn parameter(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Var> {
        self.variable(name, shape.into(), init, Kind::Parameter)
    }

    /// A variable that is saved but not trained.
    ///
    /// # Errors
    /// If the name exists with another shape.
    pub fn buffer(&self, name: &str, shape: impl Into<Shape>, value: f64) -> Result<Var> {
        self.variable(name, shape.into(), Init::Constant(value), Kind::Buffer)
    }

    /// A buffer that follows the batches.
    pub(super) fn running(&self, name: &str, shape: impl Into<Shape>, value: f64) -> Result<Running> {
        let var = self.buffer(name, shape, value)?;
        Ok(Running { name: self.full(name), var, waiting: self.waiting.clone() })
    }

    /// Does `work`, in which the running statistics of the whole network stay as they are; gives the moves that it would have made of
    /// them, in their order, for [`apply`](Self::apply).
    pub fn deferred<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<BufferUpdate>) {
        let outer = self.waiting.replace(Some(Vec::new()));
        let done = work();
        (done, self.waiting.replace(outer).unwrap_or_default())
    }

    /// Makes these moves, one after the other; those of buffers that aren't here are left out.
    ///
    /// # Errors
    /// If a share has another shape than its buffer.
    pub fn apply(&self, updates: &[BufferUpdate]) -> Result<()> {
        for update in updates {
            if let Some(entry) = self.get(&update.name) {
                running::apply(&entry.var, update)?;
            }
        }
        Ok(())
    }

    pub(super) fn variable(&self, name: &str, shape: Shape, init: Init, kind: Kind) -> Result<Var> {
        let name = self.full(name);
        let mut store = self.lock();
        if let Some((var, _)) = store.get(&name) {
            if var.shape() == &shape {
                return Ok(var.clone());
            }
            let (existing, asked) = (var.dims().to_vec(), shape.into_dims());
            return Err(Error::Parameter { name, existing, asked });
        }
        let draw = |seed| init.draw(&name, &shape, seed, self.dtype, &self.device);
        let var = match &self.start {
            Start::Drawn(seed) => Var::from_tensor(&draw(*seed)?)?,
            Start::Zeros => Var::zeros(shape, self.dtype, &self.device)?,
            Start::Builder(builder, seed) => {
                let is_new = !builder.contains_tensor(&name);
                let zeros = candle_nn::Init::Const(0.0);
                let var = Var::from_tensor(&builder.get_with_hints(shape.clone(), &name, zeros)?)?;
                if is_new {
                    var.set(&draw(*seed)?)?;
                }
                var
            }
        };
        store.insert(name, (var.clone(), kind));
        Ok(var)
    }

    /// The variables under this view's prefix, sorted by their full names.
    pub fn entries(&self) -> Vec<Entry> {
        let inside = |name: &str| {
            self.prefix.is_empty() || name.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('.'))
        };
        let store = self.lock();
        let entries = store.iter().filter(|(name, _)| inside(name));
        entries.map(|(name, (var, kind))| Entry { name: name.clone(), var: var.clone(), kind: *kind }).collect()
    }

    /// The variable of that full name.
    pub fn get(&self, full_name: &str) -> Option<Entry> {
        let store = self.lock();
        let (var, kind) = store.get(full_name)?;
        Some(Entry { name: full_name.to_owned(), var: var.clone(), kind: *kind })
    }

    /// The prefix of this view, without a trailing dot; empty at the root.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where the variables live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Type of the variables.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The format that layers work in on this device.
    pub fn format(&self) -> Format {
        Format::native(&self.device)
    }

    /// How many sets of running statistics BatchNorm layers keep.
    pub fn statistics(&self) -> usize {
        self.statistics
    }

    pub(super) fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    // A panic elsewhere can't leave the map half-changed: an insertion is its only change.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Var, Kind)>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_scoped() {
        let root = Params::new(&Device::Cpu, DType::F32, 0);
        root.at("b").at(1).parameter("weight", 3, Init::Constant(1.0)).unwrap();
        root.at("a").buffer("mean", 2, 0.0).unwrap();
        root.at("bb").buffer("mean", 2, 0.0).unwrap();
        let names = |p: &Params| p.entries().into_iter().map(|e| e.name).collect::<Vec<_>>();
        assert_eq!(names(&root), ["a.mean", "b.1.weight", "bb.mean"]);
        assert_eq!(names(&root.at("b")), ["b.1.weight"]);
    }

    #[test]
    fn a_name_is_one_variable_of_one_shape() {
        let root = Params::new(&Device::Cpu, DType::F32, 0);
        let first = root.parameter("w", (2, 2), Init::Constant(1.0)).unwrap();
        let again = root.parameter("w", (2, 2), Init::Constant(5.0)).unwrap();
        assert_eq!(first.id(), again.id());
        let error = root.parameter("w", (2, 3), Init::Constant(1.0)).unwrap_err();
        assert!(error.to_string().contains("[2, 2]"), "{error}");
    }
}
