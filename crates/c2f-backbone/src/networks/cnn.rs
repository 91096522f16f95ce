//! Convolutional networks: stages of layers on maps.

use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{ConvNormAct, Pass};
use c2f_ops::{Format, Maps, PoolConfig};
use candle_core::Tensor;

use crate::features::FeaturePlan;
use crate::{Backbone, BackboneInfo, Endpoint, Error, FeatureConfig, Result};

/// What a stage consists of: from maps to maps. c2f-ops' [`ConvNormAct`] is one.
pub trait Layer: Send + Sync {
    /// Maps (B, C, H, W) to maps of the same batch.
    ///
    /// # Errors
    /// If the layer can't take maps of that shape, or candle fails.
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps>;

    /// Describes what [`run`](Self::run) computes, by the running statistics of the pass.
    ///
    /// # Errors
    /// If the layer, as one from elsewhere may, has no description.
    fn describe(&self, _graph: &mut Graph, _x: Value, _pass: &Pass) -> Result<Value> {
        Err(Error::NotDescribed { what: std::any::type_name::<Self>() })
    }
}

/// The layers up to an endpoint from the one before it.
pub type Stage = Vec<Box<dyn Layer>>;

struct Cnn {
    info: &'static BackboneInfo,
    plan: FeaturePlan,
    stages: Vec<Stage>,
}

/// The convolutional network of these stages, one for each endpoint of `info`. It ends, and is frozen, where `features` says.
///
/// Stages behind the end aren't asked for: made while the iterator goes on, they leave no variables behind.
///
/// ```
/// use c2f_backbone::{Backbone, BackboneInfo, Endpoint, FeatureConfig, PaddingStyle, Result, Stage, cnn};
/// use c2f_ops::Activation;
/// use c2f_ops::nn::{Conv2dOptions, ConvNormAct, ConvNormActOptions, Params};
///
/// static MINE: BackboneInfo = BackboneInfo {
///     name: "mine",
///     endpoints: &[
///         Endpoint { name: "one", channels: 8, stride: 2, origin: 1.0 },
///         Endpoint { name: "two", channels: 16, stride: 4, origin: 2.0 },
///     ],
///     input_size: 64,
///     mean: [0.5; 3],
///     std: [0.5; 3],
///     padding: PaddingStyle::Partial,
///     size_multiple: 1,
/// };
///
/// /// A row of 2x2 convolutions that halve.
/// fn mine(params: &Params, features: &FeatureConfig) -> Result<Box<dyn Backbone>> {
///     let stages = [("one", 3, 8), ("two", 8, 16)].into_iter().map(|(name, inputs, outputs)| {
///         let conv = Conv2dOptions { stride: 2, ..Conv2dOptions::default() };
///         let (names, activation) = (("conv", "norm"), Activation::Relu);
///         let options = ConvNormActOptions { names, conv, eps: 1e-5, momentum: 0.1, activation };
///         let layer = ConvNormAct::new(&params.at(name), inputs, outputs, (2, 2), options)?;
///         Ok(vec![Box::new(layer) as _])
///     });
///     cnn(&MINE, features, stages)
/// }
/// # use c2f_ops::nn::Pass;
/// # use candle_core::{DType, Device, Tensor};
/// # let params = Params::new(&Device::Cpu, DType::F32, 0);
/// # let features = FeatureConfig { endpoint: Some("one".into()), freeze: Some("one".into()) };
/// # let backbone = mine(&params, &features)?;
/// # let images = Tensor::zeros((2, 3, 8, 6), DType::F32, &Device::Cpu)?;
/// # assert_eq!(backbone.run(&images, &Pass::train())?.dims(), [2, 8, 4, 3]);
/// # assert_eq!(params.entries().len(), 5);
/// # Ok::<(), c2f_backbone::Error>(())
/// ```
///
/// # Errors
/// [`Error::UnknownEndpoint`], [`Error::FrozenBeyond`], [`Error::Stages`] if there are fewer stages than endpoints, or what a stage gives.
pub fn cnn(
    info: &'static BackboneInfo,
    features: &FeatureConfig,
    stages: impl IntoIterator<Item = Result<Stage>>,
) -> Result<Box<dyn Backbone>> {
    let plan = features.plan(info)?;
    let stages: Vec<Stage> = stages.into_iter().take(plan.stages).collect::<Result<_>>()?;
    if stages.is_empty() || stages.len() < plan.stages {
        return Err(Error::Stages { backbone: info.name, endpoints: info.endpoints.len(), stages: stages.len() });
    }
    Ok(Box::new(Cnn { info, plan, stages }))
}

impl Cnn {
    fn run_stage(&self, stage: usize, x: Maps, pass: &Pass) -> Result<Maps> {
        let pass = self.plan.pass(stage, pass);
        self.stages[stage].iter().try_fold(x, |x, layer| layer.run(&x, &pass))
    }

    /// The stage whose endpoint is the first of the last `count`.
    fn first_of_last(&self, count: usize) -> Result<usize> {
        let missing = || Error::NoLastEndpoints { backbone: self.info.name, count };
        self.stages.len().checked_sub(count).ok_or_else(missing)
    }
}

impl Backbone for Cnn {
    fn info(&self) -> &BackboneInfo {
        self.info
    }

    fn endpoint(&self) -> &Endpoint {
        self.plan.endpoint(self.info)
    }

    fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let x = Maps::new(x, Format::ChannelsFirst)?;
        let x = (0..self.stages.len()).try_fold(x, |x, stage| self.run_stage(stage, x, pass))?;
        Ok(x.to_tensor(Format::ChannelsFirst)?)
    }

    fn last_endpoints(&self, count: usize) -> Option<&[Endpoint]> {
        self.plan.last_endpoints(self.info, count)
    }

    fn run_last(&self, x: &Tensor, count: usize, pass: &Pass) -> Result<Vec<Tensor>> {
        let first = self.first_of_last(count)?;
        let mut x = Maps::new(x, Format::ChannelsFirst)?;
        let mut found = Vec::new();
        for stage in 0..self.stages.len() {
            x = self.run_stage(stage, x, pass)?;
            if stage >= first {
                found.push(x.to_tensor(Format::ChannelsFirst)?);
            }
        }
        Ok(found)
    }

    fn describe_last(&self, graph: &mut Graph, mut x: Value, count: usize, pass: &Pass) -> Result<Vec<Value>> {
        let first = self.first_of_last(count)?;
        let mut found = Vec::new();
        for (stage, layers) in self.stages.iter().enumerate() {
            x = layers.iter().try_fold(x, |x, layer| layer.describe(graph, x, pass))?;
            if stage >= first {
                found.push(x);
            }
        }
        Ok(found)
    }

    fn describe(&self, graph: &mut Graph, x: Value, _: (usize, usize), pass: &Pass) -> Result<Value> {
        self.stages.iter().flatten().try_fold(x, |x, layer| layer.describe(graph, x, pass))
    }
}

impl Layer for ConvNormAct {
    fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
        Ok(ConvNormAct::run(self, x, pass)?)
    }

    fn describe(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<Value> {
        Ok(ConvNormAct::describe(self, graph, x, pass)?)
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

    fn describe(&self, graph: &mut Graph, x: Value, _: &Pass) -> Result<Value> {
        Ok(self.0.describe_max(graph, x))
    }
}

#[cfg(test)]
mod tests {
    use c2f_ops::nn::{Init, Params};
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::PaddingStyle;

    static TWO: BackboneInfo = BackboneInfo {
        name: "two",
        endpoints: &[Endpoint::symmetric("first", 3, 1), Endpoint::symmetric("second", 3, 1)],
        input_size: 8,
        mean: [0.5; 3],
        std: [0.5; 3],
        padding: PaddingStyle::Symmetric,
        size_multiple: 1,
    };

    /// Each value times a trained one.
    struct Times(Var);

    impl Layer for Times {
        fn run(&self, x: &Maps, pass: &Pass) -> Result<Maps> {
            let y = x.to_tensor(Format::ChannelsFirst)?.broadcast_mul(&pass.weight(&self.0))?;
            Ok(Maps::new(&y, Format::ChannelsFirst)?)
        }
    }

    fn build(params: &Params, count: usize, features: &FeatureConfig) -> Result<Box<dyn Backbone>> {
        let stage = |index| -> Result<Stage> {
            Ok(vec![Box::new(Times(params.at(index).parameter("factor", 1, Init::Constant(2.0))?))])
        };
        cnn(&TWO, features, (0..count).map(stage))
    }

    #[test]
    fn the_last_endpoints_are_those_of_shorter_networks() {
        let params = Params::zeros(&Device::Cpu, DType::F32);
        let backbone = build(&params, 2, &FeatureConfig::default()).unwrap();
        for entry in params.entries() {
            entry.var.set(&Tensor::new(&[3f32], &Device::Cpu).unwrap()).unwrap();
        }
        let x = Tensor::ones((1, 3, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let maps = backbone.run_last(&x, 2, &Pass::eval()).unwrap();
        let values = |maps: &Tensor| maps.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!([values(&maps[0]), values(&maps[1])], [[3.0; 12], [9.0; 12]]);
        assert_eq!(backbone.last_endpoints(2).unwrap()[0].name, "first");
        assert_eq!(backbone.last_endpoints(1).unwrap()[0].name, "second");
        assert!(backbone.last_endpoints(3).is_none());
        let error = backbone.run_last(&x, 3, &Pass::eval()).unwrap_err().to_string();
        assert!(error.contains("last 3 endpoints"), "{error}");
    }

    #[test]
    fn what_lies_behind_the_end_is_not_made_and_what_is_frozen_gets_no_gradient() {
        let params = Params::zeros(&Device::Cpu, DType::F32);
        let to = |endpoint: &str| FeatureConfig { endpoint: Some(endpoint.to_owned()), freeze: None };
        assert_eq!(build(&params, 2, &to("first")).unwrap().endpoint().name, "first");
        assert_eq!(params.entries().len(), 1);
        let frozen = FeatureConfig { endpoint: None, freeze: Some("first".to_owned()) };
        let backbone = build(&params, 2, &frozen).unwrap();
        let x = Tensor::ones((1, 3, 2, 2), DType::F32, &Device::Cpu).unwrap();
        let gradients = backbone.run(&x, &Pass::train()).unwrap().sum_all().unwrap().backward().unwrap();
        let has = |name: &str| gradients.get(&params.get(name).unwrap().var).is_some();
        assert_eq!((has("0.factor"), has("1.factor")), (false, true));
    }

    #[test]
    fn fewer_stages_than_endpoints_are_an_error() {
        let params = Params::zeros(&Device::Cpu, DType::F32);
        let error = build(&params, 1, &FeatureConfig::default()).err().unwrap();
        assert_eq!(error.to_string(), "two has 2 endpoints, and stages for 1 of them");
    }
}
