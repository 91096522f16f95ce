//! The two matrix products of a dense convolution, on one block: the only unsafe code of the convolution.
#![allow(unsafe_code)]

use pulp::{Simd, WithSimd};

use super::panels::{Panel, Panels, widest};
use crate::simd::{Float, lanes};

/// Products that are summed up before a panel's next columns: a panel's part then stays in a core's second cache.
const DEPTH: usize = 512;

/// Values that lie together in the source, relative to a target pixel's first, and are multiplied by consecutive rows of
/// the packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub offset: usize,
    pub length: usize,
}

/// A pixel of the target: where what it sees starts in the source, and where its own values start in the target.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pixel {
    pub source: usize,
    pub target: usize,
}

/// `target[pixel] = sum over runs of source[pixel + run] * packed`, for the columns of one group.
pub(super) struct Multiply<'a, T> {
    pub source: &'a [T],
    pub pixels: &'a [Pixel],
    pub runs: &'a [Run],
    /// Sum of the runs' lengths by the panels' columns.
    pub packed: &'a [T],
    pub panels: &'a Panels,
    pub target: &'a mut [T],
}

impl<T: Float> WithSimd for Multiply<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let depth: usize = self.runs.iter().map(|run| run.length).sum();
        assert_eq!(self.packed.len(), depth * self.panels.padded(), "packed matrix");
        assert_inside(self.pixels.iter().map(|pixel| pixel.source), self.runs, self.source.len());
        let columns = self.panels.columns();
        assert!(self.pixels.iter().all(|pixel| pixel.target + columns <= self.target.len()), "target");
        let mut done = 0;
        for runs in pieces(self.runs, depth.div_ceil(depth.div_ceil(DEPTH).max(1))) {
            let length: usize = runs.iter().map(|run| run.length).sum();
            let mut start = 0;
            for panel in self.panels.iter() {
                let width = panel.registers * lanes::<S, T>();
                let rows = &self.packed[start + done * width..start + (done + length) * width];
                start += depth * width;
                match (widest(S::REGISTER_COUNT), panel.registers) {
                    (_, 1) => self.panel::<S, 8, 1>(simd, panel, &runs, rows, done > 0),
                    (4, 2) => self.panel::<S, 12, 2>(simd, panel, &runs, rows, done > 0),
                    (4, 3) => self.panel::<S, 8, 3>(simd, panel, &runs, rows, done > 0),
                    (4, 4) => self.panel::<S, 6, 4>(simd, panel, &runs, rows, done > 0),
                    (_, 2) => self.panel::<S, 6, 2>(simd, panel, &runs, rows, done > 0),
                    _ => self.panel::<S, 4, 3>(simd, panel, &runs, rows, done > 0),
                }
            }
            done += length;
        }
    }
}

impl<T: Float> Multiply<'_, T> {
    /// One panel's columns of all pixels, `P` pixels at a time.
    #[inline(always)]
    fn panel<S: Simd, const P: usize, const N: usize>(
        &mut self,
        simd: S,
        panel: Panel,
        runs: &[Run],
        rows: &[T],
        add: bool,
    ) {
        let lanes = lanes::<S, T>();
        for pixels in self.pixels.chunks(P) {
            // The last group repeats its last pixel.
            let pixel: [Pixel; P] = std::array::from_fn(|p| pixels[p.min(pixels.len() - 1)]);
            // SAFETY: every value of every run of every pixel lies in the source, and the runs have as many values as
            // `rows` has rows of N registers (both asserted in `with_simd`).
            let mut sums = unsafe {
                let source = pixel.map(|pixel| self.source.as_ptr().add(pixel.source));
                products::<S, T, P, N>(simd, source, runs, rows.as_ptr())
            };
            for (pixel, sums) in pixel.iter().zip(&mut sums).take(pixels.len()) {
                let target = &mut self.target[pixel.target + panel.column..][..panel.columns];
                if panel.columns == N * lanes {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        let to = target[n * lanes..][..lanes].as_mut_ptr().cast::<T::Lanes<S>>();
                        // SAFETY: `to` points to one register's worth of values, as many as were just sliced.
                        unsafe {
                            if add {
                                *sum = T::plus(simd, *sum, to.read_unaligned());
                            }
                            to.write_unaligned(*sum);
                        }
                    }
                } else {
                    assert!(lanes <= MAX_LANES, "registers of {lanes} values");
                    let mut whole = [[T::zero(); MAX_LANES]; N];
                    for (n, sum) in sums.iter().enumerate() {
                        // SAFETY: no register has more than MAX_LANES values, as was asserted.
                        unsafe { whole[n].as_mut_ptr().cast::<T::Lanes<S>>().write_unaligned(*sum) };
                    }
                    for (n, target) in target.chunks_mut(lanes).enumerate() {
                        for (target, &sum) in target.iter_mut().zip(&whole[n]) {
                            *target = if add { *target + sum } else { sum };
                        }
                    }
                }
            }
        }
    }
}

