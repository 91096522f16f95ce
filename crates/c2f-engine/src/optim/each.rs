//! Work on each variable.

use candle_core::Device;
use rayon::prelude::*;

/// What `work` makes of each item, in their order: on all cores for tensors on the CPU. On a card the items take turns on the
/// thread of the caller, whose stream orders what reads and what writes; other threads have streams of their own.
pub(super) fn each<T: Sync, R: Send>(items: &[T], device: &Device, work: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    if device.is_cpu() { items.par_iter().map(work).collect() } else { items.iter().map(work).collect() }
}
