//! Feature maps between the layers of a network.
//!
//! candle's tape adds a zeroing and an addition to every gradient, keeps every intermediate tensor until the whole graph
//! goes, and would see convolution, BatchNorm and activation as three operations. So maps on the CPU are not tensors: the
//! tape sees a token of one value in their place, whose only use is the order of the backward pass. The values, stored
//! before normalisation and activation (which their readers apply on the way), and their gradient lie beside it, and go
//! as soon as they were used.

mod add;
mod concat;
mod conv_norm_act;
mod pool;
mod stored;
mod tensor;

use candle_core::{DType, Tensor};

use crate::kernel::expect_values;
use crate::{Activation, Error, Format, PoolConfig, Result, avg_pool2d, max_pool2d};
pub(crate) use conv_norm_act::{Norm, conv_norm_act};
use stored::Stored;

/// Feature maps (B, C, H, W) between the layers of a network, in the device's own way of keeping them.
///
/// A clone shares the values. `backward` frees them, so it can run once through a graph that has maps in it.
#[derive(Clone, Debug)]
pub struct Maps(Repr);

#[derive(Clone, Debug)]
enum Repr {
    F32(Stored<f32>),
    F64(Stored<f64>),
    /// (B, C, H, W), where candle's own operations compute.
    Composed(Tensor),
}

/// Evaluates an expression on the stored maps of either type, or another one on a composed tensor.
macro_rules! with_stored {
    ($maps:expr, $stored:ident => $body:expr, $tensor:ident => $composed:expr) => {
        match &$maps.0 {
            $crate::maps::Repr::F32($stored) => $body,
            $crate::maps::Repr::F64($stored) => $body,
            $crate::maps::Repr::Composed($tensor) => $composed,
        }
    };
}
use with_stored;

impl Maps {
    /// The maps that a tensor of `format` holds.
    ///
    /// # Errors
    /// If it doesn't have four dimensions, is empty, or is neither f32 nor f64.
    pub fn new(x: &Tensor, format: Format) -> Result<Self> {
        let nchw = format.dims(x)?;
        expect_values("maps", "input", x)?;
        if !x.device().is_cpu() {
            return Ok(Self(Repr::Composed(format.to_nchw(x)?)));
        }
        let x = match format {
            Format::ChannelsLast => x.contiguous()?,
            Format::ChannelsFirst => Format::ChannelsLast.from_nchw(x)?,
        };
        match x.dtype() {
            DType::F64 => Ok(Stored::<f64>::from_tensor(&x, nchw)?.into()),
            _ => Ok(Stored::<f32>::from_tensor(&x, nchw)?.into()),
        }
    }

    /// The maps as a tensor of `format`.
    ///
    /// # Errors
    /// If `backward` has freed them.
    pub fn to_tensor(&self, format: Format) -> Result<Tensor> {
        let last = with_stored!(self, stored => stored.to_tensor()?, nchw => return format.from_nchw(nchw));
        match format {
            Format::ChannelsLast => Ok(last),
            Format::ChannelsFirst => Format::ChannelsLast.to_nchw(&last),
        }
    }

    /// (batch, channels, height, width).
    ///
    /// # Errors
    /// None on the CPU.
    pub fn dims(&self) -> Result<(usize, usize, usize, usize)> {
        with_stored!(self, stored => Ok(stored.dims()), nchw => Ok(nchw.dims4()?))
    }

    /// `activation(self + other)`.
    ///
    /// # Errors
    /// If the maps don't have the same shape and type.
    pub fn add(&self, other: &Self, activation: Activation) -> Result<Self> {
        match (&self.0, &other.0) {
            (Repr::F32(a), Repr::F32(b)) => Ok(a.add(b, activation)?.into()),
            (Repr::F64(a), Repr::F64(b)) => Ok(a.add(b, activation)?.into()),
            _ => {
                let (a, b) = (self.to_tensor(Format::ChannelsFirst)?, other.to_tensor(Format::ChannelsFirst)?);
                #[cfg(feature = "cuda")]
                if crate::cuda::serves(&a) && a.dims() == b.dims() && a.dtype() == b.dtype() {
                    return Ok(Self(Repr::Composed(crate::activation::add_on_card(
                        &a,
                        &b,
                        activation.limits::<f64>(),
                    )?)));
                }
                Ok(Self(Repr::Composed(activation.of(&(a + b)?)?)))
            }
        }
    }

