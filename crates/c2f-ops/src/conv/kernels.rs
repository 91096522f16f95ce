//! Which kernels make a convolution and its gradients.

use super::geometry::Geometry;
use super::kept::KeptWeight;
use super::{dense, depthwise};
use crate::simd::Float;
use crate::source::Source;

/// Both gradients of a convolution.
pub(super) struct Gradients<T, R> {
    /// (B, H, W, I)
    pub input: Vec<T>,
    /// (O, I / groups, kh, kw)
    pub weight: Vec<T>,
    /// What `finish` answered for each block of the input's gradient.
    pub finished: Vec<R>,
}

/// (B, H, W, I) * (O, I / groups, kh, kw) -> (B, H', W', O). `finish` is called with the index of the first value and the
/// values of every block of the result, while it is in the cache; its answers come in order. What is packed of the weight is taken from
/// `kept`, and left there, if there is one.
pub(crate) fn output<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    weight: &[T],
    kept: Option<&KeptWeight>,
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    if g.is_depthwise() { depthwise::forward(g, x, weight, finish) } else { dense::forward(g, x, weight, kept, finish) }
}

/// Gradient of the input, (B, H, W, I), from that of the output.
fn input_gradient<T: Float, R: Send>(
    g: &Geometry,
    dy: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    if g.is_depthwise() {
        depthwise::input_gradient(g, dy, weight, finish)
    } else {
        dense::input_gradient(g, dy, weight, finish)
    }
}

/// Gradient of the weight, (O, I / groups, kh, kw), from the input and the output's gradient.
fn weight_gradient<T: Float>(g: &Geometry, x: &Source<T>, dy: &Source<T>) -> Vec<T> {
    if g.is_depthwise() {
        depthwise::gradients(g, x, dy, None, |_, _| ()).weight
    } else {
        dense::weight_gradient(g, x, dy)
    }
}

/// Both gradients, from the input, the output's gradient and the weight; `finish` is called with the blocks of the
/// input's.
fn gradients<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    dy: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Gradients<T, R> {
    if g.is_depthwise() {
        return depthwise::gradients(g, x, dy, Some(weight), finish);
    }
    dense::pointwise_gradients(g, x, dy, weight, &finish).unwrap_or_else(|| {
        let (input, finished) = dense::input_gradient(g, dy, weight, finish);
        Gradients { input, weight: dense::weight_gradient(g, x, dy), finished }
    })
}

/// The gradients of the input, with what `finish` answered for its blocks, and of the weight.
pub(crate) type WantedGradients<T, R> = (Option<(Vec<T>, Vec<R>)>, Option<Vec<T>>);

/// Those of both gradients that are wanted, (input, weight), from the input, the output's gradient and the weight.
pub(crate) fn wanted_gradients<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    dy: &Source<T>,
    weight: &[T],
    wanted: (bool, bool),
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> WantedGradients<T, R> {
    match wanted {
        (true, true) => {
            let both = gradients(g, x, dy, weight, finish);
            (Some((both.input, both.finished)), Some(both.weight))
        }
        (true, false) => (Some(input_gradient(g, dy, weight, finish)), None),
        (false, true) => (None, Some(weight_gradient(g, x, dy))),
        (false, false) => (None, None),
    }
}
