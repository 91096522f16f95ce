//! VGG with BatchNorm (Simonyan and Zisserman 2015, table 1, D and E), as torchvision's `vgg.py` has it.
//!
//! torchvision counts layers (`features.42`), which says little; endpoints have the names that the literature uses:
//! `relu5_3` is the third convolution at the fifth resolution with its ReLU, `pool5` the pooling after it.

use c2f_ops::nn::Params;

use super::cnn::{MaxPool, Stage, cnn};
use super::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::features::FeaturePlan;
use crate::{Backbone, BackboneInfo, Endpoint, Result};

pub(crate) static VGG16_BN: BackboneInfo = BackboneInfo::torchvision(
    "vgg16_bn",
    &[
        Endpoint::patches("relu1_2", 64, 1),
        Endpoint::patches("relu2_2", 128, 2),
        Endpoint::patches("relu3_3", 256, 4),
        Endpoint::patches("relu4_3", 512, 8),
        Endpoint::patches("relu5_3", 512, 16),
        Endpoint::patches("pool5", 512, 32),
    ],
);
pub(crate) static VGG19_BN: BackboneInfo = BackboneInfo::torchvision(
    "vgg19_bn",
    &[
        Endpoint::patches("relu1_2", 64, 1),
        Endpoint::patches("relu2_2", 128, 2),
        Endpoint::patches("relu3_4", 256, 4),
        Endpoint::patches("relu4_4", 512, 8),
        Endpoint::patches("relu5_4", 512, 16),
        Endpoint::patches("pool5", 512, 32),
    ],
);

pub(crate) fn vgg16_bn(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    cnn(&VGG16_BN, plan, stages(params, [2, 2, 3, 3, 3]))
}

pub(crate) fn vgg19_bn(params: &Params, plan: FeaturePlan) -> Result<Box<dyn Backbone>> {
    cnn(&VGG19_BN, plan, stages(params, [2, 2, 4, 4, 4]))
}

/// `depths` are the convolutions at each resolution. Pooling comes first in the stage after.
fn stages(params: &Params, depths: [usize; 5]) -> impl Iterator<Item = Result<Stage>> {
    const WIDTHS: [usize; 6] = [3, 64, 128, 256, 512, 512];
    (0..6).map(move |stage| {
        let mut layers = Stage::new();
        if stage > 0 {
            layers.push(Box::new(MaxPool::new(2, 2, 0)));
        }
        if stage == 5 {
            return Ok(layers);
        }
        for index in 0..depths[stage] {
            let inputs = WIDTHS[if index == 0 { stage } else { stage + 1 }];
            // torchvision's `features` counts convolution, BatchNorm, ReLU and pooling.
            let number = depths[..stage].iter().sum::<usize>() * 3 + stage + index * 3;
            let names = (&*format!("features.{number}"), &*format!("features.{}", number + 1));
            let layer = Layer::new(inputs, WIDTHS[stage + 1], (3, 3));
            layers.push(Box::new(conv_norm_act(params, names, layer, Convention::Vgg)?));
        }
        Ok(layers)
    })
}
