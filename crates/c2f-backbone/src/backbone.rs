//! What every feature extractor offers.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::Pass;
use candle_core::{ModuleT, Tensor};

use crate::{Error, Result};

/// The facts about a network that its users need.
#[derive(Clone, Debug, PartialEq)]
pub struct BackboneInfo {
    /// Registered name: timm's or torchvision's own, where they have the network.
    pub name: &'static str,
    /// Where feature maps can be taken, in the order of the data's way; the last is the default.
    pub endpoints: &'static [Endpoint],
    /// Side, in pixels, of the square pictures that it was made for. Other sizes, also not square, work.
    pub input_size: usize,
    /// Mean of the red, green and blue channels to subtract, for pixels in 0..=1.
    pub mean: [f32; 3],
    /// Standard deviation to divide by after that.
    pub std: [f32; 3],
    /// How its convolutions pad.
    pub padding: PaddingStyle,
    /// What both sides of a picture have to be a multiple of: a transformer's patch, otherwise 1.
    pub size_multiple: usize,
}

/// How the convolutions of a network pad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaddingStyle {
    /// (k - 1) / 2 zeros on each side.
    Symmetric,
    /// TensorFlow's SAME: from the input's size, the odd zero below and to the right.
    Same,
    /// Symmetric in some layers, and in the others not at all.
    Partial,
}

/// A place in a network where feature maps can be taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Endpoint {
    /// What timm or torchvision call the module that ends there.
    pub name: &'static str,
    /// Channels C of the feature maps.
    pub channels: usize,
    /// Pixels per cell of the feature maps, the same in both directions.
    pub stride: usize,
    /// Where the receptive field of the first cell has its middle, in pixels from the picture's edge, the same in both
    /// directions: that of cell i lies at `origin + stride * i`. It isn't half a cell in networks that pad each layer: 0.5 where
    /// they pad symmetrically. Where they pad as TensorFlow does, it is given for pictures whose side is a multiple of the
    /// last stride. (Araujo et al. 2019, "Computing receptive fields of convolutional neural networks".)
    pub origin: f64,
}

impl Endpoint {
    /// How far, in pixels down and to the right, a cell looks from the middle of the square that it has when the maps are stretched
    /// over the picture.
    pub fn shift(&self) -> f64 {
        self.origin - self.stride as f64 / 2.0
    }

    /// Of layers that pad (k - 1) / 2 on each side: the first cell looks at the first pixel.
    pub(crate) const fn symmetric(name: &'static str, channels: usize, stride: usize) -> Self {
        Self { name, channels, stride, origin: 0.5 }
    }

    /// Of layers that shrink the maps by windows that don't overlap: a cell looks at the middle of its square.
    pub(crate) const fn patches(name: &'static str, channels: usize, stride: usize) -> Self {
        Self { name, channels, stride, origin: stride as f64 / 2.0 }
    }

    /// Of layers that pad as TensorFlow does, where maps of an even size are halved: the odd zero is below and to the right, so
    /// that each halving moves the cells by half of one.
    pub(crate) const fn same(name: &'static str, channels: usize, stride: usize) -> Self {
        Self { name, channels, stride, origin: stride as f64 - 0.5 }
    }
}

impl BackboneInfo {
    /// Mean of ImageNet's pixels, as torchvision's networks subtract it.
    pub const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
    /// Standard deviation of ImageNet's pixels, as torchvision's networks divide by it.
    pub const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

    /// As torchvision's ResNets and VGGs are.
    pub(crate) const fn torchvision(name: &'static str, endpoints: &'static [Endpoint]) -> Self {
        Self {
            name,
            endpoints,
            input_size: 224,
            mean: Self::IMAGENET_MEAN,
            std: Self::IMAGENET_STD,
            padding: PaddingStyle::Symmetric,
            size_multiple: 1,
        }
    }
}

/// A feature extractor: a network up to one of its endpoints.
pub trait Backbone: Send + Sync {
    /// The network's name, endpoints and input normalisation.
    fn info(&self) -> &BackboneInfo;

    /// Where its feature maps are taken.
    fn endpoint(&self) -> &Endpoint;

    /// Images (B, 3, H, W), normalised by [`BackboneInfo::mean`] and [`BackboneInfo::std`], to feature maps (B, C, h, w),
    /// C being [`Endpoint::channels`], and h and w about H and W over [`Endpoint::stride`]: rounded up in networks that pad
    /// (ResNet, EfficientNet), down in those that cut off what is left over (VGG, ConvNeXt), and a little less where the
    /// first layers don't pad (Inception).
    ///
    /// # Errors
    /// If `x` doesn't have four dimensions and three channels, is too small for the network, or candle fails.
    fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor>;

    /// Describes what [`run`](Self::run) computes of pictures of `size` (height, width), by the running statistics of the pass.
    ///
    /// # Errors
    /// If the network can't take pictures of that size, or, as a backbone from elsewhere may, has no description.
    fn describe(&self, _graph: &mut Graph, _x: Value, _size: (usize, usize), _pass: &Pass) -> Result<Value> {
        Err(Error::NotDescribed { what: self.info().name })
    }

    /// The last `count` endpoints up to its own, in the order of the data's way; none where [`run_last`](Self::run_last) can't give their
    /// maps, as of vision transformers, or there are fewer.
    fn last_endpoints(&self, _count: usize) -> Option<&[Endpoint]> {
        None
    }

    /// As [`run`](Self::run), but the feature maps of each of the [`last_endpoints`](Self::last_endpoints).
    ///
    /// # Errors
    /// As there, and if there are no such endpoints.
    fn run_last(&self, _x: &Tensor, count: usize, _pass: &Pass) -> Result<Vec<Tensor>> {
        Err(Error::NoLastEndpoints { backbone: self.info().name, count })
    }

    /// Describes what [`run_last`](Self::run_last) computes, by the running statistics of the pass.
    ///
    /// # Errors
    /// As [`describe`](Self::describe), and if there are no such endpoints.
    fn describe_last(&self, _graph: &mut Graph, _x: Value, count: usize, _pass: &Pass) -> Result<Vec<Value>> {
        Err(Error::NoLastEndpoints { backbone: self.info().name, count })
    }
}

impl ModuleT for dyn Backbone {
    /// [`run`](Backbone::run) with tracked weights, by the batch's statistics in training and by the running ones otherwise.
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        Ok(self.run(x, &Pass::of(train))?)
    }
}

impl ModuleT for Box<dyn Backbone> {
    /// As that of what is in the box.
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        self.as_ref().forward_t(x, train)
    }
}
