//! Both gradients of a 1x1 convolution at once.

use rayon::prelude::*;

use super::super::correlation::{Correlation, PRODUCT_PIXELS};
use super::super::geometry::Geometry;
use super::super::kernels::Gradients;
use super::super::multiply::{Multiply, MultiplyTransposed, Pixel, Run};
use super::super::panels::{Panels, Strided};
use super::weight::{LARGE_WEIGHT, MAX_PARTS, PARTIAL_SUMS, SMALL_MAPS, Scratch, add_up, pack_rows};
use crate::kernel::split_mut;
use crate::simd::{self, Float};
use crate::source::Source;

/// Tasks that several cores share well enough.
const TASKS: usize = 8;
/// Both gradients of a 1x1 convolution in one pass over the output's gradient, or none where the weight is so large that few
/// tasks could share the work.
pub(in super::super) fn gradients<T: Float, R: Send>(
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
