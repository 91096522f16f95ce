//! One file for each family of networks.

pub(crate) mod c2f_tiny;
pub(crate) mod convnext;
pub(crate) mod efficientnet_lite;
pub(crate) mod inception_v3;
pub(crate) mod resnet;
pub(crate) mod vgg;
pub(crate) mod vision_transformer;

mod cnn;
mod conv_norm_act;
