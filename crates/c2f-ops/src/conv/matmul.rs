//! Matrix products on slices: the only place of the convolution with unsafe code.
#![allow(unsafe_code)]

use candle_core::WithDType;
use rayon::prelude::*;

/// The types that the kernels are made for: those that `gemm` multiplies.
pub(super) trait Element: WithDType {}
impl Element for f32 {}
impl Element for f64 {}

/// A strided view of a matrix.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T: Element> Matrix<'a, T> {
    /// Rows of `columns` values, `row_stride` apart; `data` starts at the first.
    pub fn rows(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(data.len() >= extent(rows, columns, row_stride), "matrix of {rows} x {columns} exceeds its slice");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    pub fn transpose(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// The matrix from row `row` and column `column` on.
    fn block(self, row: usize, rows: usize, column: usize, columns: usize) -> Self {
        assert!(row + rows <= self.rows && column + columns <= self.columns);
        let data = &self.data[row * self.row_stride + column * self.column_stride..];
        Self { data, rows, columns, ..self }
    }
}

/// Values from the first to the last of a matrix.
fn extent(rows: usize, columns: usize, row_stride: usize) -> usize {
    if rows == 0 || columns == 0 { 0 } else { (rows - 1) * row_stride + columns }
}

/// `dst = a b`, or `dst += a b` with `add`, on this thread. The rows of `dst` are `row_stride` apart.
pub(super) fn matmul<T: Element>(dst: &mut [T], row_stride: usize, a: Matrix<T>, b: Matrix<T>, add: bool) {
    assert!(dst.len() >= extent(a.rows, b.columns, row_stride), "product exceeds its slice");
    assert!(b.columns <= row_stride || a.rows <= 1, "rows of the product overlap");
    // SAFETY: `dst` holds the product's last element, no two elements share a place (both asserted above), and the
    // exclusive borrow keeps others away.
    unsafe { gemm_into(dst.as_mut_ptr(), row_stride, a, b, add) }
}

/// # Safety
/// `dst` must be valid for writes (with `add` also for reads) of `a.rows` rows of `b.columns` values that are
/// `row_stride` apart and don't overlap, and nothing else may access these meanwhile.
unsafe fn gemm_into<T: Element>(dst: *mut T, row_stride: usize, a: Matrix<T>, b: Matrix<T>, add: bool) {
    assert_eq!(a.columns, b.rows, "inner sizes of a product");
    // SAFETY: `a` and `b` hold their last elements (asserted when they were made), `dst` is the caller's promise, and T
    // is one of the types that gemm knows (only those are `Element`).
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            dst,
            1,
            row_stride as isize,
            add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            // gemm's own threads would split the work by their number, and so might change the last bits.
            gemm::Parallelism::None,
        );
    }
}

/// Multiplications that are worth a task of their own.
const TASK: usize = 1 << 22;

struct Destination<T>(*mut T);
// SAFETY: the tasks of `par_matmul` write to disjoint blocks.
unsafe impl<T: Send> Sync for Destination<T> {}

/// `dst = a b` in parallel; `dst` is dense. The blocks depend on the sizes only.
pub(super) fn par_matmul<T: Element>(dst: &mut [T], a: Matrix<T>, b: Matrix<T>) {
    let (rows, columns) = (a.rows, b.columns);
    assert_eq!(dst.len(), rows * columns, "size of a product");
    if dst.is_empty() {
        return;
    }
    let tasks = (rows * columns * a.columns / TASK).clamp(1, 64);
    // Blocks as square as can be: each reads a strip of `a` and one of `b`.
    let (mut down, mut across) = (1, 1);
    while down * across < tasks {
        if rows / down >= columns / across { down *= 2 } else { across *= 2 }
    }
    let (height, width) = (rows.div_ceil(down), columns.div_ceil(across));
    let (down, across) = (rows.div_ceil(height), columns.div_ceil(width));
    let destination = Destination(dst.as_mut_ptr());
    (0..down * across).into_par_iter().for_each(|task| {
        let (row, column) = (task / across * height, task % across * width);
        let a = a.block(row, height.min(rows - row), 0, a.columns);
        let b = b.block(0, b.rows, column, width.min(columns - column));
        let destination = &destination;
        // SAFETY: the block starts and ends inside of the dense `dst`, whose size was asserted, and the blocks of the
        // tasks are disjoint.
        unsafe { gemm_into(destination.0.add(row * columns + column), columns, a, b, false) }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f64> {
        (0..count).map(|i| ((i * 37 + 11) % 23) as f64 - 11.0).collect()
    }

    fn expected(a: &[f64], b: &[f64], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
        let mut product = vec![0.0; rows * columns];
        for (i, value) in product.iter_mut().enumerate() {
            let (r, c) = (i / columns, i % columns);
            *value = (0..inner).map(|k| a[r * inner + k] * b[k * columns + c]).sum();
        }
        product
    }

    #[test]
    fn parallel_blocks_cover_the_product_to_its_edges() {
        for (rows, inner, columns) in [(1, 1, 1), (1, 5, 7), (301, 130, 257), (3, 4096, 1100), (2100, 64, 33)] {
            let (a, b) = (numbers(rows * inner), numbers(inner * columns));
            let mut product = vec![f64::NAN; rows * columns];
            let left = Matrix::rows(&a, rows, inner, inner);
            par_matmul(&mut product, left, Matrix::rows(&b, inner, columns, columns));
            assert_eq!(product, expected(&a, &b, rows, inner, columns));
        }
    }

    #[test]
    fn strided_product_leaves_the_gaps_alone() {
        let (a, b) = (numbers(6), numbers(8));
        // (3, 2) x (2, 4) from a transposed left side, into rows that are 5 apart.
        let transposed = [a[0], a[2], a[4], a[1], a[3], a[5]];
        let mut product = vec![100.0; 14];
        let left = Matrix::rows(&transposed, 2, 3, 3).transpose();
        matmul(&mut product, 5, left, Matrix::rows(&b, 2, 4, 4), true);
        let dense = expected(&a, &b, 3, 2, 4);
        for (i, value) in product.iter().enumerate() {
            assert_eq!(*value, if i % 5 == 4 { 100.0 } else { 100.0 + dense[i / 5 * 4 + i % 5] });
        }
    }

    #[test]
    #[should_panic(expected = "exceeds its slice")]
    fn a_view_past_the_end_is_refused() {
        let _ = Matrix::rows(&[0f32; 7], 2, 4, 4);
    }

    #[test]
    #[should_panic(expected = "exceeds its slice")]
    fn a_product_past_the_end_is_refused() {
        let a = [0f32; 4];
        let square = Matrix::rows(&a, 2, 2, 2);
        matmul(&mut [0f32; 3], 2, square, square, false);
    }

    #[test]
    #[should_panic(expected = "inner sizes")]
    fn inner_sizes_must_agree() {
        let a = [0f32; 6];
        matmul(&mut [0f32; 4], 2, Matrix::rows(&a, 2, 3, 3), Matrix::rows(&a, 2, 2, 2), false);
    }
}