    /// The maps one after another along the channels.
    ///
    /// # Errors
    /// If there are none, or their types or sizes differ in more than the channels.
    pub fn concat(maps: &[Self]) -> Result<Self> {
        fn all<T>(maps: &[Maps], stored: impl Fn(&Maps) -> Option<&Stored<T>>) -> Option<Vec<&Stored<T>>> {
            maps.iter().map(stored).collect()
        }
        if maps.is_empty() {
            return Err(Error::Config { op: "concat", message: "no maps were given".to_owned() });
        }
        let singles = all(maps, |x| if let Repr::F32(stored) = &x.0 { Some(stored) } else { None });
        let doubles = all(maps, |x| if let Repr::F64(stored) = &x.0 { Some(stored) } else { None });
        match (singles, doubles) {
            (Some(maps), _) => Ok(Stored::concat(&maps)?.into()),
            (_, Some(maps)) => Ok(Stored::concat(&maps)?.into()),
            _ => {
                let tensors =
                    maps.iter().map(|maps| maps.to_tensor(Format::ChannelsFirst)).collect::<Result<Vec<_>>>()?;
                Ok(Self(Repr::Composed(Tensor::cat(&tensors, 1)?)))
            }
        }
    }

    /// [`avg_pool2d`] of the maps.
    ///
    /// # Errors
    /// As there.
    pub fn avg_pool(&self, config: &PoolConfig, count_include_pad: bool) -> Result<Self> {
        with_stored!(
            self,
            stored => Ok(stored.avg_pool(config, count_include_pad)?.into()),
            nchw => Ok(Self(Repr::Composed(avg_pool2d(nchw, config, count_include_pad, Format::ChannelsFirst)?)))
        )
    }

    /// [`max_pool2d`] of the maps.
    ///
    /// # Errors
    /// As there.
    pub fn max_pool(&self, config: &PoolConfig) -> Result<Self> {
        with_stored!(
            self,
            stored => Ok(stored.max_pool(config)?.into()),
            nchw => Ok(Self(Repr::Composed(max_pool2d(nchw, config, Format::ChannelsFirst)?)))
        )
    }
}

impl From<Stored<f32>> for Maps {
    fn from(stored: Stored<f32>) -> Self {
        Self(Repr::F32(stored))
    }
}

impl From<Stored<f64>> for Maps {
    fn from(stored: Stored<f64>) -> Self {
        Self(Repr::F64(stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};
    use crate::{Conv2dConfig, Padding};

    /// What other devices do, here on the CPU.
    fn composed(x: &Tensor) -> Maps {
        Maps(Repr::Composed(x.clone()))
    }

    #[test]
    fn candles_operations_give_the_same_values_and_gradients() {
        let (x, weight, gamma, beta) = (var((2, 3, 6, 5)), var((3, 3, 3, 3)), var(3), var((2, 3)));
        let config = Conv2dConfig { padding: Padding::uniform(1), ..Conv2dConfig::default() };
        let pool = PoolConfig { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
        let moments = (var(3).as_detached_tensor(), var(3).as_detached_tensor().sqr().unwrap());
        for given in [None, Some(moments)] {
            let beta_row = beta.get(1).unwrap();
            let norm = Norm { gamma: gamma.as_tensor().clone(), beta: beta_row, given, eps: 1e-3 };
            let network = |x: &Maps| {
                let (y, stats) = conv_norm_act(x, &weight, None, &config, &norm, Activation::Relu).unwrap();
                let sum = y.add(x, Activation::Relu6).unwrap();
                let branches =
                    [sum.max_pool(&pool), y.avg_pool(&pool, true), sum.avg_pool(&pool, false)].map(Result::unwrap);
                let pooled = Maps::concat(&branches).unwrap();
                assert_eq!(pooled.dims().unwrap(), (2, 9, 3, 3));
                (pooled.to_tensor(Format::ChannelsLast).unwrap(), stats)
            };
            let (kernels, stats) = network(&Maps::new(&x, Format::ChannelsFirst).unwrap());
            let (others, other_stats) = network(&composed(&x));
            assert_same(&[&x, &weight, &gamma, &beta], &kernels, &others);
            if let (Some(stats), Some(other)) = (stats, other_stats) {
                assert_same(&[], &stats.mean, &other.mean);
                assert_same(&[], &stats.var, &other.var);
            }
        }
    }
}
