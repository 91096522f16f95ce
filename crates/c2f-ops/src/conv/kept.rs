//! A weight that no longer changes, in the form that the product kernels read.

use std::fmt::{self, Debug, Formatter};
use std::sync::{Arc, OnceLock};

use crate::simd::Float;

/// The packed form of one layer's weight, which the first forward pass makes and later ones find. It belongs to the weight as it was
/// then.
#[derive(Clone, Default)]
pub(crate) struct KeptWeight(Arc<Slots>);

/// A slot for each element type that layers run in.
#[derive(Default)]
pub(crate) struct Slots {
    pub(crate) f32: OnceLock<Vec<f32>>,
    pub(crate) f64: OnceLock<Vec<f64>>,
}

impl KeptWeight {
    /// What is kept, or else what `pack` makes.
    pub(super) fn packed<T: Float>(&self, pack: impl FnOnce() -> Vec<T>) -> &[T] {
        T::slot(&self.0).get_or_init(pack)
    }
}

impl Debug for KeptWeight {
    /// Whether there is one: it may be millions of values.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeptWeight").field(&(self.0.f32.get().is_some() || self.0.f64.get().is_some())).finish()
    }
}
