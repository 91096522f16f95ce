//! Convolution, batch normalisation and activation as one operation on maps.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use super::stored::{Content, Stored, token, token_gradient};
use super::{Maps, with_stored};
use crate::batch_norm::{
    BatchStats, Moments, Sums, check_count, join_moments, join_sums, part_moments, sums, task_rows,
};
use crate::conv::{self, Conv2dConfig, Geometry, KeptWeight};
use crate::epilogue::{Epilogue, EpilogueGradient};
use crate::kernel::{expect_shape, read};
use crate::simd::Float;
use crate::source::Source;
use crate::{Activation, Format, batch_norm_eval, batch_norm_train, conv2d, cost};

/// Batch normalisation: its affine map and its statistics, all of the output's channels.
pub(crate) struct Norm {
    pub gamma: Tensor,
    pub beta: Tensor,
    /// Mean and variance; those of the batch where there are none.
    pub given: Option<(Tensor, Tensor)>,
    pub eps: f64,
}

/// `activation(norm(conv(x)))`, and the statistics of the batch where they were used. `weight` is (O, I / groups, kh, kw); what no gradient
/// is asked of takes its packed form from `kept`, where the weight no longer changes.
pub(crate) fn conv_norm_act(
    x: &Maps,
    weight: &Tensor,
    kept: Option<&KeptWeight>,
    config: &Conv2dConfig,
    norm: &Norm,
    activation: Activation,
) -> crate::Result<(Maps, Option<BatchStats>)> {
    let outputs = weight.dims().first().copied().unwrap_or(0);
    expect_shape("conv_norm_act", "gamma", &norm.gamma, &[outputs])?;
    expect_shape("conv_norm_act", "beta", &norm.beta, &[outputs])?;
    with_stored!(
        x,
        stored => stored.conv_norm_act(weight, kept, config, norm, activation).map(|(y, stats)| (y.into(), stats)),
        x => {
            let format = Format::ChannelsFirst;
            let y = conv2d(x, weight, None, config, format)?;
            #[cfg(feature = "cuda")]
            if crate::cuda::serves(&y) {
                if norm.given.is_none() {
                    check_count(y.dims4()?)?;
                }
                let given = norm.given.as_ref().map(|(mean, var)| (mean, var));
                let limits = activation.limits::<f64>();
                let (y, stats) =
                    crate::batch_norm::batch_norm_on_card(&y, (&norm.gamma, &norm.beta), given, norm.eps, limits)?;
                return Ok((Maps(super::Repr::Composed(y)), stats));
            }
            let (y, stats) = match &norm.given {
                None => {
                    let (y, stats) = batch_norm_train(&y, &norm.gamma, &norm.beta, norm.eps, format)?;
                    (y, Some(stats))
                }
                Some((mean, var)) => {
                    (batch_norm_eval(&y, &norm.gamma, &norm.beta, mean, var, norm.eps, format)?, None)
                }
            };
            Ok((Maps(super::Repr::Composed(activation.of(&y)?)), stats))
        }
    )
}

impl<T: Float> Stored<T> {
    fn conv_norm_act(
        &self,
        weight: &Tensor,
        kept: Option<&KeptWeight>,
        config: &Conv2dConfig,
        norm: &Norm,
        activation: Activation,
    ) -> crate::Result<(Self, Option<BatchStats>)> {
        let geometry = Geometry::new(self.dims(), weight, None, config)?;
        cost::report(geometry.multiply_adds(), geometry.outputs());
        let dims = (geometry.batch, geometry.c_out, geometry.rows.output, geometry.columns.output);
        if norm.given.is_none() {
            check_count(dims)?;
        }
        let affine = Tensor::stack(&[&norm.gamma, &norm.beta], 0)?;
        let given = match &norm.given {
            Some((mean, var)) => Some(Moments { mean: doubles(mean)?, var: doubles(var)? }),
            None => None,
        };
        let epilogue_of = |moments: &Moments| -> crate::Result<Epilogue<T>> {
            Ok(epilogue(moments, &doubles(&norm.gamma)?, &doubles(&norm.beta)?, norm.eps, activation))
        };
        let values = self.content.values()?;
        let x = self.content.source(&values);
        let weight = weight.contiguous()?;
        if let (Some(moments), false) = (&given, self.token.track_op() || weight.track_op() || affine.track_op()) {
            // Nobody will ask for a gradient: each block is finished while it is in the cache.
            let epilogue = epilogue_of(moments)?;
            let finish = |_, block: &mut [T]| epilogue.apply_in_place(block);
            let (y, _) = read("conv2d", [&weight], |[w]| conv::output(&geometry, &x, w, kept, finish))?;
            let content = Content::new(y, dims, None);
            return Ok((Self { token: self.token.clone(), content }, None));
        }
        let channels = geometry.c_out;
        let (y, moments, stats) = if let Some(moments) = given {
            let (y, _) = read("conv2d", [&weight], |[w]| conv::output(&geometry, &x, w, None, |_, _| ()))?;
            (y, moments, None)
        } else {
            let step = task_rows(channels) * channels;
            let finish = |_, block: &mut [T]| -> Vec<_> {
                block.chunks(step).map(|rows| part_moments(rows, channels)).collect()
            };
            let (y, parts) = read("conv2d", [&weight], |[w]| conv::output(&geometry, &x, w, None, finish))?;
            let moments = join_moments(parts.into_iter().flatten(), channels);
            let vector = |values: &[f64]| Tensor::new(values, weight.device())?.to_dtype(T::DTYPE);
            let stats =
                BatchStats { mean: vector(&moments.mean)?, var: vector(&moments.var)?, count: y.len() / channels };
            (y, moments, Some(stats))
        };
        let content = Content::new(y, dims, Some(epilogue_of(&moments)?));
        let op = ConvNormAct {
            geometry,
            x: self.content.reader(),
            y: content.clone(),
            from_batch: stats.is_some(),
            rstd: moments.var.iter().map(|var| 1.0 / (var + norm.eps).sqrt()).collect(),
            moments,
        };
        Ok((Self { token: self.token.apply_op3(&weight, &affine, op)?, content }, stats))
    }
}

