//! Dense and grouped convolution: matrix products of blocks of pixels, which see the source directly, with the weight.

use rayon::prelude::*;

use super::Gradients;
use super::correlation::{Block, Correlation, Family, PRODUCT_PIXELS};
use super::geometry::Geometry;
use super::multiply::{Multiply, MultiplyTransposed, Pixel, Run, pieces};
use super::panels::{Panels, Strided};
use super::source::{Source, Strip};
use crate::kernel::split_mut;
use crate::simd::{self, Float, vectorize};

/// Memory of the partial sums of a weight gradient, in values: about 32 MiB of f32.
const PARTIAL_SUMS: usize = 8 << 20;

/// Partial sums that are worth having for many cores.
const MAX_PARTS: usize = 16;

/// Tasks of a weight gradient that several cores share well enough.
const TASKS: usize = 8;

/// Values of a weight, and of all maps together, from which and up to which a weight gradient is cut along the weight
/// instead of the maps.
const LARGE_WEIGHT: usize = 1 << 16;
const SMALL_MAPS: usize = 4 << 20;

/// (B, H, W, I) * (O, I / groups, kh, kw) -> (B, H', W', O). `finish` is called with the index of the
/// first value and the values of every block of the result, while it is in the cache; its answers come in order.
pub(super) fn forward<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let steps = Steps { row: g.taps(), column: g.depth() };
    correlate(g, &Correlation::forward(g), x, (g.c_in / g.groups, g.c_out / g.groups), weight, &steps, finish)
}

/// Gradient of the input from that of the output.
pub(super) fn input_gradient<T: Float, R: Send>(
    g: &Geometry,
    dy: &Source<T>,
    weight: &[T],
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let steps = Steps { row: g.depth(), column: g.taps() };
    correlate(g, &Correlation::transposed(g), dy, (g.c_out / g.groups, g.c_in / g.groups), weight, &steps, finish)
}

/// Distances in the weight (O, I / groups, kh, kw) of neighbouring channels.
struct Steps {
    /// Of the source.
    row: usize,
    /// Of the target.
    column: usize,
}

/// `channels` are those of one group, of the source and of the target.
fn correlate<T: Float, R: Send>(
    g: &Geometry,
    c: &Correlation,
    x: &Source<T>,
    channels: (usize, usize),
    weight: &[T],
    steps: &Steps,
    finish: impl Fn(usize, &mut [T]) -> R + Sync,
) -> (Vec<T>, Vec<R>) {
    let (source_channels, target_channels) = (channels.0 * g.groups, channels.1 * g.groups);
    let panels = Panels::new::<T>(channels.1);
    let families: Vec<_> = families(c).collect();
    let packed: Vec<Vec<T>> = families
        .iter()
        .map(|(rows, columns)| {
            let groups = weight.chunks_exact(weight.len() / g.groups).map(|weight| {
                let starts = taps(g, rows, columns).collect();
                let matrix = Strided { starts, rows: channels.0, row_stride: steps.row, column_stride: steps.column };
                panels.pack(weight, &matrix)
            });
            groups.collect::<Vec<_>>().concat()
        })
        .collect();
    let blocks = c.blocks(source_channels, size_of::<T>(), PRODUCT_PIXELS);
    let mut y = vec![T::zero(); c.batch * c.rows.target * c.columns.target * target_channels];
    let parts = split_mut(&mut y, blocks.iter().map(|block| block.pixels(c) * target_channels));
    let finished = blocks.par_iter().zip(parts).map_init(
        || (Vec::new(), Vec::new()),
        |(scratch, pixels), (block, target)| {
            let source = x.strip(c, block, source_channels, scratch);
            for ((rows, columns), packed) in families.iter().zip(&packed) {
                let runs = runs(c, Strip::new(c, block).columns, rows, columns, channels.0, g.groups);
                for (group, packed) in packed.chunks_exact((packed.len() / g.groups).max(1)).enumerate() {
                    let starts = (group * channels.0, group * channels.1);
                    collect_pixels(c, block, (rows, columns), (source_channels, target_channels), starts, pixels);
                    simd::dispatch(Multiply { source, pixels, runs: &runs, packed, panels: &panels, target });
                }
            }
            finish(block.first_pixel(c) * target_channels, target)
        },
    );
    let finished = finished.collect();
    (y, finished)
}

