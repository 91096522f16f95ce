//! Output pixels as rows of a matrix: the values that each pixel's window sees.

use std::ops::Range;

use super::geometry::Geometry;
use super::matmul::Element;

/// Position of a run of values in a row of the matrix (`at`) and in the batch of maps (`from`).
struct Run {
    at: usize,
    from: usize,
    length: usize,
}

impl Geometry {
    /// Calls `visit` for every run of values inside the input, of one row of one group's window.
    #[inline(always)]
    fn runs(&self, pixel: usize, group: usize, mut visit: impl FnMut(Run)) {
        let channels = self.c_in / self.groups;
        let (row, ox) = (pixel / self.columns.output, pixel % self.columns.output);
        let (image, oy) = (row / self.rows.output, row % self.rows.output);
        let kx = self.columns.inside(ox, self.kernel.1);
        let Some(first) = kx.clone().next() else { return };
        let ix = ox * self.columns.stride + first * self.columns.dilation - self.columns.padding.0;
        for ky in self.rows.inside(oy, self.kernel.0) {
            let iy = oy * self.rows.stride + ky * self.rows.dilation - self.rows.padding.0;
            let from = ((image * self.rows.input + iy) * self.columns.input + ix) * self.c_in + group * channels;
            let at = (ky * self.kernel.1 + first) * channels;
            if self.columns.dilation == 1 && self.groups == 1 {
                visit(Run { at, from, length: kx.len() * channels });
            } else {
                let step = self.columns.dilation * self.c_in;
                for tap in 0..kx.len() {
                    visit(Run { at: at + tap * channels, from: from + tap * step, length: channels });
                }
            }
        }
    }
}

/// Fills `columns` with one row of [`Geometry::depth`] values, ordered (ky, kx, channel), per output pixel of the whole
/// batch in `pixels`.
pub(super) fn im2col<T: Element>(g: &Geometry, x: &[T], pixels: Range<usize>, group: usize, columns: &mut [T]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (row, pixel) in columns.chunks_exact_mut(g.depth()).zip(pixels) {
                let mut filled = 0;
                g.runs(pixel, group, |Run { at, from, length }| {
                    row[filled..at].fill(T::zero());
                    row[at..at + length].copy_from_slice(&x[from..from + length]);
                    filled = at + length;
                });
                row[filled..].fill(T::zero());
            }
        },
    );
}

/// The transpose of [`im2col`]: adds the rows of `columns` to where their values came from.
pub(super) fn col2im<T: Element>(g: &Geometry, columns: &[T], pixels: Range<usize>, group: usize, dx: &mut [T]) {
    pulp::Arch::new().dispatch(
        #[inline(always)]
        || {
            for (row, pixel) in columns.chunks_exact(g.depth()).zip(pixels) {
                g.runs(pixel, group, |Run { at, from, length }| {
                    let (sums, values) = (&mut dx[from..from + length], &row[at..at + length]);
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += *value);
                });
            }
        },
    );
}
