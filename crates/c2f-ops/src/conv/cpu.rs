//! The kernels of convolution as operations of candle.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::NAME;
use super::geometry::Geometry;
use super::kernels::{output, wanted_gradients};
use crate::Format;
use crate::kernel::{channels_last, column_sums, dtype, read, slice, with_float};
use crate::simd::{Float, vectorize};
use crate::source::Source;

pub(super) fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    geometry: Geometry,
    format: Format,
) -> crate::Result<Tensor> {
    let weight = weight.contiguous()?;
    channels_last(x, format, |x| match bias {
        None => Ok(x.apply_op2(&weight, Conv2d(geometry))?),
        Some(bias) => Ok(x.apply_op3(&weight, &bias.contiguous()?, Conv2d(geometry))?),
    })
}

struct Conv2d(Geometry);

impl Conv2d {
    fn forward<T: Float>(&self, x: &[T], weight: &[T], bias: Option<&[T]>) -> (CpuStorage, Shape) {
        let g = &self.0;
        let (y, _) = output(g, &Source::Plain(x), weight, None, |_, block: &mut [T]| {
            let Some(bias) = bias else { return };
            vectorize(
                #[inline(always)]
                || {
                    for pixel in block.chunks_exact_mut(bias.len()) {
                        pixel.iter_mut().zip(bias).for_each(|(y, &bias)| *y += bias);
                    }
                },
            );
        });
        crate::kernel::output(y, (g.batch, g.rows.output, g.columns.output, g.c_out))
    }

    /// The gradients of the input and of the weight.
    fn backward(&self, x: &Tensor, weight: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let wanted = (x.track_op(), weight.track_op());
        with_float!(NAME, x.dtype(), T => {
            let (dx, dw) = read(NAME, [x, weight, dy], |[x, weight, dy]: [&[T]; 3]| {
                wanted_gradients(&self.0, &Source::Plain(x), &Source::Plain(dy), weight, wanted, |_, _| ())
            })?;
            let tensor = |values: Vec<T>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
            let dx = dx.map(|(dx, _)| tensor(dx, x)).transpose()?;
            Ok((dx, dw.map(|dw| tensor(dw, weight)).transpose()?))
        })
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, weight: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        with_float!(NAME, dtype(x), T => Ok(self.forward::<T>(slice(NAME, x, lx)?, slice(NAME, weight, lw)?, None)))
    }

    fn bwd(&self, x: &Tensor, weight: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.backward(x, weight, dy)
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        NAME
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        with_float!(NAME, dtype(x), T => {
            let (weight, bias) = (slice(NAME, weight, lw)?, slice(NAME, bias, lb)?);
            Ok(self.forward::<T>(slice(NAME, x, lx)?, weight, Some(bias)))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = self.backward(x, weight, dy)?;
        let db = bias.track_op().then(|| {
            with_float!(NAME, dy.dtype(), T => {
                let sums = read(NAME, [dy], |[dy]: [&[T]; 1]| column_sums(dy, self.0.c_out))?;
                Tensor::from_vec(sums, bias.shape(), bias.device())
            })
        });
        Ok((dx, dw, db.transpose()?))
    }
}
