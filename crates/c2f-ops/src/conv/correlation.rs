//! A convolution and its transpose as the same thing: a sum over taps, at every pixel of a target, of a source's pixel
//! times a weight.

use std::ops::Range;

use super::geometry::{Axis, Geometry};

/// Pixels of a block of matrix products: enough to use each weight often, and to see few source pixels twice.
pub(super) const PRODUCT_PIXELS: usize = 512;

/// Pixels of a block of a depthwise convolution, which should see few source pixels twice.
pub(super) const DEPTHWISE_PIXELS: usize = 2048;

/// Bytes of source that a block should at most read.
const BLOCK_BYTES: usize = 384 << 10;

/// Blocks that a small map is still cut into, so that several cores have work.
pub(super) const BLOCKS: usize = 8;

/// Which source pixels each target pixel adds up.
///
/// Along an axis, pixel `j` of a phase, which is target pixel `first + spacing * j`, sees source pixel `step * j + offset`
/// under each tap. A convolution has one phase (`spacing` 1, `step` its stride); its transpose has one for each remainder of
/// the coordinate by the stride, which sees only the taps that land on the grid (`spacing` the stride, `step` 1).
#[derive(Debug, Clone)]
pub(super) struct Correlation {
    pub batch: usize,
    pub rows: Phases,
    pub columns: Phases,
}

/// A [`Correlation`] along one axis: the phases that the target's pixels fall into, as a polyphase filter's outputs do.
#[derive(Debug, Clone)]
pub(super) struct Phases {
    pub source: usize,
    pub target: usize,
    pub spacing: usize,
    pub step: usize,
    pub all: Vec<Phase>,
    /// Smallest and largest offset.
    reach: (isize, isize),
}

/// Every `spacing`-th target pixel: they see the same taps.
#[derive(Debug, Clone)]
pub(super) struct Phase {
    pub first: usize,
    pub count: usize,
    /// Ascending in their offsets.
    pub taps: Vec<Tap>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tap {
    /// Index into the kernel.
    pub index: usize,
    pub offset: isize,
}

impl Correlation {
    /// Input to output.
    pub fn forward(g: &Geometry) -> Self {
        let along = |axis: &Axis, kernel: usize| {
            let offset = |tap: usize| (tap * axis.dilation) as isize - axis.padding.0 as isize;
            let taps = (0..kernel).map(|index| Tap { index, offset: offset(index) }).collect();
            let phases = vec![Phase { first: 0, count: axis.output, taps }];
            Phases::new(axis.input, axis.output, 1, axis.stride, phases)
        };
        Self { batch: g.batch, rows: along(&g.rows, g.kernel.0), columns: along(&g.columns, g.kernel.1) }
    }

    /// Gradient of the output to gradient of the input.
    pub fn transposed(g: &Geometry) -> Self {
        let along = |axis: &Axis, kernel: usize| {
            let stride = axis.stride as isize;
            let phase = |first: usize| {
                let distance = |tap: usize| (first + axis.padding.0) as isize - (tap * axis.dilation) as isize;
                let on_grid = (0..kernel).rev().filter(|&tap| distance(tap) % stride == 0);
                let taps = on_grid.map(|index| Tap { index, offset: distance(index) / stride }).collect();
                Phase { first, count: (axis.input - first).div_ceil(axis.stride), taps }
            };
            let phases = (0..axis.stride.min(axis.input)).map(phase).collect();
            Phases::new(axis.output, axis.input, axis.stride, 1, phases)
        };
        Self { batch: g.batch, rows: along(&g.rows, g.kernel.0), columns: along(&g.columns, g.kernel.1) }
    }

    /// Each target pixel is the source pixel at the same place times a matrix.
    pub fn is_pointwise(&self) -> bool {
        let plain = |axis: &Phases| {
            let [Phase { taps, .. }] = &*axis.all else { return false };
            axis.step == 1 && axis.source == axis.target && matches!(**taps, [Tap { offset: 0, .. }])
        };
        plain(&self.rows) && plain(&self.columns)
    }

