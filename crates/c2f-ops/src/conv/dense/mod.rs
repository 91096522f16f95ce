//! Dense and grouped convolution: matrix products of blocks of pixels, which see the source directly, with the weight.

mod pointwise;
mod weight;

use rayon::prelude::*;

use super::correlation::{BLOCKS, Block, Correlation, PRODUCT_PIXELS, Phase};
use super::geometry::Geometry;
use super::kept::KeptWeight;
use super::multiply::{Multiply, Pixel, Run};
use super::panels::{Panels, Strided};
use super::strip::{Strip, row_starts};
use crate::kernel::split_mut;
use crate::simd::{self, Float};
use crate::source::Source;
pub(super) use pointwise::gradients as pointwise_gradients;
pub(super) use weight::gradient as weight_gradient;

/// (B, H, W, I) * (O, I / groups, kh, kw) -> (B, H', W', O). `finish` is called with the index of the
/// first value and the values of every block of the result, while it is in the cache; its answers come in order.
pub(super) fn forward<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    weight: &[T],
    kept: Option<&KeptWeight>,
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let steps = Steps { row: g.taps(), column: g.depth() };
    let (c, channels) = (Correlation::forward(g), (g.c_in / g.groups, g.c_out / g.groups));
    let panels = Panels::new::<T>(channels.1);
    // Forward there is one phase, which sees every tap whatever the size: a kept weight fits the next picture, too.
    let pack = || pack(g, &c, &panels, channels.0, weight, &steps).swap_remove(0);
    let made;
    let packed = if let Some(kept) = kept {
        kept.packed(pack)
    } else {
        made = pack();
        &made
    };
    correlate(g, &c, x, channels, &panels, &[packed], finish)
}

/// Gradient of the input from that of the output.
pub(super) fn input_gradient<T: Float, R: Send>(
    g: &Geometry,
    dy: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let steps = Steps { row: g.depth(), column: g.taps() };
    let (c, channels) = (Correlation::transposed(g), (g.c_out / g.groups, g.c_in / g.groups));
    let panels = Panels::new::<T>(channels.1);
    let packed = pack(g, &c, &panels, channels.0, weight, &steps);
    correlate(g, &c, dy, channels, &panels, &packed, finish)
}

/// Distances in the weight (O, I / groups, kh, kw) of neighbouring channels.
struct Steps {
    /// Of the source.
    row: usize,
    /// Of the target.
    column: usize,
}

/// The weight of each pair of phases, of one group after the other; `channels` are the source's in one group.
fn pack<T: Float>(
    g: &Geometry,
    c: &Correlation,
    panels: &Panels,
    channels: usize,
    weight: &[T],
    steps: &Steps,
) -> Vec<Vec<T>> {
    let of_phases = |(rows, columns): (&Phase, &Phase)| {
        let groups = weight.chunks_exact(weight.len() / g.groups).map(|weight| {
            let starts = taps(g, rows, columns).collect();
            let matrix = Strided { starts, rows: channels, row_stride: steps.row, column_stride: steps.column };
            panels.pack(weight, &matrix)
        });
        let mut groups: Vec<_> = groups.collect();
        // A large weight isn't copied once more.
        if g.groups == 1 { groups.swap_remove(0) } else { groups.concat() }
    };
    phases(c).map(of_phases).collect()
}

