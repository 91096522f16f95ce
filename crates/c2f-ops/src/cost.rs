//! What an operation costs.

/// Reports a product of this many multiplications and additions that makes this many values: convolutions, fully connected layers and attention do,
/// when they are run forward, as an event of level TRACE with the target `c2f_ops::cost` and the field
/// `multiply_adds` and `outputs`. Whoever wants to count them listens.
pub(crate) fn report(multiply_adds: usize, outputs: usize) {
    tracing::trace!(target: "c2f_ops::cost", multiply_adds, outputs);
}
