//! What a convolution reads: maps as they are stored, or what is computed from them on the way.

use super::correlation::{Block, Correlation, Family};
use crate::simd::{Float, clamp, vectorize};

/// Channels-last maps, one value per pixel and channel.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, T> {
    /// As stored.
    Plain(&'a [T]),
    /// Stored before normalisation and activation.
    Activated(&'a [T], &'a Reading<T>),
    /// The gradient before normalisation and activation, from that after it and from the stored maps.
    Gradient(&'a [T], &'a [T], &'a GradientReading<T>),
}

/// `clamp(x * scale + shift, low, high)`, per channel: BatchNorm and rectifier.
#[derive(Debug, Clone)]
pub(crate) struct Reading<T> {
    pub scale: Vec<T>,
    pub shift: Vec<T>,
    pub low: T,
    pub high: T,
    /// Mean of x, which the gradient needs.
    pub mean: Vec<T>,
}

/// The gradient before a [`Reading`]: `g * scale + x * slope + offset` per channel, where g is the gradient after it, or
/// zero where it was clamped. Slope and offset come of the batch's statistics, which depend on x.
#[derive(Debug, Clone)]
pub(crate) struct GradientReading<T> {
    pub reading: Reading<T>,
    pub slope: Vec<T>,
    pub offset: Vec<T>,
}

impl<T: Float> Reading<T> {
    /// The one that every gradient passes, of values with these means.
    pub fn transparent(mean: &[f64]) -> Self {
        let (low, high) = (T::from_f64(f64::NEG_INFINITY), T::from_f64(f64::INFINITY));
        let constant = |value: T| vec![value; mean.len()];
        let mean = mean.iter().map(|&mean| T::from_f64(mean)).collect();
        Self { scale: constant(T::one()), shift: constant(T::zero()), low, high, mean }
    }

    #[inline(always)]
    fn value(&self, x: T, scale: T, shift: T) -> T {
        clamp(x * scale + shift, self.low, self.high)
    }

    /// Of one pixel.
    #[inline(always)]
    fn apply(&self, x: &[T], into: &mut [T]) {
        for ((into, &x), (&scale, &shift)) in into.iter_mut().zip(x).zip(self.scale.iter().zip(&self.shift)) {
            *into = self.value(x, scale, shift);
        }
    }

    /// Of whole pixels.
    pub fn apply_in_place(&self, pixels: &mut [T]) {
        vectorize(
            #[inline(always)]
            || {
                for pixel in pixels.chunks_exact_mut(self.scale.len()) {
                    for (x, (&scale, &shift)) in pixel.iter_mut().zip(self.scale.iter().zip(&self.shift)) {
                        *x = self.value(*x, scale, shift);
                    }
                }
            },
        );
    }

    /// Whether the gradient passes at x.
    #[inline(always)]
    #[allow(clippy::needless_bitwise_bool, reason = "a branch would keep AVX2 from vectorising the loop around it")]
    pub fn passes(&self, x: T, scale: T, shift: T) -> bool {
        let y = x * scale + shift;
        (y > self.low) & (y < self.high)
    }
}

impl<T: Float> GradientReading<T> {
    #[inline(always)]
    fn apply(&self, gradient: &[T], x: &[T], into: &mut [T]) {
        let r = &self.reading;
        let constants = r.scale.iter().zip(&r.shift).zip(self.slope.iter().zip(&self.offset));
        for (((into, &g), &x), ((&scale, &shift), (&slope, &offset))) in
            into.iter_mut().zip(gradient).zip(x).zip(constants)
        {
            let g = if r.passes(x, scale, shift) { g } else { T::zero() };
            *into = g * scale + (x * slope + offset);
        }
    }
}

impl<'a, T: Float> Source<'a, T> {
    /// Number of stored values.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(x) | Self::Activated(x, _) | Self::Gradient(x, _, _) => x.len(),
        }
    }

    /// Computes the values of the pixels from `first` on, each of `channels` values, until `into` is full.
    #[inline(always)]
    pub fn read(&self, first: usize, channels: usize, into: &mut [T]) {
        let range = first * channels..first * channels + into.len();
        match self {
            Self::Plain(x) => into.copy_from_slice(&x[range]),
            Self::Activated(x, reading) => {
                for (into, x) in into.chunks_exact_mut(channels).zip(x[range].chunks_exact(channels)) {
                    reading.apply(x, into);
                }
            }
            Self::Gradient(gradient, x, reading) => {
                let pixels = gradient[range.clone()].chunks_exact(channels).zip(x[range].chunks_exact(channels));
                for (into, (gradient, x)) in into.chunks_exact_mut(channels).zip(pixels) {
                    reading.apply(gradient, x, into);
                }
            }
        }
    }

    /// The values of `count` pixels from `first` on; `scratch` keeps them unless the maps already are that.
    pub fn pixels<'b>(&self, first: usize, count: usize, channels: usize, scratch: &'b mut Vec<T>) -> &'b [T]
    where
        'a: 'b,
    {
        if let Self::Plain(x) = self {
            return &x[first * channels..][..count * channels];
        }
        scratch.resize(scratch.len().max(count * channels), T::zero());
        let pixels = &mut scratch[..count * channels];
        vectorize(
            #[inline(always)]
            || self.read(first, channels, pixels),
        );
        pixels
    }

    /// All that a block of the target sees, with zeros beyond the edges; `scratch` keeps it unless the maps already are
    /// that. Images follow each other, then rows, columns and channels, as [`Strip`] says.
    pub(super) fn strip<'b>(&self, c: &Correlation, block: &Block, channels: usize, scratch: &'b mut Vec<T>) -> &'b [T]
    where
        'a: 'b,
    {
        let strip = Strip::new(c, block);
        let length = block.images.len() * strip.rows * strip.columns * channels;
        if let (Self::Plain(x), true) = (self, c.is_pointwise()) {
            let start = (block.images.start * c.rows.source + block.steps.start) * c.columns.source * channels;
            return &x[start..start + length];
        }
        scratch.resize(scratch.len().max(length), T::zero());
        let filled = &mut scratch[..length];
        vectorize(
            #[inline(always)]
            || {
                let images = filled.chunks_exact_mut(strip.rows * strip.columns * channels);
                for (image, target) in block.images.clone().zip(images) {
                    for (row, target) in target.chunks_exact_mut(strip.columns * channels).enumerate() {
                        strip.fill_row(self, c, image, strip.top + row as isize, channels, target);
                    }
                }
            },
        );
        filled
    }
}

