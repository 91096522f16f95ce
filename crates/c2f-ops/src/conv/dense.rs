//! Convolution as matrix products over tiles of im2col, for any groups.

use std::ops::Range;

use rayon::prelude::*;

use super::geometry::Geometry;
use super::im2col::{col2im, im2col};
use super::matmul::{Element, Matrix, matmul, par_matmul};

/// Wanted size of one tile of im2col, in bytes: about half of a core's L2 cache.
const TILE: usize = 512 << 10;

/// Partial sums of a weight gradient: enough tasks for many cores, few enough for memory.
const MAX_PARTS: usize = 16;

/// (B, H, W, I) * (O, I / groups, kh, kw) -> (B, H', W', O).
pub(super) fn forward<T: Element>(g: &Geometry, x: &[T], weight: &[T]) -> Vec<T> {
    let mut y = vec![T::zero(); g.pixels() * g.c_out];
    if g.is_pointwise() {
        let weight = Matrix::rows(weight, g.c_out, g.c_in, g.c_in);
        par_matmul(&mut y, Matrix::rows(x, g.pixels(), g.c_in, g.c_in), weight.transpose());
    } else {
        correlate(g, x, &pack(g, weight), &mut y);
    }
    y
}

/// Gradient of the input from that of the output.
pub(super) fn input_gradient<T: Element>(g: &Geometry, dy: &[T], weight: &[T]) -> Vec<T> {
    let mut dx = vec![T::zero(); g.input_pixels() * g.c_in];
    if g.is_pointwise() {
        let weight = Matrix::rows(weight, g.c_out, g.c_in, g.c_in);
        par_matmul(&mut dx, Matrix::rows(dy, g.pixels(), g.c_out, g.c_out), weight);
    } else if let Some(transposed) = g.transposed() {
        correlate(&transposed, dy, &pack(&transposed, &turn(g, weight)), &mut dx);
    } else {
        scatter(g, dy, &pack(g, weight), &mut dx);
    }
    dx
}

/// Gradient of the weight from the input and the output's gradient.
pub(super) fn weight_gradient<T: Element>(g: &Geometry, x: &[T], dy: &[T]) -> Vec<T> {
    let (outputs, depth) = (g.c_out / g.groups, g.depth());
    let rows = tile_rows::<T>(g);
    // A part per few tiles and per a sum's worth of pixels; the sizes alone decide.
    let parts = g.pixels().div_ceil(rows.max(outputs)).min(MAX_PARTS);
    if g.is_pointwise() && parts == 1 {
        let mut dw = vec![T::zero(); g.c_out * depth];
        let dy = Matrix::rows(dy, g.pixels(), g.c_out, g.c_out);
        par_matmul(&mut dw, dy.transpose(), Matrix::rows(x, g.pixels(), g.c_in, g.c_in));
        return dw;
    }
    let length = g.pixels().div_ceil(parts);
    let mut sums: Vec<Vec<T>> = (0..parts)
        .into_par_iter()
        .map_init(Vec::new, |scratch, part| {
            let mut sum = vec![T::zero(); g.c_out * depth];
            for tile in tiles(part * length..((part + 1) * length).min(g.pixels()), rows) {
                for (group, sum) in sum.chunks_exact_mut(outputs * depth).enumerate() {
                    let dy = Matrix::rows(&dy[tile.start * g.c_out + group * outputs..], tile.len(), outputs, g.c_out);
                    let columns = columns(g, x, tile.clone(), group, scratch);
                    matmul(sum, depth, dy.transpose(), columns, true);
                }
            }
            sum
        })
        .collect();
    let (total, rest) = sums.split_at_mut(1);
    total[0].par_chunks_mut(4096).enumerate().for_each(|(chunk, total)| {
        for part in rest.iter() {
            total.iter_mut().zip(&part[chunk * 4096..]).for_each(|(total, value)| *total += *value);
        }
    });
    unpack(g, &sums[0])
}

/// Output pixels whose im2col makes one tile: with few of them, a product would mostly pack its weight.
fn tile_rows<T>(g: &Geometry) -> usize {
    (TILE / size_of::<T>() / g.depth()).clamp(128, 1024)
}

fn tiles(pixels: Range<usize>, rows: usize) -> impl Iterator<Item = Range<usize>> {
    let end = pixels.end;
    pixels.step_by(rows).map(move |start| start..(start + rows).min(end))
}

