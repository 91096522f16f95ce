//! VGG with BatchNorm (Simonyan and Zisserman 2015, table 1, D and E), as torchvision's `vgg.py` has it.
//!
//! torchvision counts layers (`features.42`), which says little; endpoints have the names that the literature uses:
//! `relu5_3` is the third convolution at the fifth resolution with its ReLU, `pool5` the pooling after it.

use c2f_ops::nn::Params;

use super::Network;
use super::cnn::{MaxPool, Stage};
use super::conv_norm_act::{Convention, Layer, conv_norm_act};
use crate::{BackboneInfo, Endpoint, Result};

pub(crate) static VGG16_BN: Network = D.network("vgg16_bn", &D.endpoints());
pub(crate) static VGG19_BN: Network = E.network("vgg19_bn", &E.endpoints());

/// Configuration D of table 1.
const D: Config = Config { depths: [2, 2, 3, 3, 3] };
/// Configuration E.
const E: Config = Config { depths: [2, 2, 4, 4, 4] };

/// Channels of the picture, and at each resolution.
const WIDTHS: [usize; 6] = [3, 64, 128, 256, 512, 512];

/// Names of the ReLUs: a row for each resolution, and in it one for each convolution.
const RELUS: [[&str; 4]; 5] = [
    ["relu1_1", "relu1_2", "relu1_3", "relu1_4"],
    ["relu2_1", "relu2_2", "relu2_3", "relu2_4"],
    ["relu3_1", "relu3_2", "relu3_3", "relu3_4"],
    ["relu4_1", "relu4_2", "relu4_3", "relu4_4"],
    ["relu5_1", "relu5_2", "relu5_3", "relu5_4"],
];

struct Config {
    /// Convolutions at each resolution: 1 to 4.
    depths: [usize; 5],
}

impl Config {
    const fn network(&'static self, name: &'static str, endpoints: &'static [Endpoint]) -> Network {
        Network { info: BackboneInfo::torchvision(name, endpoints), config: self }
    }

    const fn endpoints(&self) -> [Endpoint; 6] {
        let mut endpoints = [Endpoint::patches("pool5", WIDTHS[5], 32); 6];
        let mut stage = 0;
        // `for` and iterators are not for const functions.
        while stage < 5 {
            let last = RELUS[stage][self.depths[stage] - 1];
            endpoints[stage] = Endpoint::patches(last, WIDTHS[stage + 1], 1 << stage);
            stage += 1;
        }
        endpoints
    }
}

impl super::Stages for Config {
    /// Pooling comes first in the stage after.
    fn stage(&self, params: &Params, stage: usize) -> Result<Stage> {
        let mut layers = Stage::new();
        if stage > 0 {
            layers.push(Box::new(MaxPool::new(2, 2, 0)));
        }
        if stage == 5 {
            return Ok(layers);
        }
        for index in 0..self.depths[stage] {
            let inputs = WIDTHS[if index == 0 { stage } else { stage + 1 }];
            // torchvision's `features` counts convolution, BatchNorm, ReLU and pooling.
            let number = self.depths[..stage].iter().sum::<usize>() * 3 + stage + index * 3;
            let names = (&*format!("features.{number}"), &*format!("features.{}", number + 1));
            let layer = Layer::new(inputs, WIDTHS[stage + 1], (3, 3));
            layers.push(Box::new(conv_norm_act(params, names, layer, Convention::Vgg)?));
        }
        Ok(layers)
    }
}
