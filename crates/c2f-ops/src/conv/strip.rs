//! The pixels that a block of a convolution sees, one after another with the zeros around them.

use super::correlation::{Block, Correlation, Phase};
use crate::simd::{Float, vectorize};
use crate::source::Source;

impl<'a, T: Float> Source<'a, T> {
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

/// Where the rows `j` of a phase start, in the strip and in the block, in pixels.
pub(super) fn row_starts(c: &Correlation, block: &Block, rows: &Phase) -> Vec<(usize, usize)> {
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