/// The windows of output pixels as a matrix; `scratch` keeps it unless the input already is that matrix.
fn columns<'a, T: Element>(
    g: &Geometry,
    x: &'a [T],
    pixels: Range<usize>,
    group: usize,
    scratch: &'a mut Vec<T>,
) -> Matrix<'a, T> {
    let (rows, depth) = (pixels.len(), g.depth());
    if g.is_pointwise() {
        return Matrix::rows(&x[pixels.start * depth..], rows, depth, depth);
    }
    scratch.resize(scratch.len().max(rows * depth), T::zero());
    im2col(g, x, pixels, group, &mut scratch[..rows * depth]);
    Matrix::rows(scratch, rows, depth, depth)
}

/// The convolution by a packed weight.
fn correlate<T: Element>(g: &Geometry, x: &[T], packed: &[T], y: &mut [T]) {
    let (outputs, depth) = (g.c_out / g.groups, g.depth());
    let rows = tile_rows::<T>(g);
    y.par_chunks_mut(rows * g.c_out).enumerate().for_each_init(Vec::new, |scratch, (tile, y)| {
        let start = tile * rows;
        let pixels = start..start + y.len() / g.c_out;
        for (group, weight) in packed.chunks_exact(outputs * depth).enumerate() {
            let columns = columns(g, x, pixels.clone(), group, scratch);
            let weight = Matrix::rows(weight, outputs, depth, depth).transpose();
            matmul(&mut y[group * outputs..], g.c_out, columns, weight, false);
        }
    });
}

/// The transpose of [`correlate`], tile after tile of one image, image beside image.
fn scatter<T: Element>(g: &Geometry, dy: &[T], packed: &[T], dx: &mut [T]) {
    let (outputs, depth) = (g.c_out / g.groups, g.depth());
    let image_pixels = g.rows.output * g.columns.output;
    let one = Geometry { batch: 1, ..*g };
    let images = dx.par_chunks_mut(one.input_pixels() * g.c_in).zip(dy.par_chunks(image_pixels * g.c_out));
    images.for_each_init(Vec::new, |scratch: &mut Vec<T>, (dx, dy)| {
        let rows = tile_rows::<T>(g).min(image_pixels);
        scratch.resize(rows * depth, T::zero());
        for tile in tiles(0..image_pixels, rows) {
            for (group, weight) in packed.chunks_exact(outputs * depth).enumerate() {
                let dy = Matrix::rows(&dy[tile.start * g.c_out + group * outputs..], tile.len(), outputs, g.c_out);
                let columns = &mut scratch[..tile.len() * depth];
                matmul(columns, depth, dy, Matrix::rows(weight, outputs, depth, depth), false);
                col2im(&one, columns, tile.clone(), group, dx);
            }
        }
    });
}

/// (O, I / groups, kh, kw) -> (O, kh, kw, I / groups): the rows of im2col lie in this order.
fn pack<T: Element>(g: &Geometry, weight: &[T]) -> Vec<T> {
    let taps = g.kernel.0 * g.kernel.1;
    transpose_each(weight, g.c_in / g.groups, taps)
}

/// The inverse of [`pack`].
fn unpack<T: Element>(g: &Geometry, packed: &[T]) -> Vec<T> {
    let taps = g.kernel.0 * g.kernel.1;
    transpose_each(packed, taps, g.c_in / g.groups)
}

/// Transposes every (rows, columns) matrix of a stack.
fn transpose_each<T: Element>(stack: &[T], rows: usize, columns: usize) -> Vec<T> {
    if rows == 1 || columns == 1 {
        return stack.to_vec();
    }
    let mut transposed = vec![T::zero(); stack.len()];
    let matrices = transposed.par_chunks_mut(rows * columns).zip(stack.par_chunks(rows * columns));
    matrices.for_each(|(transposed, matrix)| {
        for (c, transposed) in transposed.chunks_exact_mut(rows).enumerate() {
            for (r, value) in transposed.iter_mut().enumerate() {
                *value = matrix[r * columns + c];
            }
        }
    });
    transposed
}

/// The weight of [`Geometry::transposed`]: inputs and outputs of each group swapped, taps in reverse order.
fn turn<T: Element>(g: &Geometry, weight: &[T]) -> Vec<T> {
    let (inputs, outputs, taps) = (g.c_in / g.groups, g.c_out / g.groups, g.kernel.0 * g.kernel.1);
    let mut turned = vec![T::zero(); weight.len()];
    turned.par_chunks_mut(outputs * taps).enumerate().for_each(|(input, turned)| {
        let (group, i) = (input / inputs, input % inputs);
        for (o, turned) in turned.chunks_exact_mut(taps).enumerate() {
            let kernel = &weight[((group * outputs + o) * inputs + i) * taps..][..taps];
            turned.iter_mut().zip(kernel.iter().rev()).for_each(|(turned, value)| *turned = *value);
        }
    });
    turned
}
