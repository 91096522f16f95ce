//! The sum of two maps, as at the end of a residual block.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::stored::{Content, Stored, token, token_gradient};
use crate::Activation;
use crate::kernel::{TASK, for_rows, rows_per_task};
use crate::simd::{Float, clamp, vectorize};

impl<T: Float> Stored<T> {
    /// `activation(self + other)`.
    pub fn add(&self, other: &Self, activation: Activation) -> crate::Result<Self> {
        let (a, b) = (&self.content, &other.content);
        if a.dims != b.dims {
            let (b, c, h, w) = b.dims;
            let got = vec![b, c, h, w];
            return Err(crate::Error::Shape { op: "add", what: "second maps", got, expected: format!("{:?}", a.dims) });
        }
        let (a_values, b_values) = (a.values()?, b.values()?);
        let (a_source, b_source) = (a.source(&a_values), b.source(&b_values));
        let (low, high) = activation.limits::<T>();
        let channels = a.channels();
        let mut y = vec![T::zero(); a_values.len()];
        for_rows(
            &mut y,
            channels,
            rows_per_task(channels),
            #[inline(always)]
            |first, y| {
                let mut second = vec![T::zero(); y.len()];
                a_source.read(first, channels, y);
                b_source.read(first, channels, &mut second);
                for (y, b) in y.iter_mut().zip(second) {
                    *y = clamp(*y + b, low, high);
                }
            },
        );
        let content = Content::new(y, a.dims, None);
        let op = Add { a: a.reader(), b: b.reader(), sum: content.clone(), activation };
        Ok(Self { token: self.token.apply_op2(&other.token, op)?, content })
    }
}

struct Add<T> {
    a: Arc<Content<T>>,
    b: Arc<Content<T>>,
    sum: Arc<Content<T>>,
    activation: Activation,
}

impl<T: Float> CustomOp2 for Add<T> {
    fn name(&self) -> &'static str {
        "add maps"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(token::<T>())
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, _: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (y, mut gradient) = self.sum.take()?;
        let (low, high) = self.activation.limits::<T>();
        if self.activation != Activation::Identity {
            Arc::make_mut(&mut gradient).par_chunks_mut(TASK).zip(y.par_chunks(TASK)).for_each(|(gradient, y)| {
                vectorize(
                    #[inline(always)]
                    || {
                        for (gradient, &y) in gradient.iter_mut().zip(y) {
                            *gradient = if y > low && y < high { *gradient } else { T::zero() };
                        }
                    },
                );
            });
        }
        drop(y);
        match (a.track_op(), b.track_op()) {
            (true, true) => {
                self.a.add_gradient(gradient.clone());
                self.b.add_gradient(gradient);
            }
            (true, false) => self.a.add_gradient(gradient),
            (false, true) => self.b.add_gradient(gradient),
            (false, false) => {}
        }
        Ok((token_gradient(a)?, token_gradient(b)?))
    }
}
