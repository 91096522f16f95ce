//! Pooling of maps.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::stored::{Content, Stored, token, token_gradient};
use crate::PoolConfig;
use crate::pool::{MAX, Windows, means};
use crate::separable::Separable;
use crate::simd::Float;
use crate::source::Source;

impl<T: Float> Stored<T> {
    pub fn max_pool(&self, config: &PoolConfig) -> crate::Result<Self> {
        let (b, c, h, w) = self.dims();
        let windows = Windows::new(MAX, (h, w), config)?;
        let values = self.content.values()?;
        let (y, winners) = windows.forward(&self.content.source(&values), c);
        let content = Content::new(y, (b, c, windows.outputs().0, windows.outputs().1), None);
        let op = MaxPool { windows, winners, x: self.content.reader(), y: content.clone() };
        Ok(Self { token: self.token.apply_op1(op)?, content })
    }

    pub fn avg_pool(&self, config: &PoolConfig, count_include_pad: bool) -> crate::Result<Self> {
        let (b, c, h, w) = self.dims();
        let means = means((h, w), config, count_include_pad)?;
        let values = self.content.values()?;
        let y = means.run(&self.content.source(&values), c);
        let content = Content::new(y, (b, c, means.outputs().0, means.outputs().1), None);
        let op = AvgPool { means, x: self.content.reader(), y: content.clone() };
        Ok(Self { token: self.token.apply_op1(op)?, content })
    }
}

struct MaxPool<T> {
    windows: Windows,
    winners: Vec<u16>,
    x: Arc<Content<T>>,
    y: Arc<Content<T>>,
}

impl<T: Float> CustomOp1 for MaxPool<T> {
    fn name(&self) -> &'static str {
        MAX
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(token::<T>())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        let (_, gradient) = self.y.take()?;
        let values = self.x.values()?;
        let finish = |first: usize, row: &[T]| self.x.part_sums(&values, first, row);
        let (dx, sums) = self.windows.backward(&self.winners, &gradient, self.x.channels(), finish);
        self.x.add_gradient_and_sums(Arc::new(dx), sums);
        token_gradient(x)
    }
}

struct AvgPool<T> {
    means: Separable,
    x: Arc<Content<T>>,
    y: Arc<Content<T>>,
}

impl<T: Float> CustomOp1 for AvgPool<T> {
    fn name(&self) -> &'static str {
        self.means.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(token::<T>())
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        let (_, gradient) = self.y.take()?;
        let dx = self.means.transposed().run(&Source::Plain(&gradient), self.x.channels());
        self.x.add_gradient(Arc::new(dx));
        token_gradient(x)
    }
}
