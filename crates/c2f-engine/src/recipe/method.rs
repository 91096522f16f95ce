//! The rows of the table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What the model is made of and how it is trained. All are one model with parts switched off or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Global average pooling and a linear classifier.
    Baseline,
    /// Bilinear attention pooling, attention weights by Kaiming's rule.
    Attention,
    /// Bilinear attention pooling, orthogonal attention weights.
    AttentionOrthogonal,
    /// Attention with attention crop, attention drop and centre loss (WS-DAN, Hu et al. 2019).
    WsDan,
    /// Attention with the inverse mapping and a fine stage.
    Coarse2fine,
    /// The full method: `Coarse2fine` with orthogonal attention weights.
    Coarse2fineOrthogonal,
    /// Covariance pooling with its square root (iSQRT-COV, Li et al. 2018).
    IsqrtCov,
    /// `WsDan` with a loss on what its attention changes (Counterfactual Attention Learning, Rao et al. 2021).
    Cal,
    /// `Baseline` whose feature channels belong to classes (Mutual-Channel Loss, Chang et al. 2020).
    McLoss,
    /// `Baseline` trained on pairs of pictures (Attentive Pairwise Interaction, Zhuang et al. 2020).
    ApiNet,
    /// Classifiers at three endpoints, trained from the finest parts to the whole (Progressive Multi-Granularity, Du et al. 2020).
    Pmg,
}

/// What a method looks at in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// The whole of it.
    One,
    /// Also a crop around its attention, which no gradient reaches.
    Crop,
    /// Also the region that an inverse mapping finds: a fine stage.
    Region,
}

impl Method {
    /// All methods, in the order of the table.
    pub const ALL: [Self; 11] = [
        Self::Baseline,
        Self::Attention,
        Self::AttentionOrthogonal,
        Self::WsDan,
        Self::Coarse2fine,
        Self::Coarse2fineOrthogonal,
        Self::IsqrtCov,
        Self::Cal,
        Self::McLoss,
        Self::ApiNet,
        Self::Pmg,
    ];

    /// The name in recipes and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Attention => "attention",
            Self::AttentionOrthogonal => "attention-orthogonal",
            Self::WsDan => "ws-dan",
            Self::Coarse2fine => "coarse2fine",
            Self::Coarse2fineOrthogonal => "coarse2fine-orthogonal",
            Self::IsqrtCov => "isqrt-cov",
            Self::Cal => "cal",
            Self::McLoss => "mc-loss",
            Self::ApiNet => "api-net",
            Self::Pmg => "pmg",
        }
    }

    /// What it looks at.
    pub fn looks(self) -> Looks {
        match self {
            Self::WsDan | Self::Cal => Looks::Crop,
            Self::Coarse2fine | Self::Coarse2fineOrthogonal => Looks::Region,
            Self::Baseline
            | Self::Attention
            | Self::AttentionOrthogonal
            | Self::IsqrtCov
            | Self::McLoss
            | Self::ApiNet
            | Self::Pmg => Looks::One,
        }
    }

    /// Whether there are attention maps.
    pub fn has_attention(self) -> bool {
        !matches!(self, Self::Baseline | Self::IsqrtCov | Self::McLoss | Self::ApiNet | Self::Pmg)
    }

    /// Whether the attention weights start orthogonal.
    pub fn is_orthogonal(self) -> bool {
        matches!(self, Self::AttentionOrthogonal | Self::Coarse2fineOrthogonal)
    }

    /// Whether there are an inverse mapping and a fine stage.
    pub fn has_inverse(self) -> bool {
        self.looks() == Looks::Region
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::field("method", name, format!("one of {names}"))
        })
    }
}
