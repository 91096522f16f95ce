//! Depthwise convolution: direct kernels along the channels, which are contiguous.
#![allow(unsafe_code)]

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::correlation::{Block, Correlation, Family};
use super::geometry::Geometry;
use super::source::{Source, Strip};
use crate::kernel::split_mut;
use crate::simd::{Float, dispatch, lanes};

/// Partial sums of a weight gradient: enough tasks for many cores, few enough for memory.
const MAX_PARTS: usize = 32;

/// (B, H, W, C) * (C, 1, kh, kw) -> (B, H', W', C). `finish` is called with every block of the result, while it is in the
/// cache; its answers come in order.
pub(super) fn forward<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    weight: &[T],
    finish: impl Fn(&mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    correlate(g, &Correlation::forward(g), x, weight, finish)
}

/// Gradient of the input from that of the output.
pub(super) fn input_gradient<T: Float>(g: &Geometry, dy: &Source<T>, weight: &[T]) -> Vec<T> {
    correlate(g, &Correlation::transposed(g), dy, weight, |_| ()).0
}

fn correlate<T: Float, R: Send>(
    g: &Geometry,
    c: &Correlation,
    x: &Source<T>,
    weight: &[T],
    finish: impl Fn(&mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let channels = g.c_in;
    let weight = transpose(weight, channels, g.taps());
    let blocks = c.blocks(channels, size_of::<T>());
    let mut y = vec![T::zero(); c.batch * c.rows.target * c.columns.target * channels];
    let parts = split_mut(&mut y, blocks.iter().map(|block| block.pixels(c) * channels));
    let finished = blocks.par_iter().zip(parts).map_init(Vec::new, |scratch, (block, target)| {
        let source = x.strip(c, block, channels, scratch);
        dispatch(Correlate { g, c, block, source, weight: &weight, target });
        finish(target)
    });
    let finished = finished.collect();
    (y, finished)
}

/// Where the members `j` of a family of rows start, in the strip and in the block, in pixels.
fn row_starts(c: &Correlation, block: &Block, rows: &Family) -> Vec<(usize, usize)> {
    let strip = Strip::new(c, block);
    let targets = c.rows.targets(&block.steps);
    let steps = block.steps.start..block.steps.end.min(rows.count);
    let images = 0..block.images.len();
    let starts = images.flat_map(|image| {
        let (strip, targets) = (&strip, &targets);
        steps.clone().map(move |j| {
            let source = image * strip.rows + (j - block.steps.start) * c.rows.step;
            let target = image * targets.len() + rows.first + c.rows.spacing * j - targets.start;
            (source * strip.columns, target * c.columns.target)
        })
    });
    starts.collect()
}

/// One block of a correlation.
struct Correlate<'a, T> {
    g: &'a Geometry,
    c: &'a Correlation,
    block: &'a Block,
    source: &'a [T],
    /// (taps, C)
    weight: &'a [T],
    target: &'a mut [T],
}

impl<T: Float> WithSimd for Correlate<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { g, c, block, source, weight, target } = self;
        let (channels, width) = (g.c_in, Strip::new(c, block).columns);
        let mut window = Vec::new();
        for rows in &c.rows.families {
            for columns in &c.columns.families {
                window.clear();
                for row in &rows.taps {
                    for column in &columns.taps {
                        let pixel = c.rows.relative(row) * width + c.columns.relative(column);
                        let weight = (row.index * g.kernel.1 + column.index) * channels;
                        window.push(Tap { source: pixel * channels, weight });
                    }
                }
                let steps = (c.columns.step * channels, c.columns.spacing * channels);
                for (from, to) in row_starts(c, block, rows) {
                    let (from, to) = (from * channels, (to + columns.first) * channels);
                    let row = Row { window: &window, source, weight, channels, steps };
                    let mut column = 0;
                    while column + 4 <= columns.count {
                        row.pixels::<S, 4>(simd, from + column * steps.0, to + column * steps.1, target);
                        column += 4;
                    }
                    while column < columns.count {
                        row.pixels::<S, 1>(simd, from + column * steps.0, to + column * steps.1, target);
                        column += 1;
                    }
                }
            }
        }
    }
}

