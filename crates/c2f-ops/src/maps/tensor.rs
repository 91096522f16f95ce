//! From tensors to maps and back.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::stored::{Content, Stored, token, token_gradient};
use crate::kernel::{for_rows, output, read, rows_per_task};
use crate::simd::Float;

impl<T: Float> Stored<T> {
    /// The maps of a contiguous tensor (B, H, W, C) whose sizes as (B, C, H, W) are `dims`.
    pub fn from_tensor(x: &Tensor, dims: (usize, usize, usize, usize)) -> Result<Self> {
        let values = read("maps", [x], |[x]| x.to_vec())?;
        let content = Content::new(values, dims, None);
        let token = x.apply_op1(FromTensor { content: content.clone() })?;
        Ok(Self { token, content })
    }

    /// The maps as a tensor (B, H, W, C).
    pub fn to_tensor(&self) -> Result<Tensor> {
        self.token.apply_op1(ToTensor { content: self.content.reader() })
    }
}

struct FromTensor<T> {
    content: Arc<Content<T>>,
}

impl<T: Float> CustomOp1 for FromTensor<T> {
    fn name(&self) -> &'static str {
        "maps from a tensor"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(token::<T>())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        let (_, gradient) = self.content.take()?;
        Tensor::from_vec(Arc::unwrap_or_clone(gradient), x.shape(), x.device()).map(Some)
    }
}

struct ToTensor<T> {
    content: Arc<Content<T>>,
}

impl<T: Float> CustomOp1 for ToTensor<T> {
    fn name(&self) -> &'static str {
        "tensor from maps"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (content, values) = (&self.content, self.content.values()?);
        let (source, channels) = (content.source(&values), content.channels());
        let mut y = vec![T::zero(); values.len()];
        for_rows(
            &mut y,
            channels,
            rows_per_task(channels),
            #[inline(always)]
            |first, y| source.read(first, channels, y),
        );
        let (b, c, h, w) = content.dims;
        Ok(output(y, (b, h, w, c)))
    }

    fn bwd(&self, token: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.content.add_gradient(Arc::new(read("maps", [grad], |[grad]| grad.to_vec())?));
        token_gradient(token)
    }
}