/// Where the pixels of a block's source lie in the slice that [`Source::strip`] gives.
pub(super) struct Strip {
    /// Row and column, perhaps beyond the edges, of the first pixel.
    top: isize,
    left: isize,
    pub rows: usize,
    pub columns: usize,
}

impl Strip {
    pub fn new(c: &Correlation, block: &Block) -> Self {
        let (rows, columns) = (c.rows.seen(&block.steps), c.columns.seen(&(0..c.columns.steps())));
        Self {
            top: rows.start,
            left: columns.start,
            rows: (rows.end - rows.start) as usize,
            columns: (columns.end - columns.start) as usize,
        }
    }

    #[inline(always)]
    fn fill_row<T: Float>(
        &self,
        source: &Source<T>,
        c: &Correlation,
        image: usize,
        row: isize,
        channels: usize,
        into: &mut [T],
    ) {
        let (height, width) = (c.rows.source as isize, c.columns.source as isize);
        let first = self.left.clamp(0, width);
        let past = (self.left + self.columns as isize).clamp(first, width);
        if row < 0 || row >= height || first == past {
            into.fill(T::zero());
            return;
        }
        let (before, after) = ((first - self.left) as usize * channels, (past - self.left) as usize * channels);
        into[..before].fill(T::zero());
        into[after..].fill(T::zero());
        let pixel = (image * c.rows.source + row as usize) * c.columns.source + first as usize;
        source.read(pixel, channels, &mut into[before..after]);
    }
}

/// Where the members `j` of a family of rows start, in the strip and in the block, in pixels.
pub(super) fn row_starts(c: &Correlation, block: &Block, rows: &Family) -> Vec<(usize, usize)> {
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