/// Offsets of one tap of a window, at channel 0.
struct Tap {
    source: usize,
    weight: usize,
}

struct Row<'a, T> {
    window: &'a [Tap],
    source: &'a [T],
    weight: &'a [T],
    channels: usize,
    /// Distances of neighbouring pixels in the source and in the target.
    steps: (usize, usize),
}

impl<T: Float> Row<'_, T> {
    /// `P` neighbouring pixels, which use each weight together.
    #[inline(always)]
    fn pixels<S: Simd, const P: usize>(&self, simd: S, from: usize, to: usize, target: &mut [T]) {
        let lanes = lanes::<S, T>();
        let (channels, last) = (self.channels, P - 1);
        let reach = self.window.iter().map(|tap| tap.source).max().unwrap_or(0) + last * self.steps.0 + channels;
        let weights = self.window.iter().map(|tap| tap.weight).max().unwrap_or(0) + channels;
        assert!(from + reach <= self.source.len() && weights <= self.weight.len(), "a window leaves its slices");
        let target = &mut target[to..to + last * self.steps.1 + channels];
        let mut at = 0;
        while at + lanes <= channels {
            let mut sums = [T::splat(simd, T::zero()); P];
            for tap in self.window {
                // SAFETY: the last channel of the last pixel under the last tap lies in the source, and the last tap's
                // last channel in the weight (asserted above); `at + lanes` is at most the channels.
                unsafe {
                    let weight = load::<S, T>(self.weight.as_ptr().add(tap.weight + at));
                    let source = self.source.as_ptr().add(from + tap.source + at);
                    for (p, sum) in sums.iter_mut().enumerate() {
                        *sum = T::mul_add(simd, load::<S, T>(source.add(p * self.steps.0)), weight, *sum);
                    }
                }
            }
            for (p, sum) in sums.iter().enumerate() {
                // SAFETY: `target` was just sliced to the last channel of the last pixel.
                unsafe { target.as_mut_ptr().add(p * self.steps.1 + at).cast::<T::Lanes<S>>().write_unaligned(*sum) };
            }
            at += lanes;
        }
        for at in at..channels {
            for p in 0..P {
                let source = |tap: &Tap| self.source[from + tap.source + p * self.steps.0 + at];
                let products = self.window.iter().map(|tap| source(tap) * self.weight[tap.weight + at]);
                target[p * self.steps.1 + at] = products.fold(T::zero(), |sum, product| sum + product);
            }
        }
    }
}

/// # Safety
/// `from` must be valid for reads of one register's values.
#[inline(always)]
unsafe fn load<S: Simd, T: Float>(from: *const T) -> T::Lanes<S> {
    // SAFETY: the caller's promise.
    unsafe { from.cast::<T::Lanes<S>>().read_unaligned() }
}

/// Gradient of the weight from the input and the output's gradient.
pub(super) fn weight_gradient<T: Float>(g: &Geometry, x: &Source<T>, dy: &Source<T>) -> Vec<T> {
    let (c, channels, taps) = (Correlation::forward(g), g.c_in, g.taps());
    let blocks = c.blocks(channels, size_of::<T>());
    let per_part = blocks.len().div_ceil(MAX_PARTS);
    let parts = blocks.par_chunks(per_part).map_init(
        || (Vec::new(), Vec::new()),
        |(scratch, gradient), blocks| {
            let mut sums = vec![T::zero(); taps * channels];
            for block in blocks {
                let source = x.strip(&c, block, channels, scratch);
                let first = (block.images.start * c.rows.target + block.steps.start) * c.columns.target;
                let gradient = dy.pixels(first, block.pixels(&c), channels, gradient);
                dispatch(AddProducts { g, c: &c, block, source, gradient, sums: &mut sums });
            }
            sums
        },
    );
    let parts: Vec<Vec<T>> = parts.collect();
    let mut dw = vec![T::zero(); taps * channels];
    for sums in &parts {
        dw.iter_mut().zip(sums).for_each(|(total, value)| *total += *value);
    }
    transpose(&dw, taps, channels)
}

