//! The mutual-channel loss: feature channels that belong to a class each.

use c2f_ops::softmax;
use candle_core::{D, Tensor};
use rand::Rng;
use rand::seq::SliceRandom;

use crate::error::expect_values;
use crate::{Error, Result};

/// The feature channels C of a network shared among K classes, neighbours to each (MC-Loss, Chang et al. 2020, arXiv 2002.04264): C / K
/// to the first classes and one more to each of the last C % K.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelGroups {
    channels: usize,
    classes: usize,
}

impl ChannelGroups {
    /// # Errors
    /// If there are no classes, or fewer channels than classes.
    pub fn new(channels: usize, classes: usize) -> Result<Self> {
        if classes == 0 || channels < classes {
            let (setting, expected) = ("channels", "at least as many as there are classes, and of these one or more");
            return Err(Error::Setting { loss: "mutual_channel", setting, value: channels as f64, expected });
        }
        Ok(Self { channels, classes })
    }

    /// Channels of each class, in the order of the classes.
    pub fn sizes(&self) -> Vec<usize> {
        self.blocks().into_iter().flat_map(|(classes, size)| vec![size; classes]).collect()
    }

    /// Which channels take part in [`responses`](Self::responses), as factors 1 and 0 (C): of each class half of its channels, drawn
    /// evenly, are left out, rounded down (the channel-wise attention of section III-A; one draw for a whole batch, as in the authors' code).
    pub fn draw(&self, rng: &mut impl Rng) -> Vec<f32> {
        let of_class = |size: usize| {
            let mut factors: Vec<f32> = (0..size).map(|channel| if channel < size / 2 { 0.0 } else { 1.0 }).collect();
            factors.shuffle(rng);
            factors
        };
        self.sizes().into_iter().flat_map(of_class).collect()
    }

    /// The classes' responses (B, K), whose cross entropy is the discriminality component: of `features` (B, C, h, w) times `factors` (C), the
    /// largest value of a class's channels at each place, and of that the mean over the places.
    ///
    /// # Errors
    /// If the shapes don't fit or have a 0.
    pub fn responses(&self, features: &Tensor, factors: &Tensor) -> Result<Tensor> {
        let rows = self.rows(features)?;
        if factors.dims() != [self.channels] {
            return Err(Error::shape("mutual_channel", "factors", factors, format!("({})", self.channels)));
        }
        let kept = rows.broadcast_mul(&factors.reshape((1, self.channels, 1))?)?;
        let means = self.largest(&kept)?.into_iter().map(|(largest, _)| largest.mean(D::Minus1));
        Ok(Tensor::cat(&means.collect::<candle_core::Result<Vec<_>>>()?, 1)?)
    }

    /// The diversity component, to be made small: 1 less the share of its channels' own that a class sees at once. Each channel's soft-max over
    /// the places adds up to 1; their largest value at each place adds up to 1 where all channels of a class are alike, and to as many as it has
    /// where none overlap. From 0, reached by channels apart, to 1 - 1 / channels of a class. A scalar, of `features` (B, C, h, w).
    ///
    /// # Errors
    /// If the shape doesn't fit or has a 0.
    pub fn diversity(&self, features: &Tensor) -> Result<Tensor> {
        let shares = self
            .largest(&softmax(&self.rows(features)?)?)?
            .into_iter()
            .map(|(largest, size)| largest.sum(D::Minus1)?.affine(1.0 / size as f64, 0.0));
        let shares = Tensor::cat(&shares.collect::<candle_core::Result<Vec<_>>>()?, 1)?;
        Ok(shares.mean_all()?.affine(-1.0, 1.0)?)
    }

    /// How many classes have how many channels: one or two lots, in their order.
    fn blocks(&self) -> Vec<(usize, usize)> {
        let (size, more) = (self.channels / self.classes, self.channels % self.classes);
        [(self.classes - more, size), (more, size + 1)].into_iter().filter(|(classes, _)| *classes > 0).collect()
    }

    /// (B, C, h * w).
    fn rows(&self, features: &Tensor) -> Result<Tensor> {
        match *features.dims() {
            [_, channels, _, _] if channels == self.channels => {
                expect_values("mutual_channel", "features", features)?;
                Ok(features.flatten_from(2)?.contiguous()?)
            }
            _ => Err(Error::shape("mutual_channel", "features", features, format!("(B, {}, h, w)", self.channels))),
        }
    }

    /// The largest value of each class's channels at each place, (B, classes, h * w) for each lot, and its channels. Among equals the first has it,
    /// and the gradient.
    fn largest(&self, rows: &Tensor) -> candle_core::Result<Vec<(Tensor, usize)>> {
        let (batch, _, places) = rows.dims3()?;
        let mut start = 0;
        let lots = self.blocks().into_iter().map(|(classes, size)| {
            let lot = rows.narrow(1, start, classes * size)?.reshape((batch, classes, size, places))?;
            start += classes * size;
            let first = lot.detach().argmax_keepdim(2)?;
            Ok((lot.gather(&first, 2)?.squeeze(2)?, size))
        });
        lots.collect()
    }
}