/// Values of the largest register: f32 with AVX-512.
const MAX_LANES: usize = 16;

/// The products of `P` pixels with a panel of `N` registers.
///
/// # Safety
/// Every run of every one of `source` must be valid for reads, and `rows` for as many rows of `N` registers as the runs
/// have values.
#[inline(always)]
unsafe fn products<S: Simd, T: Float, const P: usize, const N: usize>(
    simd: S,
    source: [*const T; P],
    runs: &[Run],
    rows: *const T,
) -> [[T::Lanes<S>; N]; P] {
    let mut sums = [[T::splat(simd, T::zero()); N]; P];
    let mut row = rows.cast::<T::Lanes<S>>();
    for run in runs {
        // SAFETY: the caller's promise.
        unsafe {
            let source = source.map(|source| source.add(run.offset));
            for i in 0..run.length {
                let weights: [T::Lanes<S>; N] = std::array::from_fn(|n| row.add(n).read_unaligned());
                for (sums, source) in sums.iter_mut().zip(&source) {
                    let value = T::splat(simd, *source.add(i));
                    for (sum, weight) in sums.iter_mut().zip(&weights) {
                        *sum = T::mul_add(simd, value, *weight, *sum);
                    }
                }
                row = row.add(N);
            }
        }
    }
    sums
}

/// The runs in pieces of at most `most` values; a run may be cut.
pub(super) fn pieces(runs: &[Run], most: usize) -> Vec<Vec<Run>> {
    let mut pieces = vec![Vec::new()];
    let mut room = most;
    for &Run { mut offset, mut length } in runs {
        while length > 0 {
            if room == 0 {
                pieces.push(Vec::new());
                room = most;
            }
            let part = length.min(room);
            if let Some(piece) = pieces.last_mut() {
                piece.push(Run { offset, length: part });
            }
            (offset, length, room) = (offset + part, length - part, room - part);
        }
    }
    pieces
}

/// Refuses runs that leave the source.
fn assert_inside(starts: impl Iterator<Item = usize>, runs: &[Run], length: usize) {
    let reach = runs.iter().map(|run| run.offset + run.length).max().unwrap_or(0);
    assert!(starts.max().is_none_or(|start| start + reach <= length), "a run leaves the source");
}

/// `sums[run value] += sum over pixels of source[pixel + run value] * packed[pixel]`: the gradient of the weight, for the
/// columns of one group.
pub(super) struct MultiplyTransposed<'a, T> {
    pub source: &'a [T],
    /// Their targets don't matter.
    pub pixels: &'a [Pixel],
    pub runs: &'a [Run],
    /// The pixels by the panels' columns.
    pub packed: &'a [T],
    pub panels: &'a Panels,
    /// Sum of the runs' lengths by the panels' columns, panel after panel.
    pub sums: &'a mut [T],
}

