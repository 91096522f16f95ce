//! Attentive pairwise interaction: pictures that are compared with each other in training.

use c2f_ops::nn::{Init, Linear, Params, Pass};
use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// API-Net's interaction (Zhuang et al. 2020, arXiv 2002.10191): of two pictures a mutual vector, and from that a gate for each
/// picture, which says what of it tells it from the other. Prediction needs none of it.
#[derive(Clone, Debug)]
pub struct PairInteraction {
    first: Linear,
    second: Linear,
}

/// The features of P pairs, (P, C) each, with each gate.
#[derive(Clone, Debug)]
pub struct Gated {
    /// The first pictures' by their own gates and by the others'.
    pub one: [Tensor; 2],
    /// The second pictures' by their own gates and by the others'.
    pub two: [Tensor; 2],
}

impl PairInteraction {
    /// Makes `map1.*` (2 C to `hidden`) and `map2.*` (`hidden` to C) for pictures of C features.
    ///
    /// # Errors
    /// If a size is zero, or a parameter of that name exists with another shape.
    pub fn new(params: &Params, channels: usize, hidden: usize) -> Result<Self> {
        Ok(Self {
            first: Linear::new(&params.at("map1"), 2 * channels, hidden, true, Init::TORCH)?,
            second: Linear::new(&params.at("map2"), hidden, channels, true, Init::TORCH)?,
        })
    }

    /// The pairs of `one` and `two` (P, C): x_m = map2(drop(map1([x1, x2]))), g = sigmoid(x_m . x), and x + g . x for both pictures
    /// and gates. `drop` is the dropout between the layers.
    ///
    /// # Errors
    /// If the shapes don't fit, or `drop` fails.
    pub fn run(
        &self,
        one: &Tensor,
        two: &Tensor,
        drop: &mut impl FnMut(&Tensor) -> candle_core::Result<Tensor>,
        pass: &Pass,
    ) -> Result<Gated> {
        let hidden = self.first.run(&Tensor::cat(&[one, two], 1)?, pass)?;
        let mutual = self.second.run(&drop(&hidden)?, pass)?;
        let gate = |x: &Tensor| sigmoid(&(&mutual * x)?);
        let (of_one, of_two) = (gate(one)?, gate(two)?);
        let gated = |x: &Tensor, gate: &Tensor| (gate * x)? + x;
        Ok(Gated {
            one: [gated(one, &of_one)?, gated(one, &of_two)?],
            two: [gated(two, &of_two)?, gated(two, &of_one)?],
        })
    }
}

fn sigmoid(x: &Tensor) -> candle_core::Result<Tensor> {
    // By tanh, which overflows nowhere.
    x.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)
}

/// For each of B pictures of `features` (B, C) its nearest of the same class and its nearest of another, by the Euclidean distance: the places of
/// both in the batch, first all pairs within a class, then those between classes. A picture that has none has no such pair.
///
/// # Errors
/// If there aren't B labels.
pub fn nearest_pairs(features: &Tensor, labels: &[u32]) -> Result<Vec<(u32, u32)>> {
    if features.rank() != 2 || features.dims()[0] != labels.len() {
        return Err(Error::shape("nearest_pairs", "features", features, format!("({}, C)", labels.len())));
    }
    let rows = features.detach().to_dtype(DType::F64)?.to_vec2::<f64>()?;
    let distance = |a: usize, b: usize| rows[a].iter().zip(&rows[b]).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let nearest = |picture: usize, is_same: bool| {
        let others = (0..rows.len()).filter(|&other| other != picture);
        let others = others.filter(|&other| (labels[other] == labels[picture]) == is_same);
        let other = others.min_by(|&a, &b| distance(picture, a).total_cmp(&distance(picture, b)))?;
        Some((picture as u32, other as u32))
    };
    let pairs = [true, false].into_iter();
    Ok(pairs.flat_map(|is_same| (0..rows.len()).filter_map(move |picture| nearest(picture, is_same))).collect())
}