/// Adds one block's share of the weight gradient to `sums`, (taps, C).
struct AddProducts<'a, T> {
    g: &'a Geometry,
    c: &'a Correlation,
    block: &'a Block,
    source: &'a [T],
    gradient: &'a [T],
    sums: &'a mut [T],
}

impl<T: Float> WithSimd for AddProducts<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { g, c, block, source, gradient, sums } = self;
        let (channels, width) = (g.c_in, Strip::new(c, block).columns);
        let (rows, columns) = (&c.rows.families[0], &c.columns.families[0]);
        for (from, to) in row_starts(c, block, rows) {
            for row in &rows.taps {
                let from = (from + c.rows.relative(row) * width) * channels;
                let sums = &mut sums[row.index * g.kernel.1 * channels..][..g.kernel.1 * channels];
                let gradient = &gradient[to * channels..][..columns.count * channels];
                let steps = (c.columns.step * channels, g.columns.dilation * channels);
                let products = Products { source: &source[from..], gradient, channels, steps };
                match g.kernel.1 {
                    3 => products.add::<S, 3>(simd, sums),
                    5 => products.add::<S, 5>(simd, sums),
                    taps => (0..taps).for_each(|tap| {
                        let products = Products { source: &source[from + tap * steps.1..], ..products };
                        products.add::<S, 1>(simd, &mut sums[tap * channels..][..channels]);
                    }),
                }
            }
        }
    }
}

/// The products of one row of gradients with the sources under `K` neighbouring taps.
struct Products<'a, T> {
    source: &'a [T],
    gradient: &'a [T],
    channels: usize,
    /// Distances in the source of neighbouring pixels and of neighbouring taps.
    steps: (usize, usize),
}

impl<T: Float> Products<'_, T> {
    #[inline(always)]
    fn add<S: Simd, const K: usize>(&self, simd: S, sums: &mut [T]) {
        let (lanes, channels) = (lanes::<S, T>(), self.channels);
        let count = self.gradient.len() / channels;
        let reach = (count - 1) * self.steps.0 + (K - 1) * self.steps.1 + channels;
        assert!(reach <= self.source.len() && sums.len() == K * channels, "a row leaves its slices");
        let mut at = 0;
        while at + lanes <= channels {
            let mut totals = [T::splat(simd, T::zero()); K];
            for pixel in 0..count {
                // SAFETY: the last channel of the last pixel under the last tap lies in the source (asserted above), and
                // the gradient has `count` pixels of `channels` values; `at + lanes` is at most the channels.
                unsafe {
                    let gradient = load::<S, T>(self.gradient.as_ptr().add(pixel * channels + at));
                    let source = self.source.as_ptr().add(pixel * self.steps.0 + at);
                    for (k, total) in totals.iter_mut().enumerate() {
                        *total = T::mul_add(simd, load::<S, T>(source.add(k * self.steps.1)), gradient, *total);
                    }
                }
            }
            for (k, total) in totals.iter().enumerate() {
                let sum = sums[k * channels + at..][..lanes].as_mut_ptr().cast::<T::Lanes<S>>();
                // SAFETY: `sum` points to one register's worth of values, as many as were just sliced.
                unsafe { sum.write_unaligned(T::plus(simd, sum.read_unaligned(), *total)) };
            }
            at += lanes;
        }
        for at in at..channels {
            for k in 0..K {
                let product = |pixel: usize| {
                    self.gradient[pixel * channels + at] * self.source[pixel * self.steps.0 + k * self.steps.1 + at]
                };
                sums[k * channels + at] += (0..count).map(product).fold(T::zero(), |sum, product| sum + product);
            }
        }
    }
}

/// The transpose of a (rows, columns) matrix.
fn transpose<T: Float>(matrix: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..rows * columns).map(|i| matrix[i % rows * columns + i / rows]).collect()
}
