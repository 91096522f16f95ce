//! The settings of a model: each method of the comparison is a combination of them.

/// What a [`Model`](crate::Model) consists of, besides its backbone.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Classes K.
    pub classes: usize,
    /// How feature maps become logits.
    pub head: HeadConfig,
    /// The inverse mapping; with it the model looks twice (Coarse2Fine). Needs [`HeadConfig::Parts`].
    pub inverse: Option<InverseConfig>,
}

/// How feature maps become logits.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadConfig {
    /// Global average pooling and a linear classifier: the baseline.
    Pooled,
    /// Attention maps, bilinear attention pooling and a linear classifier.
    Parts(PartsConfig),
    /// Covariance pooling, its square root, and a linear classifier: iSQRT-COV.
    Covariance(CovarianceConfig),
    /// Classifiers at the last three endpoints and one of all: PMG.
    Progressive(ProgressiveConfig),
}

/// Settings of the attention head.
#[derive(Clone, Debug, PartialEq)]
pub struct PartsConfig {
    /// Attention maps M; 32 in WS-DAN.
    pub maps: usize,
    /// Factor between the L2-normalised part features and the classifier; 100 in WS-DAN. The logits move by
    /// learning rate * `scale`^2 per step, so the two belong together.
    pub scale: f64,
    /// Whether the attention weights start orthogonal (Coarse2Fine, Eshratifar et al. 2019) or as PyTorch's default.
    pub orthogonal: bool,
    /// Length of each row of orthogonal attention weights; 1 in Saxe et al. 2014. Of the others a factor: with 1 their rows have a
    /// length of 1 / sqrt(3) on average.
    pub gain: f64,
}

/// Settings of [`CovariancePooling`](crate::CovariancePooling).
#[derive(Clone, Debug, PartialEq)]
pub struct CovarianceConfig {
    /// Channels d that the feature maps are reduced to; 256 in Li et al. 2018.
    pub channels: usize,
}

/// Settings of [`ProgressiveHead`](crate::ProgressiveHead).
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressiveConfig {
    /// Values d between the layers of each classifier, and half the channels of each endpoint's maps; 512 in Du et al. 2020.
    pub channels: usize,
}

/// Settings of the inverse mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct InverseConfig {
    /// Where the region comes from.
    pub source: RegionSource,
    /// How the region map makes the fine look's input.
    pub mode: RegionMode,
    /// Channels d to which each attended feature map is projected.
    pub channels: usize,
    /// Channels of the decoder's convolutions.
    pub decoder_channels: usize,
    /// Half the side of the zoom's box, in standard deviations a of the region map. A uniform map has its borders at
    /// sqrt(3) = 1.73; from there on the box of an open map is clamped to the picture, and no gradient passes.
    pub zoom_std: f64,
    /// Bias of the decoder's last layer: where attention is as strong as on average, R starts near sigmoid(`open_bias`).
    pub open_bias: f64,
    /// What the shortcut from the attention starts with: R's logit grows by it where attention is twice as strong as on
    /// average. 0: R starts even.
    pub attention_gain: f64,
    /// Factor on the gradient that the fine look sends back through the region map. A box moves every pixel that it samples,
    /// so that its gradient can be many times as long as all others; 1 leaves it as it is.
    pub gradient_scale: f64,
    /// Cuts the differentiable path, for ablations: the attended feature maps enter the inverse mapping as constants.
    /// The mapping itself still learns; the fine loss no longer reaches attention or backbone through R.
    pub detach_attended: bool,
    /// Whether what a cell says is laid where the cell looks ([`Endpoint::origin`](c2f_backbone::Endpoint::origin)). If not, it lies in
    /// the middle of the cell's square, up to half a stride beside it.
    pub registered: bool,
    /// Share of the picture that the box of [`RegionSource::Centre`] and [`RegionSource::Random`] has.
    pub area: f64,
}

/// Where the region comes from. All but the first are controls: what a fine look is worth without what is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionSource {
    /// The attended feature maps, decoded: Coarse2Fine.
    Learned,
    /// The attention alone: how far it lies above its mean, with a gain and a bias that are learnt.
    Attention,
    /// A box in the middle of each picture.
    Centre,
    /// A box of the same size anywhere, which depends on the picture's pixels alone.
    Random,
}

impl RegionSource {
    /// Whether an [`InverseMapping`](crate::InverseMapping) makes the region.
    pub fn is_mapped(self) -> bool {
        matches!(self, Self::Learned | Self::Attention)
    }
}

/// How the region map R makes the fine look's input x~.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionMode {
    /// x~ = R . x: what lies outside of the region becomes 0, the mean colour of a normalised picture.
    Mask,
    /// x~ = the box around R, sampled from the source picture at the coarse picture's size.
    Zoom,
    /// Both: the box around R, times R in that box.
    MaskZoom,
    /// The box around R, without a gradient; in it the picture where R is high, and a blurred one where it is low. What reaches R
    /// says of each place whether its detail helps, which the four numbers of a box can't.
    Detail,
    /// The whole picture, stretched where R is high: the saliency sampler of Recasens et al. 2018.
    Warp,
}
