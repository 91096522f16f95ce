//! The gradient of a dense weight.

use rayon::prelude::*;

use super::super::correlation::{Block, Correlation, PRODUCT_PIXELS};
use super::super::geometry::Geometry;
use super::super::multiply::{MultiplyTransposed, Pixel, Run, pieces};
use super::super::panels::Panels;
use super::super::strip::Strip;
use super::{collect_pixels, runs, taps};
use crate::simd::{self, Float, vectorize};
use crate::source::Source;

/// Memory of the partial sums of a weight gradient, in values: about 32 MiB of f32.
pub(super) const PARTIAL_SUMS: usize = 8 << 20;

/// Partial sums that are worth having for many cores.
pub(super) const MAX_PARTS: usize = 16;

/// Values of a weight, and of all maps together, from which and up to which a weight gradient is cut along the weight
/// instead of the maps.
pub(super) const LARGE_WEIGHT: usize = 1 << 16;
pub(super) const SMALL_MAPS: usize = 4 << 20;

/// Gradient of the weight from the input and the output's gradient.
pub(in super::super) fn gradient<T: Float>(g: &Geometry, x: &Source<T>, dy: &Source<T>) -> Vec<T> {
    let c = Correlation::forward(g);
    let (inputs, outputs) = (g.c_in / g.groups, g.c_out / g.groups);
    let panels = Panels::new::<T>(outputs);
    let (rows, columns) = (&c.rows.all[0], &c.columns.all[0]);
    let blocks = c.blocks(g.c_in, size_of::<T>(), PRODUCT_PIXELS);
    let whole = runs(&c, Strip::new(&c, &blocks[0]).columns, rows, columns, inputs, g.groups);
    // Adds the share of a block, of which the source and the packed gradient are given, to some rows of the sums.
    let add = |sums: &mut [T], slice: &[Run], block: &Block, operands: (&[T], &[T]), pixels: &mut Vec<Pixel>| {
        let (source, packed) = operands;
        let packed = packed.chunks_exact(block.pixels(&c) * panels.padded());
        for (group, (sums, packed)) in sums.chunks_exact_mut(depth(slice) * panels.padded()).zip(packed).enumerate() {
            collect_pixels(&c, block, (rows, columns), (g.c_in, 0), (group * inputs, 0), pixels);
            let (runs, panels) = (slice, &panels);
            simd::dispatch(MultiplyTransposed { source, pixels, runs, packed, panels, sums });
        }
    };
    let prepare = |block: &Block, scratch: &mut Scratch<T>| {
        pack_rows(&panels, dy, block.first_pixel(&c), block.pixels(&c), g.c_out, g.groups, scratch);
    };
    let zeros = |runs: &[Run]| vec![T::zero(); g.groups * depth(runs) * panels.padded()];
    let large_weight = depth(&whole) * panels.padded() * g.groups >= LARGE_WEIGHT;
    let (slices, totals) = if large_weight && x.len() + dy.len() <= SMALL_MAPS {
        // Every task makes some rows from all blocks: partial sums would cost more than the products.
        let mut prepared: Vec<Scratch<T>> = blocks.iter().map(|_| Scratch::default()).collect();
        let operands: Vec<(&[T], &[T])> = prepared
            .par_iter_mut()
            .zip(&blocks)
            .map(|(scratch, block)| {
                prepare(block, scratch);
                (x.strip(&c, block, g.c_in, &mut scratch.source), &*scratch.packed)
            })
            .collect();
        // 24 rows are a multiple of what the kernels take at once.
        let slices = pieces(&whole, depth(&whole).div_ceil(MAX_PARTS).next_multiple_of(24));
        let totals = slices.par_iter().map_init(Vec::new, |pixels, slice| {
            let mut sums = zeros(slice);
            blocks.iter().zip(&operands).for_each(|(block, operands)| add(&mut sums, slice, block, *operands, pixels));
            sums
        });
        let totals: Vec<Vec<T>> = totals.collect();
        (slices, totals)
    } else {
        let parts = (PARTIAL_SUMS / (g.groups * depth(&whole) * panels.padded())).clamp(1, MAX_PARTS);
        let per_part = blocks.len().div_ceil(parts);
        let sums = blocks.par_chunks(per_part).map_init(Scratch::default, |scratch, part| {
            let mut sums = zeros(&whole);
            for block in part {
                prepare(block, scratch);
                let source = x.strip(&c, block, g.c_in, &mut scratch.source);
                add(&mut sums, &whole, block, (source, &scratch.packed), &mut scratch.pixels);
            }
            sums
        });
        let sums: Vec<Vec<T>> = sums.collect();
        (vec![whole], vec![add_up(sums.iter())])
    };
    let taps: Vec<usize> = taps(g, rows, columns).collect();
    let mut dw = vec![T::zero(); g.c_out * g.depth()];
    dw.par_chunks_mut(g.depth()).enumerate().for_each(|(output, dw)| {
        let (group, column) = (output / outputs, output % outputs);
        let count = taps.len();
        let mut places = taps.iter().flat_map(|tap| (0..inputs).map(move |input| input * count + tap));
        for (total, slice) in totals.iter().zip(&slices) {
            let depth = depth(slice);
            let total = &total[group * depth * panels.padded()..][..depth * panels.padded()];
            panels.column(total, depth, column).zip(&mut places).for_each(|(value, place)| dw[place] = value);
        }
    });
    dw
}
/// The sum of vectors, in their order.
pub(super) fn add_up<'a, T: Float>(mut parts: impl Iterator<Item = &'a Vec<T>>) -> Vec<T> {
    let mut total = parts.next().cloned().unwrap_or_default();
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, value)| *total += *value);
    }
    total
}

/// What a thread keeps between the tasks of a weight gradient.
pub(super) struct Scratch<T> {
    source: Vec<T>,
    row: Vec<T>,
    pub packed: Vec<T>,
    pub pixels: Vec<Pixel>,
}

// Derived, it would ask for a T with a default.
impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self { source: Vec::new(), row: Vec::new(), packed: Vec::new(), pixels: Vec::new() }
    }
}

/// Values of runs.
fn depth(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.length).sum()
}
/// Packs the pixels of a block for every group, after each other.
pub(super) fn pack_rows<T: Float>(
    panels: &Panels,
    dy: &Source<T>,
    first: usize,
    pixels: usize,
    channels: usize,
    groups: usize,
    scratch: &mut Scratch<T>,
) {
    let (padded, outputs) = (panels.padded(), channels / groups);
    // The padding stays what it was: zero, or finite values whose sums nobody reads.
    scratch.packed.resize(scratch.packed.len().max(pixels * padded * groups), T::zero());
    scratch.row.resize(channels, T::zero());
    vectorize(
        #[inline(always)]
        || {
            for pixel in 0..pixels {
                let row = if let Source::Plain(dy) = dy {
                    &dy[(first + pixel) * channels..][..channels]
                } else {
                    dy.read(first + pixel, channels, &mut scratch.row);
                    &*scratch.row
                };
                for group in 0..groups {
                    for panel in panels.iter() {
                        let width = panels.width(&panel);
                        let start = (group * padded + panel.column) * pixels + pixel * width;
                        scratch.packed[start..][..panel.columns]
                            .copy_from_slice(&row[group * outputs + panel.column..][..panel.columns]);
                    }
                }
            }
        },
    );
}
