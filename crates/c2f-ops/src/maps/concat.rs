//! Maps one after another along the channels, as at the end of an Inception module.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::stored::{Content, Stored, token};
use crate::kernel::{for_rows, rows_per_task};
use crate::simd::Float;

impl<T: Float> Stored<T> {
    /// The branches' channels in their order; there must be one branch or more.
    pub fn concat(branches: &[&Self]) -> crate::Result<Self> {
        let (b, _, h, w) = branches[0].dims();
        for branch in branches {
            let (other_b, c, other_h, other_w) = branch.dims();
            if (other_b, other_h, other_w) != (b, h, w) {
                let (got, expected) = (vec![other_b, c, other_h, other_w], format!("({b}, C, {h}, {w})"));
                return Err(crate::Error::Shape { op: "concat", what: "maps", got, expected });
            }
        }
        let values = branches.iter().map(|branch| branch.content.values()).collect::<Result<Vec<_>>>()?;
        let sources: Vec<_> =
            branches.iter().zip(&values).map(|(x, values)| (x.content.source(values), x.content.channels())).collect();
        let channels = sources.iter().map(|(_, channels)| channels).sum();
        let mut y = vec![T::zero(); b * h * w * channels];
        for_rows(
            &mut y,
            channels,
            rows_per_task(channels),
            #[inline(always)]
            |first, y| {
                let (pixels, mut scratch, mut at) = (y.len() / channels, Vec::new(), 0);
                for (source, width) in &sources {
                    let x = source.pixels(first, pixels, *width, &mut scratch);
                    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(*width)) {
                        y[at..at + width].copy_from_slice(x);
                    }
                    at += width;
                }
            },
        );
        let content = Content::new(y, (b, channels, h, w), None);
        let tokens = Tensor::cat(&branches.iter().map(|branch| &branch.token).collect::<Vec<_>>(), 0)?;
        let branches = branches.iter().map(|x| (x.content.reader(), x.token.track_op())).collect();
        let token = tokens.apply_op1(Concat { branches, y: content.clone() })?;
        Ok(Self { token, content })
    }
}

struct Concat<T> {
    /// The maps, and whether they have a gradient.
    branches: Vec<(Arc<Content<T>>, bool)>,
    y: Arc<Content<T>>,
}

impl<T: Float> CustomOp1 for Concat<T> {
    fn name(&self) -> &'static str {
        "concat maps"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(token::<T>())
    }

    fn bwd(&self, tokens: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        let (_, gradient) = self.y.take()?;
        let channels = self.y.channels();
        let pixels = gradient.len() / channels;
        let mut at = 0;
        for (x, tracked) in &self.branches {
            let width = x.channels();
            if *tracked {
                let values = x.values()?;
                let mut dx = vec![T::zero(); pixels * width];
                let sums = for_rows(
                    &mut dx,
                    width,
                    rows_per_task(width),
                    #[inline(always)]
                    |first, dx| {
                        let gradient = gradient[first * channels..].chunks_exact(channels);
                        for (dx, gradient) in dx.chunks_exact_mut(width).zip(gradient) {
                            dx.copy_from_slice(&gradient[at..at + width]);
                        }
                        x.part_sums(&values, first * width, dx)
                    },
                );
                x.add_gradient_and_sums(Arc::new(dx), sums);
            }
            at += width;
        }
        Ok(Some(tokens.zeros_like()?))
    }
}
