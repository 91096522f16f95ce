//! A matrix packed for the multiplication kernels: panels of a few registers of neighbouring columns.

use rayon::prelude::*;

use crate::kernel::split_mut;
use crate::simd::{self, Float};

/// Rows that are packed together.
const ROWS: usize = 16;

/// Registers of the widest panel: as many sums as fit beside it in the processor's registers.
pub(super) const fn widest(registers: usize) -> usize {
    if registers >= 32 { 4 } else { 3 }
}

/// How columns are cut into panels.
#[derive(Debug, Clone)]
pub(super) struct Panels {
    /// Values of one register.
    lanes: usize,
    /// From left to right.
    all: Vec<Panel>,
}

/// One panel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    /// First column.
    pub column: usize,
    /// Columns that exist; the rest of the registers is padding.
    pub columns: usize,
    pub registers: usize,
}

impl Panels {
    /// `columns` columns, for the instructions in use. The panels are as wide as each other if possible: narrow ones use the processor
    /// worse.
    pub fn new<T: Float>(columns: usize) -> Self {
        struct Sizes<T>(std::marker::PhantomData<T>);
        impl<T: Float> pulp::WithSimd for Sizes<T> {
            type Output = (usize, usize);
            #[inline(always)]
            fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
                (simd::lanes::<S, T>(), widest(S::REGISTER_COUNT))
            }
        }
        let (lanes, widest) = simd::dispatch(Sizes::<T>(std::marker::PhantomData));
        let registers = columns.div_ceil(lanes);
        let count = registers.div_ceil(widest).max(1);
        let panel = |i: usize| {
            let (from, to) = (i * registers / count, (i + 1) * registers / count);
            let column = from * lanes;
            Panel { column, columns: (to * lanes).min(columns) - column, registers: to - from }
        };
        Self { lanes, all: (0..count).map(panel).collect() }
    }

    /// The panels, from left to right.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Panel> {
        self.all.iter().copied()
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.all.iter().map(|panel| panel.columns).sum()
    }

    /// Columns with their padding.
    pub fn padded(&self) -> usize {
        self.all.iter().map(|panel| self.width(panel)).sum()
    }

    /// The same columns in at most `count` parts, and how many padded columns lie before each: a part's packed matrix is a part of the
    /// whole one's.
    pub fn parts(&self, count: usize) -> Vec<(usize, Self)> {
        let mut before = 0;
        let part = |panels: &[Panel]| {
            let moved = panels.iter().map(|panel| Panel { column: panel.column - panels[0].column, ..*panel });
            let part = Self { lanes: self.lanes, all: moved.collect() };
            before += part.padded();
            (before - part.padded(), part)
        };
        self.all.chunks(self.all.len().div_ceil(count.max(1)).max(1)).map(part).collect()
    }

    /// Columns of a panel with their padding.
    pub fn width(&self, panel: &Panel) -> usize {
        panel.registers * self.lanes
    }

    /// Packs a matrix, panel after panel, each row by row.
    pub fn pack<T: Float>(&self, values: &[T], matrix: &Strided) -> Vec<T> {
        let rows = matrix.starts.len() * matrix.rows;
        let mut packed = vec![T::zero(); rows * self.padded()];
        let parts = split_mut(&mut packed, self.iter().map(|panel| rows * self.width(&panel)));
        self.iter().zip(parts).collect::<Vec<_>>().into_par_iter().for_each(|(panel, part)| {
            let width = self.width(&panel);
            // Few rows at a time: what is read for one part of the stack is still in the cache for the next.
            for first in (0..matrix.rows).step_by(ROWS) {
                let rows = first..(first + ROWS).min(matrix.rows);
                for (start, part) in matrix.starts.iter().zip(part.chunks_exact_mut(matrix.rows * width)) {
                    let start = start + panel.column * matrix.column_stride;
                    let part = &mut part[first * width..rows.end * width];
                    matrix.copy(&values[start + first * matrix.row_stride..], panel.columns, width, part);
                }
            }
        });
        packed
    }

    /// One column of a packed matrix of `rows` rows.
    pub fn column<'a, T: Float>(
        &self,
        packed: &'a [T],
        rows: usize,
        column: usize,
    ) -> impl Iterator<Item = T> + use<'a, T> {
        let panel = self.iter().find(|panel| column < panel.column + panel.columns);
        let (start, within, width) =
            panel.map_or((0, 0, 1), |panel| (panel.column, column - panel.column, panel.registers * self.lanes));
        packed[start * rows..][..width * rows].chunks_exact(width).map(move |row| row[within])
    }
}

/// A matrix in a slice of values: stacked parts of as many rows each, whose elements are regular steps apart.
#[derive(Debug, Clone)]
pub(super) struct Strided {
    /// Where each part starts.
    pub starts: Vec<usize>,
    /// Rows of a part.
    pub rows: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl Strided {
    /// Copies rows of `columns` values each into `into`, whose rows are `width` long.
    fn copy<T: Float>(&self, values: &[T], columns: usize, width: usize, into: &mut [T]) {
        if self.column_stride < self.row_stride {
            for (row, into) in into.chunks_exact_mut(width).enumerate() {
                let values = values[row * self.row_stride..].iter().step_by(self.column_stride);
                into[..columns].iter_mut().zip(values).for_each(|(into, value)| *into = *value);
            }
        } else {
            for column in 0..columns {
                let values = values[column * self.column_stride..].iter().step_by(self.row_stride);
                into[column..].iter_mut().step_by(width).zip(values).for_each(|(into, value)| *into = *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_columns_are_parts_of_the_packed_matrix() {
        for columns in [1, 16, 17, 200, 1000] {
            let (rows, panels) = (3, Panels::new::<f32>(columns));
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let matrix = Strided { starts: vec![0], rows, row_stride: columns, column_stride: 1 };
            let packed = panels.pack(&values, &matrix);
            for count in [1, 2, 8, 1000] {
                let parts = panels.parts(count);
                assert!((1..=count).contains(&parts.len()));
                let mut first = 0;
                for (before, part) in parts {
                    let packed = &packed[rows * before..][..rows * part.padded()];
                    for column in 0..part.columns() {
                        let expected = (0..rows).map(|row| (row * columns + first + column) as f32);
                        assert!(part.column(packed, rows, column).eq(expected), "{columns}, {count}");
                    }
                    first += part.columns();
                }
                assert_eq!(first, columns);
            }
        }
    }

    #[test]
    fn columns_of_a_packed_matrix_are_the_matrixs() {
        for (parts, rows, columns) in [(1, 1, 1), (1, 70, 16), (3, 3, 17), (2, 5, 200), (2, 130, 63)] {
            let values: Vec<f32> = (0..parts * rows * columns).map(|i| i as f32).collect();
            for (row_stride, column_stride) in [(columns, 1), (1, rows)] {
                let starts = (0..parts).map(|part| part * rows * columns).collect();
                let matrix = Strided { starts, rows, row_stride, column_stride };
                let panels = Panels::new::<f32>(columns);
                let packed = panels.pack(&values, &matrix);
                assert_eq!(packed.len(), parts * rows * panels.padded());
                for column in 0..columns {
                    let expected = (0..parts * rows).map(|row| {
                        values[row / rows * rows * columns + row % rows * row_stride + column * column_stride]
                    });
                    assert!(panels.column(&packed, parts * rows, column).eq(expected));
                }
            }
        }
    }
}
