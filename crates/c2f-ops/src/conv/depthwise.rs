//! Depthwise convolution: direct kernels along the channels, which are contiguous.
#![allow(unsafe_code)]

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::correlation::{Block, Correlation, DEPTHWISE_PIXELS};
use super::geometry::Geometry;
use super::kernels::Gradients;
use super::strip::{Strip, row_starts};
use crate::kernel::split_mut;
use crate::simd::{Float, dispatch, lanes};
use crate::source::Source;

/// Partial sums of a weight gradient: enough tasks for many cores, few enough for memory.
const MAX_PARTS: usize = 32;

/// (B, H, W, C) * (C, 1, kh, kw) -> (B, H', W', C). `finish` is called with the index of the
/// first value and the values of every block of the result, while it is in the cache; its answers come in order.
pub(super) fn forward<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    correlate(g, &Correlation::forward(g), x, weight, finish)
}

/// Gradient of the input from that of the output.
pub(super) fn input_gradient<T: Float, R: Send>(
    g: &Geometry,
    dy: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    correlate(g, &Correlation::transposed(g), dy, weight, finish)
}

fn correlate<T: Float, R: Send>(
    g: &Geometry,
    c: &Correlation,
    x: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let channels = g.c_in;
    let weight = transpose(weight, channels, g.taps());
    let blocks = c.blocks(channels, size_of::<T>(), DEPTHWISE_PIXELS);
    let mut y = vec![T::zero(); c.batch * c.rows.target * c.columns.target * channels];
    let parts = split_mut(&mut y, blocks.iter().map(|block| block.pixels(c) * channels));
    let finished = blocks.par_iter().zip(parts).map_init(Vec::new, |scratch, (block, target)| {
        let source = x.strip(c, block, channels, scratch);
        dispatch(Correlate { g, c, block, source, weight: &weight, target });
        finish(block.first_pixel(c) * channels, target)
    });
    let finished = finished.collect();
    (y, finished)
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
        for rows in &c.rows.all {
            for columns in &c.columns.all {
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

/// Gradients of the input, empty unless `weight` is given, and of the weight, from the output's gradient: both see the same strips of it.
pub(super) fn gradients<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    dy: &Source<T>,
    weight: Option<&[T]>,
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Gradients<T, R> {
    let (c, channels, taps) = (Correlation::transposed(g), g.c_in, g.taps());
    let weight = weight.map(|weight| transpose(weight, channels, taps));
    let blocks = c.blocks(channels, size_of::<T>(), DEPTHWISE_PIXELS);
    let mut dx = vec![T::zero(); if weight.is_some() { x.len() } else { 0 }];
    let lengths = blocks.iter().map(|block| if weight.is_some() { block.pixels(&c) * channels } else { 0 });
    let mut targets = split_mut(&mut dx, lengths);
    let per_part = blocks.len().div_ceil(MAX_PARTS);
    let parts = blocks.par_chunks(per_part).zip(targets.par_chunks_mut(per_part)).map_init(
        || (Vec::new(), Vec::new()),
        |(strip, pixels), (blocks, targets)| {
            let (mut sums, mut finished) = (vec![T::zero(); taps * channels], Vec::new());
            for (block, target) in blocks.iter().zip(targets) {
                let target = &mut **target;
                let source = dy.strip(&c, block, channels, strip);
                let first = block.first_pixel(&c);
                let x = x.pixels(first, block.pixels(&c), channels, pixels);
                dispatch(AddProducts { g, c: &c, block, source, x, sums: &mut sums });
                if let Some(weight) = &weight {
                    dispatch(Correlate { g, c: &c, block, source, weight, target: &mut *target });
                    finished.push(finish(first * channels, target));
                }
            }
            (sums, finished)
        },
    );
    let (parts, finished): (Vec<Vec<T>>, Vec<Vec<R>>) = parts.collect();
    let mut dw = vec![T::zero(); taps * channels];
    for sums in &parts {
        dw.iter_mut().zip(sums).for_each(|(total, value)| *total += *value);
    }
    let finished = finished.into_iter().flatten().collect();
    Gradients { input: dx, weight: transpose(&dw, taps, channels), finished }
}

/// Adds one block's share of the weight gradient to `sums`, (taps, C). The block is one of the input: each of its pixels
/// meets, under each tap, one pixel of the output's gradient.
struct AddProducts<'a, T> {
    g: &'a Geometry,
    c: &'a Correlation,
    block: &'a Block,
    /// The output's gradient.
    source: &'a [T],
    x: &'a [T],
    sums: &'a mut [T],
}

impl<T: Float> WithSimd for AddProducts<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { g, c, block, source, x, sums } = self;
        let (channels, width) = (g.c_in, Strip::new(c, block).columns);
        for rows in &c.rows.all {
            for columns in c.columns.all.iter().filter(|columns| columns.count > 0) {
                let steps = (c.columns.step * channels, c.columns.spacing * channels);
                for (from, to) in row_starts(c, block, rows) {
                    let x = &x[(to + columns.first) * channels..];
                    let products = Products { source, x, channels, count: columns.count, steps };
                    for row in &rows.taps {
                        let from = from + c.rows.relative(row) * width;
                        let places = |tap: &super::correlation::Tap| Tap {
                            source: (from + c.columns.relative(tap)) * channels,
                            weight: (row.index * g.kernel.1 + tap.index) * channels,
                        };
                        for taps in columns.taps.chunks(5) {
                            match *taps {
                                [ref a] => products.add(simd, &[a].map(places), sums),
                                [ref a, ref b] => products.add(simd, &[a, b].map(places), sums),
                                [ref a, ref b, ref c] => products.add(simd, &[a, b, c].map(places), sums),
                                [ref a, ref b, ref c, ref d] => products.add(simd, &[a, b, c, d].map(places), sums),
                                [ref a, ref b, ref c, ref d, ref e] => {
                                    products.add(simd, &[a, b, c, d, e].map(places), sums);
                                }
                                _ => {}
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The products of a row of `count` inputs with the gradients under some taps.
struct Products<'a, T> {
    source: &'a [T],
    x: &'a [T],
    channels: usize,
    count: usize,
    /// Distances of neighbouring pixels in the source and in x.
    steps: (usize, usize),
}

impl<T: Float> Products<'_, T> {
    #[inline(always)]
    fn add<S: Simd, const K: usize>(&self, simd: S, taps: &[Tap; K], sums: &mut [T]) {
        let (lanes, channels, last) = (lanes::<S, T>(), self.channels, self.count - 1);
        let reach = taps.iter().map(|tap| tap.source).max().unwrap_or(0) + last * self.steps.0 + channels;
        let weights = taps.iter().map(|tap| tap.weight).max().unwrap_or(0) + channels;
        assert!(reach <= self.source.len() && weights <= sums.len(), "a row leaves its slices");
        assert!(last * self.steps.1 + channels <= self.x.len(), "a row leaves the input");
        let mut at = 0;
        while at + lanes <= channels {
            let mut totals = [T::splat(simd, T::zero()); K];
            for pixel in 0..self.count {
                // SAFETY: the last channel of the last pixel lies in x and, under the last tap, in the source (asserted
                // above); `at + lanes` is at most the channels.
                unsafe {
                    let x = load::<S, T>(self.x.as_ptr().add(pixel * self.steps.1 + at));
                    let source = self.source.as_ptr().add(pixel * self.steps.0 + at);
                    for (total, tap) in totals.iter_mut().zip(taps) {
                        *total = T::mul_add(simd, load::<S, T>(source.add(tap.source)), x, *total);
                    }
                }
            }
            for (tap, total) in taps.iter().zip(&totals) {
                let sum = sums[tap.weight + at..][..lanes].as_mut_ptr().cast::<T::Lanes<S>>();
                // SAFETY: `sum` points to one register's worth of values, as many as were just sliced.
                unsafe { sum.write_unaligned(T::plus(simd, sum.read_unaligned(), *total)) };
            }
            at += lanes;
        }
        for at in at..channels {
            for tap in taps {
                let product = |pixel: usize| {
                    self.x[pixel * self.steps.1 + at] * self.source[tap.source + pixel * self.steps.0 + at]
                };
                sums[tap.weight + at] += (0..self.count).map(product).fold(T::zero(), |sum, product| sum + product);
            }
        }
    }
}

/// The transpose of a (rows, columns) matrix.
fn transpose<T: Float>(matrix: &[T], rows: usize, columns: usize) -> Vec<T> {
    (0..rows * columns).map(|i| matrix[i % rows * columns + i / rows]).collect()
}
