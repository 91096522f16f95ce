//! Convolutional networks: stages of layers on maps.

use c2f_ops::nn::{ConvNormAct, Pass};
use c2f_ops::{Format, Maps, PoolConfig};
use candle_core::Tensor;

use crate::features::FeaturePlan;
use crate::{Backbone, BackboneInfo, Endpoint, FeatureConfig, Result};

/// What a stage consists of: from maps to maps.
pub(crate) trait Layer: Send + Sync {
    /// Maps (B, C, H, W) to maps of the same batch.
    ///
    /// # Errors
    /// If the layer can't take maps of that shape, or candle fails.
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps>;
}

/// The layers up to an endpoint from the one before it.
pub(crate) type Stage = Vec<Box<dyn Layer>>;

struct Cnn {
    info: &'static BackboneInfo,
    plan: FeaturePlan,
    stages: Vec<Stage>,
}

/// The network with these stages, one for each endpoint. Only those that are wanted are made.
pub(crate) fn cnn(
    info: &'static BackboneInfo,
    features: &FeatureConfig,
    stages: impl IntoIterator<Item = Result<Stage>>,
) -> Result<Box<dyn Backbone>> {
    let plan = features.plan(info)?;
    let stages: Vec<Stage> = stages.into_iter().take(plan.stages).collect::<Result<_>>()?;
    Ok(Box::new(Cnn { info, plan, stages }))
}

impl Backbone for Cnn {
    fn info(&self) -> &BackboneInfo {
        self.info
    }

    fn endpoint(&self) -> &Endpoint {
        self.plan.endpoint(self.info)
    }

    fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut x = Maps::new(x, Format::ChannelsFirst)?;
        for (stage, layers) in self.stages.iter().enumerate() {
            let pass = self.plan.pass(stage, pass);
            for layer in layers {
                x = layer.run(&x, &pass)?;
            }
        }
        Ok(x.to_tensor(Format::ChannelsFirst)?)
    }
}

impl Layer for ConvNormAct {
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        Ok(ConvNormAct::run(self, x, pass)?)
    }
}

/// Max pooling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaxPool(PoolConfig);

impl MaxPool {
    /// The same in both directions.
    pub fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self(PoolConfig { kernel: (kernel, kernel), stride: (stride, stride), padding: (padding, padding) })
    }
}

impl Layer for MaxPool {
    fn run(&self, x: &Maps, _: &Pass) -> Result<Maps> {
        Ok(x.max_pool(&self.0)?)
    }
}