/// Gradient of the weight from the input and the output's gradient.
pub(super) fn weight_gradient<T: Float>(g: &Geometry, x: &Source<T>, dy: &Source<T>) -> Vec<T> {
    let c = Correlation::forward(g);
    let (inputs, outputs) = (g.c_in / g.groups, g.c_out / g.groups);
    let panels = Panels::new::<T>(outputs);
    let (rows, columns) = (&c.rows.families[0], &c.columns.families[0]);
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

/// Both gradients of a 1x1 convolution in one pass over the output's gradient, or none where the weight is so large that few
/// tasks could share the work.
pub(super) fn pointwise_gradients<T: Float, R: Send>(
    g: &Geometry,
    x: &Source<T>,
    dy: &Source<T>,
    weight: &[T],
    finish: &(impl Fn(usize, &mut [T]) -> R + Sync),
) -> Option<Gradients<T, R>> {
    let c = Correlation::forward(g);
    let (across, back) = (Panels::new::<T>(g.c_out), Panels::new::<T>(g.c_in));
    let size = g.c_in * across.padded();
    let blocks = c.blocks(g.c_in.max(g.c_out), size_of::<T>(), PRODUCT_PIXELS);
    let large_maps = size < LARGE_WEIGHT || x.len() + dy.len() > SMALL_MAPS;
    let parts = (PARTIAL_SUMS / size).min(MAX_PARTS).min(blocks.len());
    if !c.is_pointwise() || g.groups > 1 || parts < TASKS || !large_maps {
        return None;
    }
    let matrix = Strided { starts: vec![0], rows: g.c_out, row_stride: g.c_in, column_stride: 1 };
    let weight = back.pack(weight, &matrix);
    let mut dx = vec![T::zero(); x.len()];
    let mut targets = split_mut(&mut dx, blocks.iter().map(|block| block.pixels(&c) * g.c_in));
    let per_part = blocks.len().div_ceil(parts);
    let sums = blocks.par_chunks(per_part).zip(targets.par_chunks_mut(per_part)).map_init(
        || (Vec::new(), Vec::new(), Scratch::default()),
        |(gradient, source, scratch), (blocks, targets)| {
            let (mut sums, mut finished) = (vec![T::zero(); size], Vec::new());
            for (block, target) in blocks.iter().zip(targets) {
                let pixels = block.pixels(&c);
                let first = block.first_pixel(&c);
                let target = &mut **target;
                let gradient = dy.pixels(first, pixels, g.c_out, gradient);
                let places =
                    |from: usize, to: usize| move |pixel: usize| Pixel { source: pixel * from, target: pixel * to };
                scratch.pixels.clear();
                scratch.pixels.extend((0..pixels).map(places(g.c_out, g.c_in)));
                simd::dispatch(Multiply {
                    source: gradient,
                    pixels: &scratch.pixels,
                    runs: &[Run { offset: 0, length: g.c_out }],
                    packed: &weight,
                    panels: &back,
                    target,
                });
                pack_rows(&across, &Source::Plain(gradient), 0, pixels, g.c_out, 1, scratch);
                scratch.pixels.clear();
                scratch.pixels.extend((0..pixels).map(places(g.c_in, 0)));
                simd::dispatch(MultiplyTransposed {
                    source: x.pixels(first, pixels, g.c_in, source),
                    pixels: &scratch.pixels,
                    runs: &[Run { offset: 0, length: g.c_in }],
                    packed: &scratch.packed[..pixels * across.padded()],
                    panels: &across,
                    sums: &mut sums,
                });
                finished.push(finish(first * g.c_in, target));
            }
            (sums, finished)
        },
    );
    let (sums, finished): (Vec<Vec<T>>, Vec<Vec<R>>) = sums.collect();
    let total = add_up(sums.iter());
    let mut dw = vec![T::zero(); g.c_out * g.c_in];
    dw.par_chunks_mut(g.c_in).enumerate().for_each(|(output, dw)| {
        dw.iter_mut().zip(across.column(&total, g.c_in, output)).for_each(|(dw, value)| *dw = value);
    });
    Some(Gradients { input: dx, weight: dw, finished: finished.into_iter().flatten().collect() })
}

/// The sum of vectors, in their order.
fn add_up<'a, T: Float>(mut parts: impl Iterator<Item = &'a Vec<T>>) -> Vec<T> {
    let mut total = parts.next().cloned().unwrap_or_default();
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, value)| *total += *value);
    }
    total
}

/// What a thread keeps between the tasks of [`weight_gradient`].
struct Scratch<T> {
    source: Vec<T>,
    row: Vec<T>,
    packed: Vec<T>,
    pixels: Vec<Pixel>,
}

impl<T> Default for Scratch<T> {
    fn default() -> Self {
        Self { source: Vec::new(), row: Vec::new(), packed: Vec::new(), pixels: Vec::new() }
    }
}

/// Every pair of families of rows and of columns whose pixels see anything.
fn families(c: &Correlation) -> impl Iterator<Item = (&Family, &Family)> {
    let pairs = c.rows.families.iter().flat_map(|rows| c.columns.families.iter().map(move |columns| (rows, columns)));
    pairs.filter(|(rows, columns)| !rows.taps.is_empty() && !columns.taps.is_empty())
}

/// Indices into the kernel, in the order of the runs.
fn taps(g: &Geometry, rows: &Family, columns: &Family) -> impl Iterator<Item = usize> {
    rows.taps.iter().flat_map(move |row| columns.taps.iter().map(move |column| row.index * g.kernel.1 + column.index))
}

/// What the pixels of two families see, in a strip of rows of `width` pixels; `channels` are those of one group.
fn runs(c: &Correlation, width: usize, rows: &Family, columns: &Family, channels: usize, groups: usize) -> Vec<Run> {
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

fn depth(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.length).sum()
}

/// Where the pixels of a block, of two families, start in the strip and in the block; `channels` are all those of a
/// pixel of the source and of the target, `first` those of the group.
fn collect_pixels(
    c: &Correlation,
    block: &Block,
    (rows, columns): (&Family, &Family),
    channels: (usize, usize),
    first: (usize, usize),
    pixels: &mut Vec<Pixel>,
) {
    let strip = Strip::new(c, block);
    let targets = c.rows.targets(&block.steps);
    pixels.clear();
    for image in 0..block.images.len() {
        for j in block.steps.start..block.steps.end.min(rows.count) {
            let source = image * strip.rows + (j - block.steps.start) * c.rows.step;
            let target = image * targets.len() + rows.first + c.rows.spacing * j - targets.start;
            for i in 0..columns.count {
                let source = source * strip.columns + i * c.columns.step;
                let target = target * c.columns.target + columns.first + c.columns.spacing * i;
                pixels.push(Pixel { source: source * channels.0 + first.0, target: target * channels.1 + first.1 });
            }
        }
    }
}

/// Packs the pixels of a block for every group, after each other.
fn pack_rows<T: Float>(
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