impl<T: Float> WithSimd for MultiplyTransposed<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let depth: usize = self.runs.iter().map(|run| run.length).sum();
        assert_eq!(self.packed.len(), self.pixels.len() * self.panels.padded(), "packed matrix");
        assert_eq!(self.sums.len(), depth * self.panels.padded(), "sums");
        assert_inside(self.pixels.iter().map(|pixel| pixel.source), self.runs, self.source.len());
        let (mut packed, mut sums) = (0, 0);
        for panel in self.panels.iter() {
            let width = panel.registers * lanes::<S, T>();
            let part = packed..packed + self.pixels.len() * width;
            match (widest(S::REGISTER_COUNT), panel.registers) {
                (_, 1) => self.panel::<S, 8, 1>(simd, part.start, sums),
                (4, 2) => self.panel::<S, 12, 2>(simd, part.start, sums),
                (4, 3) => self.panel::<S, 8, 3>(simd, part.start, sums),
                (4, 4) => self.panel::<S, 6, 4>(simd, part.start, sums),
                (_, 2) => self.panel::<S, 6, 2>(simd, part.start, sums),
                // Four would be 12 sums, and the compiler spreads the next value before it has done with the last: one
                // more register than AVX2 has, and a sum in memory.
                _ => self.panel::<S, 3, 3>(simd, part.start, sums),
            }
            packed = part.end;
            sums += depth * width;
        }
    }
}

