//! What the CPU kernels share: slices of tensors, the two element types, parallel loops, both formats.

use std::ops::Range;

use candle_core::{CpuStorage, DType, Layout, Shape, Storage, Tensor};
use rayon::prelude::*;

use crate::simd::{Float, vectorize};
use crate::{Error, Format, Result};

/// Values that one task of a parallel loop handles: 64 KiB of f32, which stays in a core's own cache between two passes.
/// Tasks are cut by size only, so that no result depends on the number of threads.
pub(crate) const TASK: usize = 1 << 14;

/// Evaluates an expression with `$t` being the type of a `DType`, f32 or f64; other types are an error of `$op`.
macro_rules! with_float {
    ($op:expr, $dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            other => Err(candle_core::Error::UnsupportedDTypeForOp(other, $op).bt()),
        }
    };
}
pub(crate) use with_float;

/// The element type of a storage.
pub(crate) fn dtype(storage: &CpuStorage) -> DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// The values of a contiguous argument of an operation.
pub(crate) fn slice<'a, T: Float>(
    op: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> candle_core::Result<&'a [T]> {
    if dtype(storage) != T::DTYPE {
        candle_core::bail!("{op}: all tensors must have one type, got {:?} and {:?}", T::DTYPE, dtype(storage));
    }
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&T::cpu_storage_as_slice(storage)?[start..end]),
        None => Err(candle_core::Error::RequiresContiguous { op }.bt()),
    }
}

/// What a forward pass on the CPU gives back to candle.
pub(crate) fn output<T: Float>(values: Vec<T>, shape: impl Into<Shape>) -> (CpuStorage, Shape) {
    (T::to_cpu_storage_owned(values), shape.into())
}

/// Runs `f` on the values of CPU tensors.
pub(crate) fn read<T: Float, R, const N: usize>(
    op: &'static str,
    tensors: [&Tensor; N],
    f: impl FnOnce([&[T]; N]) -> R,
) -> candle_core::Result<R> {
    let tensors: Vec<Tensor> = tensors.iter().map(|tensor| tensor.contiguous()).collect::<candle_core::Result<_>>()?;
    let held: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let mut slices = [&[] as &[T]; N];
    for (values, (storage, layout)) in slices.iter_mut().zip(&held) {
        match &**storage {
            Storage::Cpu(storage) => *values = slice(op, storage, layout)?,
            _ => candle_core::bail!("{op}: expected a tensor on the CPU"),
        }
    }
    Ok(f(slices))
}

/// Fills `out`, `rows` of which (each `width` long) are one task: `f(index of the first row, rows)`, run with the
/// processor's vector instructions. Its answers come in order.
pub(crate) fn for_rows<T: Send, R: Send>(
    out: &mut [T],
    width: usize,
    rows: usize,
    f: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Vec<R> {
    if out.is_empty() {
        return Vec::new();
    }
    let answers = out.par_chunks_mut(width * rows).enumerate().map(|(task, chunk)| {
        vectorize(
            #[inline(always)]
            || f(task * rows, chunk),
        )
    });
    answers.collect()
}

/// The slice in consecutive parts of the given lengths, which must add up to its own.
pub(crate) fn split_mut<T>(mut slice: &mut [T], lengths: impl Iterator<Item = usize>) -> Vec<&mut [T]> {
    let mut parts = Vec::new();
    for length in lengths {
        let (part, rest) = slice.split_at_mut(length);
        parts.push(part);
        slice = rest;
    }
    assert!(slice.is_empty(), "parts leave {} values over", slice.len());
    parts
}

/// Sums of `length` values over rows of `width` values each: `add(rows, sums)` adds what some of them give, run with the
/// processor's vector instructions. The partial sums are over rows that are cut by size alone, and added up in order.
pub(crate) fn task_sums<T: Float>(
    rows: usize,
    width: usize,
    length: usize,
    add: impl Fn(Range<usize>, &mut [T]) + Sync,
) -> Vec<T> {
    let step = rows_per_task(width);
    let task = |task: usize| {
        let mut sums = vec![T::zero(); length];
        vectorize(
            #[inline(always)]
            || add(task * step..rows.min((task + 1) * step), &mut sums),
        );
        sums
    };
    let parts: Vec<Vec<T>> = (0..rows.div_ceil(step)).into_par_iter().map(task).collect();
    let mut total = vec![T::zero(); length];
    for sums in &parts {
        total.iter_mut().zip(sums).for_each(|(total, &sum)| *total += sum);
    }
    total
}

/// The sum of each column of rows of `width` values.
pub(crate) fn column_sums<T: Float>(values: &[T], width: usize) -> Vec<T> {
    task_sums(
        values.len() / width,
        width,
        width,
        #[inline(always)]
        |rows, sums| {
            for row in values[rows.start * width..rows.end * width].chunks_exact(width) {
                sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += value);
            }
        },
    )
}