/// BatchNorm and activation as what is done to every value of a channel.
fn epilogue<T: Float>(moments: &Moments, gamma: &[f64], beta: &[f64], eps: f64, activation: Activation) -> Epilogue<T> {
    let scale: Vec<f64> = gamma.iter().zip(&moments.var).map(|(gamma, var)| gamma / (var + eps).sqrt()).collect();
    let shift =
        beta.iter().zip(&moments.mean).zip(&scale).map(|((beta, mean), scale)| T::from_f64(beta - mean * scale));
    let (low, high) = activation.limits();
    let typed = |values: &[f64]| values.iter().map(|&value| T::from_f64(value)).collect();
    Epilogue { shift: shift.collect(), scale: typed(&scale), low, high, mean: typed(&moments.mean) }
}

fn doubles(vector: &Tensor) -> Result<Vec<f64>> {
    vector.to_dtype(candle_core::DType::F64)?.to_vec1()
}

struct ConvNormAct<T> {
    geometry: Geometry,
    x: Arc<Content<T>>,
    y: Arc<Content<T>>,
    moments: Moments,
    /// 1 / sqrt(var + eps)
    rstd: Vec<f64>,
    /// Whether the statistics are the batch's, and so depend on the input.
    from_batch: bool,
}

impl<T: Float> ConvNormAct<T> {
    /// How the gradient before BatchNorm comes of the one after the activation.
    fn epilogue_gradient(&self, epilogue: &Epilogue<T>, sums: Option<&Sums>, count: usize) -> EpilogueGradient<T> {
        let channels = self.rstd.len();
        let (mut slope, mut offset) = (vec![T::zero(); channels], vec![T::zero(); channels]);
        if let (Some(sums), true) = (sums, self.from_batch) {
            // scale * (g - mean(g) - normalised * mean(g * normalised)), normalised being (x - mean) * rstd.
            for c in 0..channels {
                let scale = epilogue.scale[c].to_f64();
                let along = -scale * sums.scaled[c] * self.rstd[c] / count as f64;
                slope[c] = T::from_f64(along);
                offset[c] = T::from_f64(-scale * sums.plain[c] / count as f64 - along * self.moments.mean[c]);
            }
        }
        EpilogueGradient { epilogue: epilogue.clone(), slope, offset }
    }
}

impl<T: Float> CustomOp3 for ConvNormAct<T> {
    fn name(&self) -> &'static str {
        "conv_norm_act"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok(token::<T>())
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        affine: &Tensor,
        _: &Tensor,
        _: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (y, gradient) = self.y.take()?;
        let Some(epilogue) = &self.y.epilogue else { candle_core::bail!("conv_norm_act: maps without an epilogue") };
        let sums = match self.y.take_sums() {
            Some(parts) => Some(join_sums(parts, &self.rstd)),
            None if affine.track_op() || self.from_batch => Some(sums(&y, &gradient, epilogue, &self.rstd)),
            None => None,
        };
        let epilogue = self.epilogue_gradient(epilogue, sums.as_ref(), y.len() / self.rstd.len());
        let dy = Source::Gradient(&gradient, &y, &epilogue);
        let d_affine = match &sums {
            Some(sums) if affine.track_op() => {
                let both = [&*sums.scaled, &*sums.plain].concat();
                Some(Tensor::from_vec(both, affine.shape(), affine.device())?.to_dtype(T::DTYPE)?)
            }
            _ => None,
        };
        let g = &self.geometry;
        let values = self.x.values()?;
        let source = self.x.source(&values);
        // Beside the input's gradient, while it is in the cache, what its own BatchNorm will need.
        let finish = |first: usize, block: &mut [T]| self.x.part_sums(&values, first, block);
        let wanted = (x.track_op(), weight.track_op());
        let (dx, dw) =
            read("conv2d", [weight], |[w]: [&[T]; 1]| conv::wanted_gradients(g, &source, &dy, w, wanted, finish))?;
        if let Some((dx, sums)) = dx {
            self.x.add_gradient_and_sums(Arc::new(dx), sums);
        }
        let d_weight = dw.map(|dw| Tensor::from_vec(dw, weight.shape(), weight.device()));
        Ok((token_gradient(x)?, d_weight.transpose()?, d_affine))
    }
}