/// `channels` are those of one group, of the source and of the target; `packed` is what [`pack`] makes of the weight.
fn correlate<T: Float, R: Send>(
    g: &Geometry,
    c: &Correlation,
    x: &Source<T>,
    channels: (usize, usize),
    panels: &Panels,
    packed: &[impl AsRef<[T]> + Sync],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let (source_channels, target_channels) = (channels.0 * g.groups, channels.1 * g.groups);
    let phases: Vec<_> = phases(c).collect();
    let blocks = c.blocks(source_channels, size_of::<T>(), PRODUCT_PIXELS);
    // Every strip is as wide as the first.
    let width = Strip::new(c, &blocks[0]).columns;
    let runs: Vec<_> =
        phases.iter().map(|(rows, columns)| runs(c, width, rows, columns, channels.0, g.groups)).collect();
    let mut y = vec![T::zero(); c.batch * c.rows.target * c.columns.target * target_channels];
    let targets = split_mut(&mut y, blocks.iter().map(|block| block.pixels(c) * target_channels));
    // The products of a block with some panels of each group, into as many channels of each of its pixels.
    let multiply = |(scratch, pixels): &mut Scratch<T>, block: &Block, panels: &(usize, Panels), target: &mut [T]| {
        let (before, panels) = panels;
        let source = x.strip(c, block, source_channels, scratch);
        let width = panels.columns();
        for (((rows, columns), packed), runs) in phases.iter().zip(packed).zip(&runs) {
            let depth: usize = runs.iter().map(|run| run.length).sum();
            let packed = packed.as_ref();
            for (group, packed) in packed.chunks_exact((packed.len() / g.groups).max(1)).enumerate() {
                let starts = (group * channels.0, group * width);
                collect_pixels(c, block, (rows, columns), (source_channels, g.groups * width), starts, pixels);
                let packed = &packed[depth * before..][..depth * panels.padded()];
                simd::dispatch(Multiply { source, pixels, runs, packed, panels, target });
            }
        }
    };
    let parts = panels.parts(if g.groups == 1 { BLOCKS.div_ceil(blocks.len()) } else { 1 });
    if let [all] = &*parts {
        let finished = blocks.par_iter().zip(targets).map_init(Scratch::default, |scratch, (block, target)| {
            multiply(scratch, block, all, target);
            finish(block.first_pixel(c) * target_channels, target)
        });
        let finished = finished.collect();
        return (y, finished);
    }
    // Fewer blocks than cores would have work for: each is cut along the channels, too.
    let tasks: Vec<_> = blocks.iter().flat_map(|block| parts.iter().map(move |part| (block, part))).collect();
    let products = tasks.into_par_iter().map_init(Scratch::default, |scratch, (block, part)| {
        let mut target = vec![T::zero(); block.pixels(c) * part.1.columns()];
        multiply(scratch, block, part, &mut target);
        target
    });
    let products: Vec<Vec<T>> = products.collect();
    let finished =
        blocks.par_iter().zip(products.par_chunks(parts.len())).zip(targets).map(|((block, products), target)| {
            for (pixel, target) in target.chunks_exact_mut(target_channels).enumerate() {
                let mut column = 0;
                for ((_, panels), product) in parts.iter().zip(products) {
                    let width = panels.columns();
                    target[column..][..width].copy_from_slice(&product[pixel * width..][..width]);
                    column += width;
                }
            }
            finish(block.first_pixel(c) * target_channels, target)
        });
    let finished = finished.collect();
    (y, finished)
}

/// What a thread uses again for its next block: the strip of the source, and the pixels.
type Scratch<T> = (Vec<T>, Vec<Pixel>);

/// Every pair of phases of rows and of columns whose pixels see anything.
fn phases(c: &Correlation) -> impl Iterator<Item = (&Phase, &Phase)> {
    let pairs = c.rows.all.iter().flat_map(|rows| c.columns.all.iter().map(move |columns| (rows, columns)));
    pairs.filter(|(rows, columns)| !rows.taps.is_empty() && !columns.taps.is_empty())
}

/// Indices into the kernel, in the order of the runs.
fn taps(g: &Geometry, rows: &Phase, columns: &Phase) -> impl Iterator<Item = usize> {
    rows.taps.iter().flat_map(move |row| columns.taps.iter().map(move |column| row.index * g.kernel.1 + column.index))
}

/// What the pixels of two phases see, in a strip of rows of `width` pixels; `channels` are those of one group.
fn runs(c: &Correlation, width: usize, rows: &Phase, columns: &Phase, channels: usize, groups: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for row in &rows.taps {
        for column in &columns.taps {
            let pixel = c.rows.relative(row) * width + c.columns.relative(column);
            let offset = pixel * channels * groups;
            match runs.last_mut() {
                Some(run) if run.offset + run.length == offset => run.length += channels,
                _ => runs.push(Run { offset, length: channels }),
            }
        }
    }
    runs
}

/// Where the pixels of a block, of two phases, start in the strip and in the block; `channels` are all those of a
/// pixel of the source and of the target, `first` those of the group.
fn collect_pixels(
    c: &Correlation,
    block: &Block,
    (rows, columns): (&Phase, &Phase),
    channels: (usize, usize),
    first: (usize, usize),
    pixels: &mut Vec<Pixel>,
) {
    pixels.clear();
    for (source, target) in row_starts(c, block, rows) {
        for i in 0..columns.count {
            let (source, target) = (source + i * c.columns.step, target + columns.first + c.columns.spacing * i);
            pixels.push(Pixel { source: source * channels.0 + first.0, target: target * channels.1 + first.1 });
        }
    }
}
