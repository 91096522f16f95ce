//! The kernels as candle operations on channels-last tensors.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::geometry::Geometry;
use super::source::Source;
use super::{input_gradient, output, weight_gradient};
use crate::kernel::{dtype, slice, with_float};
use crate::simd::Float;

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
    fn run<T: Float>(&self, a: &[T], b: &[T]) -> Vec<T> {
        let g = &self.geometry;
        match self.result {
            Quantity::Output => output(g, &Source::Plain(a), b, |_, _| ()).0,
            Quantity::Input => input_gradient(g, &Source::Plain(a), b, |_, _| ()).0,
            Quantity::Weight => weight_gradient(g, &Source::Plain(a), &Source::Plain(b)),
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
        with_float!("conv2d", dtype(a), T => {
            let values = self.run::<T>(slice("conv2d", a, la)?, slice("conv2d", b, lb)?);
            Ok(crate::kernel::output(values, self.shape()))
        })
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let gradient = |wanted: &Tensor, a: &Tensor, b: &Tensor, result| {
            wanted.track_op().then(|| a.apply_op2_no_bwd(b, &Self { result, ..*self })).transpose()
        };
        Ok((gradient(x, &dy, weight, Quantity::Input)?, gradient(weight, x, &dy, Quantity::Weight)?))
    }
}
