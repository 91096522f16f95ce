//! `c2f_tiny`: a residual network for pictures of 64 to 96 pixels that two CPU cores train from scratch in minutes.
//!
//! Like the ResNets for CIFAR (He et al. 2016, section 4.2) it has a stem at full resolution and no pooling, because
//! a part that tells two classes apart can be a few pixels wide; it is cheap by having few channels there.

use c2f_ops::nn::Params;

use super::cnn::{Stage, cnn};
use super::conv_norm_act::{Convention, Layer, conv_norm_act};
use super::resnet::{BlockKind, Residual};
use super::{Config, Network};
use crate::{Backbone, BackboneInfo, Endpoint, FeatureConfig, PaddingStyle, Result};

pub(crate) static C2F_TINY: Network = Network {
    info: BackboneInfo {
        name: "c2f_tiny",
        endpoints: &[
            Endpoint::symmetric("layer1", WIDTHS[1], 2),
            Endpoint::symmetric("layer2", WIDTHS[2], 4),
            Endpoint::symmetric("layer3", WIDTHS[3], 8),
        ],
        input_size: 64,
        mean: [0.5; 3],
        std: [0.5; 3],
        padding: PaddingStyle::Symmetric,
        size_multiple: 1,
    },
    config: &C2fTiny,
};

/// Channels of the stem, and after each halving of the resolution.
const WIDTHS: [usize; 4] = [16, 32, 64, 128];

/// The only one of its family.
struct C2fTiny;

impl Config for C2fTiny {
    fn build(
        &self,
        info: &'static BackboneInfo,
        params: &Params,
        features: &FeatureConfig,
    ) -> Result<Box<dyn Backbone>> {
        let stages = WIDTHS.windows(2).enumerate().map(|(stage, widths)| {
            let mut layers = Stage::new();
            if stage == 0 {
                let stem = Layer::new(3, WIDTHS[0], (3, 3));
                layers.push(Box::new(conv_norm_act(params, ("conv1", "bn1"), stem, Convention::ResNet)?));
            }
            let params = params.at(format_args!("layer{}.0", stage + 1));
            layers.push(Box::new(Residual::new(&params, BlockKind::Basic, widths[0], widths[1], 2)?));
            Ok(layers)
        });
        cnn(info, features, stages)
    }
}