/// Rows of `width` values that make a task.
pub(crate) fn rows_per_task(width: usize) -> usize {
    (TASK / width.max(1)).max(1)
}

/// Runs `f`, which takes and gives channels-last maps, on contiguous maps of either format.
pub(crate) fn channels_last(x: &Tensor, format: Format, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match format {
        Format::ChannelsLast => f(&x.contiguous()?),
        Format::ChannelsFirst => Ok(f(&Format::ChannelsLast.from_nchw(x)?)?.permute((0, 3, 1, 2))?.contiguous()?),
    }
}

/// Runs `f`, which takes and gives channels-first maps, on contiguous maps of either format.
pub(crate) fn channels_first(x: &Tensor, format: Format, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match format {
        Format::ChannelsFirst => f(&x.contiguous()?),
        Format::ChannelsLast => format.from_nchw(&f(&format.to_nchw(x)?)?),
    }
}

/// Refuses a tensor whose shape isn't `expected`.
pub(crate) fn expect_shape(op: &'static str, what: &'static str, tensor: &Tensor, expected: &[usize]) -> Result<()> {
    if tensor.dims() == expected {
        return Ok(());
    }
    Err(Error::Shape { op, what, got: tensor.dims().to_vec(), expected: format!("{expected:?}") })
}

/// Refuses a tensor without values, such as a batch without pictures: every operation does.
pub(crate) fn expect_values(op: &'static str, what: &'static str, tensor: &Tensor) -> Result<()> {
    if tensor.elem_count() > 0 {
        return Ok(());
    }
    Err(Error::Shape { op, what, got: tensor.dims().to_vec(), expected: "no dimension of 0".to_owned() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::test_device::device;
    use candle_core::Var;

    /// A variable of values in -1..1 that all differ.
    pub(crate) fn var(shape: impl Into<Shape>) -> Var {
        let shape = shape.into();
        let values: Vec<f64> = (1..=shape.elem_count()).map(|i| (i as f64 * 1.7).sin()).collect();
        Var::from_tensor(&Tensor::from_vec(values, shape, &device()).unwrap()).unwrap()
    }

    /// Two ways to compute a function of `vars` agree in values and in gradients.
    #[track_caller]
    pub(crate) fn assert_same(vars: &[&Var], one: &Tensor, other: &Tensor) {
        assert_close(one, other);
        if vars.is_empty() {
            return;
        }
        let direction = Tensor::arange(0, one.elem_count() as u32, one.device()).unwrap();
        let direction = direction.to_dtype(one.dtype()).unwrap().sin().unwrap().reshape(one.shape()).unwrap();
        let gradients = |y: &Tensor| (y * &direction).unwrap().sum_all().unwrap().backward().unwrap();
        let (one, other) = (gradients(one), gradients(other));
        for var in vars {
            assert_close(one.get(var).unwrap(), other.get(var).unwrap());
        }
    }

    #[track_caller]
    fn assert_close(one: &Tensor, other: &Tensor) {
        assert_eq!(one.dims(), other.dims());
        let distance = (one - other).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        assert!(distance.to_scalar::<f64>().unwrap() < 1e-12, "{one} {other}");
    }
}
