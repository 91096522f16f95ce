//! One file for each family of networks.

use c2f_ops::nn::Params;

use self::cnn::Stage;
use crate::{Backbone, BackboneInfo, FeatureConfig, Result};

pub(crate) mod c2f_tiny;
pub(crate) mod cnn;
pub(crate) mod convnext;
pub(crate) mod efficientnet_lite;
pub(crate) mod inception_v3;
pub(crate) mod resnet;
pub(crate) mod vgg;
pub(crate) mod vision_transformer;

mod conv_norm_act;

/// A network that can be asked for by name.
pub(crate) struct Network {
    pub info: BackboneInfo,
    pub config: &'static dyn Config,
}

/// What tells a network from the others of its family: channels, blocks and the like.
pub(crate) trait Config: Sync {
    /// Makes the network, or the part of it that `features` says; its variables are named, initialised and kept by `params`.
    fn build(
        &self,
        info: &'static BackboneInfo,
        params: &Params,
        features: &FeatureConfig,
    ) -> Result<Box<dyn Backbone>>;
}

/// A convolutional network whose stages, one for each endpoint, are made by their number.
pub(crate) trait Stages: Sync {
    /// The layers of stage number `stage`, from 0.
    fn stage(&self, params: &Params, stage: usize) -> Result<Stage>;
}

impl<T: Stages> Config for T {
    fn build(
        &self,
        info: &'static BackboneInfo,
        params: &Params,
        features: &FeatureConfig,
    ) -> Result<Box<dyn Backbone>> {
        cnn::cnn(info, features, (0..info.endpoints.len()).map(|stage| self.stage(params, stage)))
    }
}
