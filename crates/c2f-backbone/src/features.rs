//! How much of a network is made, and how much of that is trained.

use c2f_ops::nn::{NormMode, Pass, Weights};

use crate::{BackboneInfo, Endpoint, Error, Result};

/// How much of a network is made, and how much of that is trained. The default is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureConfig {
    /// Name of the endpoint where the feature maps are taken; the last one if none. What lies behind isn't made.
    pub endpoint: Option<String>,
    /// Name of the last endpoint of the part that keeps its weights and running statistics, whatever the pass says; none
    /// keeps them if none.
    pub freeze: Option<String>,
}

/// What a [`FeatureConfig`] comes to in a certain network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeaturePlan {
    /// Stages that are made: each ends at an endpoint.
    pub stages: usize,
    /// How many of them are frozen.
    frozen: usize,
}

impl FeatureConfig {
    pub(crate) fn plan(&self, info: &BackboneInfo) -> Result<FeaturePlan> {
        let count = |name: &Option<String>, default: usize| match name {
            None => Ok(default),
            Some(name) => match info.endpoints.iter().position(|endpoint| endpoint.name == name) {
                Some(position) => Ok(position + 1),
                None => Err(Error::UnknownEndpoint {
                    backbone: info.name,
                    name: name.clone(),
                    known: info.endpoints.iter().map(|endpoint| endpoint.name).collect(),
                }),
            },
        };
        let plan =
            FeaturePlan { stages: count(&self.endpoint, info.endpoints.len())?, frozen: count(&self.freeze, 0)? };
        if plan.frozen > plan.stages {
            return Err(Error::FrozenBeyond {
                freeze: info.endpoints[plan.frozen - 1].name,
                endpoint: plan.endpoint(info).name,
            });
        }
        Ok(plan)
    }
}

impl FeaturePlan {
    /// Where the last stage that is made ends.
    pub fn endpoint(self, info: &BackboneInfo) -> &Endpoint {
        &info.endpoints[self.stages - 1]
    }

    /// The last `count` endpoints up to there; none if there are fewer.
    pub fn last_endpoints(self, info: &BackboneInfo, count: usize) -> Option<&[Endpoint]> {
        info.endpoints.get(self.stages.checked_sub(count)?..self.stages)
    }

    /// The pass for a stage.
    pub fn pass(&self, stage: usize, pass: &Pass) -> Pass {
        if stage < self.frozen {
            // Gradients still flow through it to the picture, which a fine look needs.
            let weights = if pass.weights == Weights::Kept { Weights::Kept } else { Weights::Detached };
            Pass { norm: NormMode::Eval, weights, ..*pass }
        } else {
            *pass
        }
    }
}
