//! Depthwise convolution: direct kernels along the channels, which are contiguous.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::geometry::{Axis, Geometry};
use super::matmul::Element;

/// Partial sums of a weight gradient: enough tasks for many cores, few enough for memory.
const MAX_PARTS: usize = 32;

/// Channels that one step takes: a register of AVX-512 (f32), two of AVX2.
const LANES: usize = 16;

/// Channels that a step on a single pixel takes, to keep several sums in flight.
const WIDE: usize = 4 * LANES;

/// Pixels that one step takes, to use each weight several times and to keep several sums in flight.
const PIXELS: usize = 4;

/// (B, H, W, C) * (C, 1, kh, kw) -> (B, H', W', C).
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let taps = |axis: &Axis, kernel| Taps::new(axis.output, axis.input, 1, kernel, |at, tap| axis.source(at, tap));
    gather(g, x, weight, &taps(&g.rows, g.kernel.0), &taps(&g.columns, g.kernel.1))
}

/// Gradient of the input from that of the output.
pub(super) fn input_gradient<T: Element>(g: &Geometry, dy: &[T], weight: &[T]) -> Vec<T> {
    let taps = |axis: &Axis, kernel| {
        Taps::new(axis.input, axis.output, axis.stride, kernel, |at, tap| axis.destination(at, tap))
    };
    gather(g, dy, weight, &taps(&g.rows, g.kernel.0), &taps(&g.columns, g.kernel.1))
}

/// Which source coordinates each destination coordinate of one axis adds up, and under which tap.
struct Taps {
    /// Coordinates of the source axis.
    source: usize,
    /// Destination coordinates that are this far apart see the same taps, but for the edges.
    period: usize,
    /// (tap, source coordinate), for each destination coordinate.
    seen: Vec<Vec<(usize, usize)>>,
}

impl Taps {
    fn new(
        destination: usize,
        source: usize,
        period: usize,
        kernel: usize,
        find: impl Fn(usize, usize) -> Option<usize>,
    ) -> Self {
        let seen = |at| (0..kernel).filter_map(|tap| find(at, tap).map(|source| (tap, source))).collect();
        Self { source, period, seen: (0..destination).map(seen).collect() }
    }

    /// Every destination coordinate once: in runs of [`PIXELS`] that see the same taps, and single ones.
    fn runs(&self) -> Vec<Run> {
        let count = self.seen.len();
        let mut taken = vec![false; count];
        let mut runs = Vec::new();
        for first in 0..count {
            let members = (0..PIXELS).map(|i| first + i * self.period);
            let alike = |at: usize| {
                let taps = |at: usize| self.seen[at].iter().map(|(tap, _)| tap);
                at < count && !taken[at] && taps(at).eq(taps(first))
            };
            if taken[first] || self.seen[first].is_empty() {
                continue;
            }
            if members.clone().all(alike) {
                members.for_each(|at| taken[at] = true);
                let source_step = self.seen[first + self.period][0].1 - self.seen[first][0].1;
                runs.push(Run { first, pixels: PIXELS, source_step });
            } else {
                taken[first] = true;
                runs.push(Run { first, pixels: 1, source_step: 0 });
            }
        }
        runs
    }
}

struct Run {
    first: usize,
    pixels: usize,
    /// Distance of the sources of neighbouring pixels.
    source_step: usize,
}

/// Every destination pixel is the sum, over the taps it sees, of source times weight.
fn gather<T: Element>(g: &Geometry, source: &[T], weight: &[T], rows: &Taps, columns: &Taps) -> Vec<T> {
    let c = g.c_in;
    let weight = taps_first(weight, g.kernel.0 * g.kernel.1);
    let runs = columns.runs();
    let width = columns.seen.len();
    let mut destination = vec![T::zero(); g.batch * rows.seen.len() * width * c];
    destination.par_chunks_mut(width * c).enumerate().for_each(|(row, destination)| {
        let (image, row) = (row / rows.seen.len(), row % rows.seen.len());
        let source = &source[image * rows.source * columns.source * c..][..rows.source * columns.source * c];
        let rows = &rows.seen[row];
        let kernel_width = g.kernel.1;
        let gather =
            GatherRow { destination, source, weight: &weight, channels: c, kernel_width, rows, columns, runs: &runs };
        pulp::Arch::new().dispatch(gather);
    });
    destination
}

/// One row of [`gather`]. A type, because pulp's `WithSimd` is certain to be inlined into the function that has the
/// processor's vector instructions; a closure isn't.
struct GatherRow<'a, T> {
    destination: &'a mut [T],
    source: &'a [T],
    weight: &'a [T],
    channels: usize,
    kernel_width: usize,
    /// (tap, source row)
    rows: &'a [(usize, usize)],
    columns: &'a Taps,
    runs: &'a [Run],
}

impl<T: Element> WithSimd for GatherRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (c, columns) = (self.channels, self.columns);
        let mut window = Vec::new();
        for run in self.runs {
            window.clear();
            for &(ky, sy) in self.rows {
                for &(kx, sx) in &columns.seen[run.first] {
                    let (source, weight) = ((sy * columns.source + sx) * c, (ky * self.kernel_width + kx) * c);
                    window.push(Tap { source, weight });
                }
            }
            let target = &mut self.destination[run.first * c..];
            let step = Step { window: &window, source: self.source, weight: self.weight };
            if run.pixels == PIXELS {
                let strides = (columns.period * c, run.source_step * c);
                let rest = step.take::<PIXELS, LANES>(target, 0, c, strides);
                step.take::<PIXELS, 1>(target, rest, c, strides);
            } else {
                let rest = step.take::<1, WIDE>(target, 0, c, (0, 0));
                let rest = step.take::<1, LANES>(target, rest, c, (0, 0));
                step.take::<1, 1>(target, rest, c, (0, 0));
            }
        }
    }
}

