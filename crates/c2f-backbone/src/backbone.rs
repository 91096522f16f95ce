//! What every feature extractor offers.

use c2f_ops::nn::Pass;
use candle_core::Tensor;

use crate::Result;

/// The facts about a backbone that its users need.
#[derive(Clone, Debug, PartialEq)]
pub struct BackboneInfo {
    /// Registered name: timm's or torchvision's own, where they have the network.
    pub name: &'static str,
    /// Channels C of the feature maps.
    pub channels: usize,
    /// Pixels per cell of the feature maps, the same in both directions.
    pub stride: usize,
    /// Side, in pixels, of the square pictures that it was made for. Other sizes, also not square, work.
    pub input_size: usize,
    /// Mean of the red, green and blue channels to subtract, for pixels in 0..=1.
    pub mean: [f32; 3],
    /// Standard deviation to divide by after that.
    pub std: [f32; 3],
    /// Whether convolutions pad as TensorFlow's SAME does: from the input's size, the odd zero below and to the right.
    pub same_padding: bool,
}

impl BackboneInfo {
    /// Mean of ImageNet's pixels, as torchvision's networks subtract it.
    pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    /// Standard deviation of ImageNet's pixels, as torchvision's networks divide by it.
    pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];
}

/// A convolutional feature extractor.
pub trait Backbone: Send + Sync {
    /// Its channels, stride and input normalisation.
    fn info(&self) -> &BackboneInfo;

    /// Images (B, 3, H, W), normalised by [`BackboneInfo::mean`] and [`BackboneInfo::std`], to the last feature maps
    /// (B, C, h, w) with h = ceil(H / stride) and w = ceil(W / stride).
    ///
    /// # Errors
    /// If `x` doesn't have four dimensions and three channels, or candle fails.
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor>;
}