impl<T: Float> MultiplyTransposed<'_, T> {
    /// One panel's columns, `R` values of the runs at a time, then what is left of a run in fours and ones.
    #[inline(always)]
    fn panel<S: Simd, const R: usize, const N: usize>(&mut self, simd: S, packed: usize, sums: usize) {
        let width = N * lanes::<S, T>();
        let mut row = sums;
        for run in self.runs {
            let mut at = 0;
            while at + R <= run.length {
                self.rows::<S, R, N>(simd, run.offset + at, packed, row);
                (at, row) = (at + R, row + R * width);
            }
            while at + 4 <= run.length {
                self.rows::<S, 4, N>(simd, run.offset + at, packed, row);
                (at, row) = (at + 4, row + 4 * width);
            }
            while at < run.length {
                self.rows::<S, 1, N>(simd, run.offset + at, packed, row);
                (at, row) = (at + 1, row + width);
            }
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const R: usize, const N: usize>(&mut self, simd: S, offset: usize, packed: usize, sums: usize) {
        let width = N * lanes::<S, T>();
        let packed = &self.packed[packed..packed + self.pixels.len() * width];
        let sums = &mut self.sums[sums..sums + R * width];
        let mut totals = [[T::splat(simd, T::zero()); N]; R];
        let mut row = packed.as_ptr().cast::<T::Lanes<S>>();
        for pixel in self.pixels {
            // SAFETY: the runs of every pixel lie in the source (asserted in `with_simd`), and `packed` was just sliced
            // to a row of N registers for every pixel.
            unsafe {
                let source = self.source.as_ptr().add(pixel.source + offset);
                let gradients: [T::Lanes<S>; N] = std::array::from_fn(|n| row.add(n).read_unaligned());
                for (r, totals) in totals.iter_mut().enumerate() {
                    let value = T::splat(simd, *source.add(r));
                    for (total, gradient) in totals.iter_mut().zip(&gradients) {
                        *total = T::mul_add(simd, value, *gradient, *total);
                    }
                }
                row = row.add(N);
            }
        }
        let mut to = sums.as_mut_ptr().cast::<T::Lanes<S>>();
        for total in totals.iter().flatten() {
            // SAFETY: `sums` was just sliced to R rows of N registers, which are as many as the totals.
            unsafe {
                to.write_unaligned(T::plus(simd, *total, to.read_unaligned()));
                to = to.add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::panels::Strided;
    use super::*;
    use crate::simd::dispatch;

    const PIXELS: [Pixel; 3] =
        [Pixel { source: 0, target: 20 }, Pixel { source: 2, target: 0 }, Pixel { source: 4, target: 40 }];
    const RUNS: [Run; 2] = [Run { offset: 0, length: 2 }, Run { offset: 5, length: 1 }];
    const COLUMNS: usize = 19;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7 + 3) % 11) as f32 - 5.0).collect()
    }

    fn packed(panels: &Panels, rows: usize) -> Vec<f32> {
        let matrix = Strided { starts: vec![0], rows, row_stride: COLUMNS, column_stride: 1 };
        panels.pack(&numbers(rows * COLUMNS), &matrix)
    }

    fn multiply(source: usize, target: usize, rows: usize) -> Vec<f32> {
        let panels = Panels::new::<f32>(COLUMNS);
        let (source, packed, mut target) = (numbers(source), packed(&panels, rows), vec![f32::NAN; target]);
        let (pixels, runs, panels) = (&PIXELS, &RUNS, &panels);
        dispatch(Multiply { source: &source, pixels, runs, packed: &packed, panels, target: &mut target });
        target
    }

    #[test]
    fn products_fill_their_pixels_and_nothing_else() {
        // The last value of the last run of the last pixel is the source's last.
        let target = multiply(10, 40 + COLUMNS, 3);
        let (source, matrix) = (numbers(10), numbers(3 * COLUMNS));
        for (at, value) in target.iter().enumerate() {
            let (column, start) = (at % 20, at / 20 * 20);
            if column == COLUMNS {
                assert!(value.is_nan(), "value {at} is no pixel's");
                continue;
            }
            let from = PIXELS.iter().find(|pixel| pixel.target == start).unwrap().source;
            let seen = [source[from], source[from + 1], source[from + 5]];
            let sum: f32 = seen.iter().enumerate().map(|(row, x)| x * matrix[row * COLUMNS + column]).sum();
            assert_eq!(*value, sum, "value {at}");
        }
    }

    #[test]
    #[should_panic(expected = "a run leaves the source")]
    fn a_source_that_is_too_short_is_refused() {
        multiply(9, 40 + COLUMNS, 3);
    }

    #[test]
    #[should_panic(expected = "target")]
    fn a_target_that_is_too_short_is_refused() {
        multiply(10, 39 + COLUMNS, 3);
    }

    #[test]
    #[should_panic(expected = "packed matrix")]
    fn a_matrix_of_other_sizes_is_refused() {
        multiply(10, 40 + COLUMNS, 2);
    }

    fn transposed(source: usize, sums: usize) -> Vec<f32> {
        let panels = Panels::new::<f32>(COLUMNS);
        let (source, packed, mut sums) = (numbers(source), packed(&panels, 3), vec![1.0; sums * panels.padded()]);
        let (pixels, runs, panels) = (&PIXELS, &RUNS, &panels);
        dispatch(MultiplyTransposed { source: &source, pixels, runs, packed: &packed, panels, sums: &mut sums });
        sums
    }

    #[test]
    fn transposed_products_are_added_to_the_sums() {
        let (sums, source, gradients) = (transposed(10, 3), numbers(10), numbers(3 * COLUMNS));
        for column in 0..COLUMNS {
            let values: Vec<f32> = Panels::new::<f32>(COLUMNS).column(&sums, 3, column).collect();
            for (value, offset) in values.into_iter().zip([0, 1, 5]) {
                let products = (0..3).map(|p| source[PIXELS[p].source + offset] * gradients[p * COLUMNS + column]);
                assert_eq!(value, 1.0 + products.sum::<f32>(), "column {column}, offset {offset}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "a run leaves the source")]
    fn a_transposed_source_that_is_too_short_is_refused() {
        transposed(9, 3);
    }

    #[test]
    #[should_panic(expected = "sums")]
    fn sums_of_another_size_are_refused() {
        transposed(10, 4);
    }
}