/// Offsets of one tap of a window, at channel 0.
struct Tap {
    source: usize,
    weight: usize,
}

struct Step<'a, T> {
    window: &'a [Tap],
    source: &'a [T],
    weight: &'a [T],
}

impl<T: Element> Step<'_, T> {
    /// Computes channels `from..to` of `P` pixels, `N` at a time, and returns the first channel that is left over.
    /// `strides` are the distances of the pixels in the destination and in the source.
    #[inline(always)]
    fn take<const P: usize, const N: usize>(
        &self,
        destination: &mut [T],
        from: usize,
        to: usize,
        strides: (usize, usize),
    ) -> usize {
        let mut at = from;
        while at + N <= to {
            let mut sums = [[T::zero(); N]; P];
            for tap in self.window {
                let weight = lanes::<T, N>(self.weight, tap.weight + at);
                for (p, sums) in sums.iter_mut().enumerate() {
                    let source = lanes::<T, N>(self.source, tap.source + at + p * strides.1);
                    for i in 0..N {
                        sums[i] += source[i] * weight[i];
                    }
                }
            }
            for (p, sums) in sums.iter().enumerate() {
                destination[at + p * strides.0..][..N].copy_from_slice(sums);
            }
            at += N;
        }
        at
    }
}

/// Gradient of the weight from the input and the output's gradient.
pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let (c, taps) = (g.c_in, g.kernel.0 * g.kernel.1);
    let rows = g.batch * g.rows.output;
    let length = rows.div_ceil(MAX_PARTS);
    let sums: Vec<Vec<T>> = (0..rows.div_ceil(length))
        .into_par_iter()
        .map(|part| {
            let mut sum = vec![T::zero(); taps * c];
            for row in part * length..((part + 1) * length).min(rows) {
                pulp::Arch::new().dispatch(AddRow { g, x, dy, row, sum: &mut sum });
            }
            sum
        })
        .collect();
    let mut dw = vec![T::zero(); taps * c];
    for sum in &sums {
        dw.iter_mut().zip(sum).for_each(|(total, value)| *total += *value);
    }
    transpose(&dw, taps, c)
}

/// Adds one output row's share of the weight gradient to `sum`, (taps, C).
struct AddRow<'a, T> {
    g: &'a Geometry,
    x: &'a [T],
    dy: &'a [T],
    /// Among the rows of all images.
    row: usize,
    sum: &'a mut [T],
}

impl<T: Element> WithSimd for AddRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { g, x, dy, row, sum } = self;
        let c = g.c_in;
        let (image, oy) = (row / g.rows.output, row % g.rows.output);
        let dy = &dy[row * g.columns.output * c..][..g.columns.output * c];
        for ky in 0..g.kernel.0 {
            let Some(iy) = g.rows.source(oy, ky) else { continue };
            let x = &x[(image * g.rows.input + iy) * g.columns.input * c..][..g.columns.input * c];
            for kx in 0..g.kernel.1 {
                let mut inside = (0..g.columns.output).filter_map(|ox| g.columns.source(ox, kx).map(|ix| (ox, ix)));
                let Some((ox, ix)) = inside.next() else { continue };
                let count = 1 + inside.count();
                let x_step = g.columns.stride * c;
                let product = Product { dy: &dy[ox * c..], x: &x[ix * c..], count, dy_step: c, x_step };
                let sum = &mut sum[(ky * g.kernel.1 + kx) * c..][..c];
                let rest = product.add_to::<WIDE>(sum, 0);
                let rest = product.add_to::<LANES>(sum, rest);
                product.add_to::<1>(sum, rest);
            }
        }
    }
}

/// The sum over the `count` pixels of a row of dy times x, per channel.
struct Product<'a, T> {
    dy: &'a [T],
    x: &'a [T],
    count: usize,
    dy_step: usize,
    x_step: usize,
}

impl<T: Element> Product<'_, T> {
    /// Adds the channels from `from` on, `N` at a time, and returns the first that is left over.
    #[inline(always)]
    fn add_to<const N: usize>(&self, total: &mut [T], from: usize) -> usize {
        let mut at = from;
        while at + N <= total.len() {
            let mut sums = [T::zero(); N];
            for p in 0..self.count {
                let dy = lanes::<T, N>(self.dy, at + p * self.dy_step);
                let x = lanes::<T, N>(self.x, at + p * self.x_step);
                for i in 0..N {
                    sums[i] += dy[i] * x[i];
                }
            }
            total[at..at + N].iter_mut().zip(&sums).for_each(|(total, sum)| *total += *sum);
            at += N;
        }
        at
    }
}

#[inline(always)]
fn lanes<T, const N: usize>(values: &[T], at: usize) -> &[T; N] {
    values[at..].first_chunk().expect("the kernels stay inside of their slices")
}

/// (C, taps) -> (taps, C).
fn taps_first<T: Element>(weight: &[T], taps: usize) -> Vec<T> {
    transpose(weight, weight.len() / taps, taps)
}

/// The transpose of a (rows, columns) matrix.
fn transpose<T: Element>(matrix: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..rows * columns).map(|i| matrix[i % rows * columns + i / rows]).collect()
}