    /// The pieces that are computed one by one, in order of their target pixels. They depend on the sizes only.
    ///
    /// A block has at most about `most` pixels, and less where `channels` values of `element` bytes each would not stay in
    /// the cache.
    pub fn blocks(&self, channels: usize, element: usize, most: usize) -> Vec<Block> {
        let (rows, columns) = (self.rows.steps(), self.columns.steps());
        let row_bytes = self.columns.seen(&(0..columns)).len() * self.rows.step * channels * element;
        let pixels = (self.batch * rows * columns / BLOCKS).clamp(64, most);
        let height = (pixels / columns).min(BLOCK_BYTES / row_bytes.max(1)).clamp(1, rows);
        let images = if height < rows { 1 } else { (pixels / (rows * columns)).clamp(1, self.batch) };
        // Even heights, so that no last block is a sliver.
        let height = rows.div_ceil(rows.div_ceil(height));
        let mut blocks = Vec::new();
        for first in (0..self.batch).step_by(images) {
            for row in (0..rows).step_by(height) {
                let images = first..(first + images).min(self.batch);
                blocks.push(Block { images, steps: row..(row + height).min(rows) });
            }
        }
        blocks
    }
}

impl Phases {
    fn new(source: usize, target: usize, spacing: usize, step: usize, all: Vec<Phase>) -> Self {
        let offsets = || all.iter().flat_map(|phase| phase.taps.iter().map(|tap| tap.offset));
        let reach = (offsets().min().unwrap_or(0), offsets().max().unwrap_or(0));
        Self { source, target, spacing, step, all, reach }
    }

    /// Pixels of the largest phase.
    pub fn steps(&self) -> usize {
        self.target.div_ceil(self.spacing)
    }

    /// The source pixels, also those beyond its edges, that pixels `steps` of all phases see.
    pub fn seen(&self, steps: &Range<usize>) -> Range<isize> {
        let at = |j: usize| (j * self.step) as isize;
        at(steps.start) + self.reach.0..at(steps.end.max(1) - 1) + self.reach.1 + 1
    }

    /// The target pixels that pixels `steps` of all phases are.
    pub fn targets(&self, steps: &Range<usize>) -> Range<usize> {
        steps.start * self.spacing..(steps.end * self.spacing).min(self.target)
    }

    /// Distance of a tap from the first source pixel that its phase's pixel could see.
    pub fn relative(&self, tap: &Tap) -> usize {
        (tap.offset - self.reach.0) as usize
    }
}

/// A piece of the target: rows of one image, or several whole images.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub images: Range<usize>,
    /// Rows of each phase.
    pub steps: Range<usize>,
}

impl Block {
    /// Number of the first pixel of the target.
    pub fn first_pixel(&self, c: &Correlation) -> usize {
        (self.images.start * c.rows.target + c.rows.targets(&self.steps).start) * c.columns.target
    }

    /// Pixels of the target.
    pub fn pixels(&self, c: &Correlation) -> usize {
        self.images.len() * c.rows.targets(&self.steps).len() * c.columns.target
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Conv2dConfig, Padding};
    use super::*;
    use candle_core::{DType, Device, Tensor};

    #[test]
    fn blocks_cover_the_target_in_order() {
        for (batch, h, w, stride) in [(1, 1, 1, 1), (3, 112, 96, 2), (40, 7, 7, 1), (2, 13, 700, 3)] {
            let weight = Tensor::zeros((4, 4, 3, 3), DType::F32, &Device::Cpu).unwrap();
            let config =
                Conv2dConfig { stride: (stride, stride), padding: Padding::uniform(1), ..Conv2dConfig::default() };
            let g = Geometry::new((batch, 4, h, w), &weight, None, &config).unwrap();
            for c in [Correlation::forward(&g), Correlation::transposed(&g)] {
                let mut next = 0;
                for block in c.blocks(4, 4, 100) {
                    let rows = c.rows.targets(&block.steps);
                    assert_eq!(next, block.first_pixel(&c));
                    assert!(block.images.len() == 1 || rows.len() == c.rows.target);
                    next += block.pixels(&c);
                }
                assert_eq!(next, batch * c.rows.target * c.columns.target);
            }
        }
    }
}
