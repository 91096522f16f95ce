//! The kernels as candle operations on channels-last tensors.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use super::geometry::Geometry;
use super::matmul::Element;
use super::{dense, depthwise};

/// (B, H, W, I) * (O, I / groups, kh, kw) -> (B, H', W', O) on the CPU.
pub(super) fn conv2d(x: &Tensor, weight: &Tensor, geometry: Geometry) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&weight.contiguous()?, Conv2d { geometry, result: Quantity::Output })
}

/// One of the three kernels of a convolution.
#[derive(Clone, Copy)]
struct Conv2d {
    geometry: Geometry,
    result: Quantity,
}

#[derive(Clone, Copy)]
enum Quantity {
    /// From input and weight.
    Output,
    /// Gradient, from the output's gradient and the weight.
    Input,
    /// Gradient, from the input and the output's gradient.
    Weight,
}

impl Conv2d {
    fn run<T: Element>(&self, a: &[T], b: &[T]) -> Vec<T> {
        let g = &self.geometry;
        match (self.result, g.is_depthwise()) {
            (Quantity::Output, true) => depthwise::forward(g, a, b),
            (Quantity::Input, true) => depthwise::input_gradient(g, a, b),
            (Quantity::Weight, true) => depthwise::weight_gradient(g, a, b),
            (Quantity::Output, false) => dense::forward(g, a, b),
            (Quantity::Input, false) => dense::input_gradient(g, a, b),
            (Quantity::Weight, false) => dense::weight_gradient(g, a, b),
        }
    }

    fn shape(&self) -> Shape {
        let g = &self.geometry;
        match self.result {
            Quantity::Output => (g.batch, g.rows.output, g.columns.output, g.c_out).into(),
            Quantity::Input => (g.batch, g.rows.input, g.columns.input, g.c_in).into(),
            Quantity::Weight => (g.c_out, g.c_in / g.groups, g.kernel.0, g.kernel.1).into(),
        }
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let storage = match (a, b) {
            (CpuStorage::F32(a), CpuStorage::F32(b)) => CpuStorage::F32(self.run(values(a, la)?, values(b, lb)?)),
            (CpuStorage::F64(a), CpuStorage::F64(b)) => CpuStorage::F64(self.run(values(a, la)?, values(b, lb)?)),
            _ => {
                bail!(
                    "conv2d: both tensors must be f32 or both f64 on the CPU, got {:?} and {:?}",
                    a.dtype(),
                    b.dtype()
                )
            }
        };
        Ok((storage, self.shape()))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let gradient = |wanted: &Tensor, a: &Tensor, b: &Tensor, result| {
            wanted.track_op().then(|| a.apply_op2_no_bwd(b, &Self { result, ..*self })).transpose()
        };
        Ok((gradient(x, &dy, weight, Quantity::Input)?, gradient(weight, x, &dy, Quantity::Weight)?))
    }
}

fn values<'a, T>(storage: &'a [T], layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage[start..end]),
        None => bail!("conv2d: the kernels need contiguous tensors"),
    }
}
