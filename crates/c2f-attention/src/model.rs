//! The model that looks twice.

use c2f_backbone::Error::NoLastEndpoints;
use c2f_backbone::{Backbone, Endpoint};
use c2f_ops::graph::{Graph, Value};
use c2f_ops::nn::{Init, Linear, Params, Pass};
use c2f_ops::{Format, global_avg_pool, log_softmax};
use candle_core::{ModuleT, Tensor};

use crate::{
    AttentionMaps, CovariancePooling, Error, HeadConfig, InverseMapping, LEVELS, Levels, ModelConfig, ProgressiveHead,
    Region, RegionMode, RegionValues, Result, Sampling, bap, bilinear_attention_pooling, fixed, normalise_parts,
    region,
};

/// What one look at a picture gives.
#[derive(Clone, Debug)]
pub struct Look {
    /// (B, K).
    pub logits: Tensor,
    /// (B, M * C) part features of length 1, before the scale; none without attention.
    pub parts: Option<Tensor>,
    /// The backbone's feature maps F (B, C, h, w).
    pub features: Tensor,
    /// Attention maps A (B, M, h, w), not negative; none without attention.
    pub attention: Option<Tensor>,
}

/// A [`Look`] in a graph.
#[derive(Clone, Copy, Debug)]
pub struct LookValues {
    /// [`Look::logits`]
    pub logits: Value,
    /// [`Look::features`]
    pub features: Value,
    /// [`Look::attention`]
    pub attention: Option<Value>,
}

/// What the model gives.
#[derive(Clone, Debug)]
pub struct Output {
    /// The look at the whole picture.
    pub coarse: Look,
    /// What the inverse mapping found in it; none without a fine look.
    pub region: Option<Region>,
    /// The look at that region.
    pub fine: Option<Look>,
}

/// The pictures of a batch, normalised as the backbone wants them.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// (B, 3, H, W): what the coarse look sees.
    pub coarse: &'a Tensor,
    /// (B, 3, H', W'): the same pictures, perhaps larger, which the fine look zooms into; may be `coarse` itself.
    pub source: &'a Tensor,
}

/// A backbone with a head, and with the inverse mapping if the fine look is wanted.
pub struct Model {
    backbone: Box<dyn Backbone>,
    head: Head,
    classifier: Linear,
    inverse: Option<InverseMapping>,
    config: ModelConfig,
}

/// What makes a picture's feature maps the classifier's input.
enum Head {
    /// Their means.
    Pooled,
    /// Part features, times `scale`.
    Parts { attention: AttentionMaps, scale: f64 },
    /// Their covariance's square root.
    Covariance(CovariancePooling),
    /// What the last three endpoints' come to together.
    Progressive(ProgressiveHead),
}

impl Model {
    /// Makes `attention.*`, `covariance.*`, `progressive.*`, `classifier.*` and `inverse.*`, as far as the configuration asks for them. `backbone` is
    /// expected to have been made from `params.at("backbone")`.
    ///
    /// # Errors
    /// If a setting is out of range, or a parameter of that name exists with another shape.
    pub fn new(backbone: Box<dyn Backbone>, params: &Params, config: &ModelConfig) -> Result<Self> {
        check(config)?;
        let Endpoint { channels, .. } = *backbone.endpoint();
        let (head, width, maps) = match &config.head {
            HeadConfig::Pooled => (Head::Pooled, channels, 0),
            HeadConfig::Parts(parts) => {
                let attention = AttentionMaps::new(&params.at("attention"), channels, parts)?;
                (Head::Parts { attention, scale: parts.scale }, parts.maps * channels, parts.maps)
            }
            HeadConfig::Covariance(covariance) => {
                let pooling = CovariancePooling::new(&params.at("covariance"), channels, covariance)?;
                let width = pooling.width();
                (Head::Covariance(pooling), width, 0)
            }
            HeadConfig::Progressive(progressive) => {
                let channels =
                    backbone.last_endpoints(LEVELS).map(|last| last.iter().map(|endpoint| endpoint.channels));
                let channels: Option<[usize; LEVELS]> =
                    channels.and_then(|all| all.collect::<Vec<_>>().try_into().ok());
                let channels = channels.ok_or(NoLastEndpoints { backbone: backbone.info().name, count: LEVELS })?;
                let head = ProgressiveHead::new(params, channels, config.classes, progressive)?;
                (Head::Progressive(head), progressive.channels, 0)
            }
        };
        let classifier = Linear::new(&params.at("classifier"), width, config.classes, true, Init::TORCH)?;
        let mapped = config.inverse.as_ref().filter(|inverse| inverse.source.is_mapped());
        let inverse = mapped.map(|inverse| {
            // Only the coarse look runs the inverse mapping: one set of statistics.
            let params = params.at("inverse").with_statistics(1);
            InverseMapping::new(&params, maps, backbone.endpoint(), inverse)
        });
        Ok(Self { head, classifier, inverse: inverse.transpose()?, backbone, config: config.clone() })
    }

    /// One look at pictures (B, 3, H, W).
    ///
    /// # Errors
    /// If `x` isn't a batch of pictures that the backbone can take.
    pub fn look(&self, x: &Tensor, pass: &Pass) -> Result<Look> {
        if let Head::Progressive(head) = &self.head {
            let (mut features, logits) = self.levels_of(head, x, pass)?;
            let logits = Tensor::stack(&logits, 0)?.mean(0)?;
            return Ok(Look { logits, parts: None, features: features.remove(LEVELS - 1), attention: None });
        }
        let features = self.backbone.run(x, pass)?;
        let attention = self.attend(&features, pass)?;
        self.classify(features, attention, pass)
    }

    /// The logits (B, K) of the pictures (B, 3, H, W) by each level of a progressive head, in the order of the data's way, and by all
    /// together; their mean are a look's.
    ///
    /// # Errors
    /// If the head is another, or `x` isn't a batch of pictures that the backbone can take.
    pub fn level_logits(&self, x: &Tensor, pass: &Pass) -> Result<Vec<Tensor>> {
        match &self.head {
            Head::Progressive(head) => Ok(self.levels_of(head, x, pass)?.1),
            _ => Err(without_levels()),
        }
    }

    /// The last endpoints' feature maps, and the logits of each and of all.
    fn levels_of(&self, head: &ProgressiveHead, x: &Tensor, pass: &Pass) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let features = self.backbone.run_last(x, LEVELS, pass)?;
        let Levels { mut logits, together } = head.run(&features, pass)?;
        logits.push(self.classifier.run(&together, pass)?);
        Ok((features, logits))
    }

    /// Describes what [`look`](Self::look) computes of pictures of `size` (height, width), by the running statistics of the pass.
    ///
    /// # Errors
    /// If the backbone can't take pictures of that size or has no description.
    pub fn describe_look(&self, graph: &mut Graph, x: Value, size: (usize, usize), pass: &Pass) -> Result<LookValues> {
        if let Head::Progressive(head) = &self.head {
            let features = self.backbone.describe_last(graph, x, LEVELS, pass)?;
            let (logits, together) = head.describe(graph, &features, pass)?;
            let mut sum = self.classifier.describe(graph, together)?;
            for level in logits {
                sum = graph.op("Add", &[level, sum]);
            }
            let logits = graph.affine(sum, 1.0 / (LEVELS + 1) as f64, 0.0);
            return Ok(LookValues { logits, features: features[LEVELS - 1], attention: None });
        }
        let features = self.backbone.describe(graph, x, size, pass)?;
        let (input, attention) = match &self.head {
            Head::Pooled => {
                let pooled = graph.mean(features, &[2, 3]);
                (graph.reshape(pooled, &[0, -1]), None)
            }
            Head::Parts { attention, scale } => {
                let attention = attention.describe(graph, features, pass)?;
                let raw = bap::describe_pooling(graph, features, attention);
                let parts = bap::describe_normalising(graph, raw);
                (graph.affine(parts, *scale, 0.0), Some(attention))
            }
            Head::Covariance(pooling) => (pooling.describe(graph, features, pass)?, None),
            Head::Progressive(_) => return Err(several_endpoints()),
        };
        Ok(LookValues { logits: self.classifier.describe(graph, input)?, features, attention })
    }

    /// Describes what [`region`](Self::region) computes of `pictures`, the coarse look's, whose height and width are the two whole
    /// numbers `size`.
    ///
    /// # Errors
    /// If the model has no inverse mapping, or its region is [`RegionSource::Random`](crate::RegionSource::Random).
    pub fn describe_region(
        &self,
        graph: &mut Graph,
        pictures: Value,
        size: Value,
        coarse: &LookValues,
        pass: &Pass,
    ) -> Result<RegionValues> {
        let config = self.config.inverse.as_ref().ok_or_else(without_inverse)?;
        let Some(inverse) = &self.inverse else {
            return fixed::describe(graph, pictures, size, config.source, config.area);
        };
        let attention = coarse.attention.ok_or_else(without_inverse)?;
        let map = inverse.describe(graph, coarse.features, attention, size, pass)?;
        Ok(Region::describe(graph, map, size, config.mode, config.zoom_std))
    }

    /// Describes what [`fine_input`](Self::fine_input) computes of the coarse look's pictures and their `source`.
    ///
    /// # Errors
    /// If the model has no inverse mapping.
    pub fn describe_fine_input(
        &self,
        graph: &mut Graph,
        coarse: Value,
        source: Value,
        region: &RegionValues,
        size: Value,
    ) -> Result<Value> {
        let config = self.config.inverse.as_ref().ok_or_else(without_inverse)?;
        Ok(region::describe(graph, config.mode, coarse, source, region, size))
    }

    /// The attention maps (B, M, h, w) of the backbone's feature maps (B, C, h, w); none without attention.
    ///
    /// # Errors
    /// If `features` are another backbone's.
    pub fn attend(&self, features: &Tensor, pass: &Pass) -> Result<Option<Tensor>> {
        match &self.head {
            Head::Parts { attention, .. } => Ok(Some(attention.run(features, pass)?)),
            Head::Pooled | Head::Covariance(_) | Head::Progressive(_) => Ok(None),
        }
    }

    /// What follows from the backbone's feature maps (B, C, h, w) and, where the head has some, attention maps
    /// (B, M, h, w).
    ///
    /// # Errors
    /// If the shapes don't fit each other or the head.
    pub fn classify(&self, features: Tensor, attention: Option<Tensor>, pass: &Pass) -> Result<Look> {
        let parts = match &attention {
            Some(attention) => Some(normalise_parts(&bilinear_attention_pooling(&features, attention)?)?),
            None => None,
        };
        let input = match (&self.head, &parts) {
            (Head::Parts { scale, .. }, Some(parts)) => parts.affine(*scale, 0.0)?,
            (Head::Covariance(pooling), _) => pooling.run(&features, pass)?,
            (Head::Progressive(_), _) => return Err(several_endpoints()),
            _ => global_avg_pool(&features, Format::ChannelsFirst)?,
        };
        let logits = self.classifier.run(&input, pass)?;
        Ok(Look { logits, parts, features, attention })
    }

    /// Logits (N, K) of N vectors such as the head makes of feature maps: the classifier alone.
    ///
    /// # Errors
    /// If they are of another length than the head's.
    pub fn score(&self, vectors: &Tensor, pass: &Pass) -> Result<Tensor> {
        Ok(self.classifier.run(vectors, pass)?)
    }

    /// Where the coarse look at the pictures found what decides.
    ///
    /// # Errors
    /// If the model has no inverse mapping.
    pub fn region(&self, images: &Images, coarse: &Look, pass: &Pass) -> Result<Region> {
        let config = self.config.inverse.as_ref().ok_or_else(without_inverse)?;
        let (_, _, height, width) = images.coarse.dims4()?;
        let size = (height, width);
        let Some(inverse) = &self.inverse else {
            let boxes = fixed::boxes(images.coarse, config.source, config.area)?;
            return Ok(Region { map: fixed::map(&boxes, size)?, sampling: Some(Sampling::Boxes(boxes)), detail: None });
        };
        let attention = coarse.attention.as_ref().ok_or_else(without_inverse)?;
        let map = inverse.run(&coarse.features, attention, size, pass)?;
        Region::new(map, config.mode, config.zoom_std)
    }

    /// The fine look's input (B, 3, H, W), of the coarse pictures' size.
    ///
    /// # Errors
    /// If the model has no inverse mapping, or the shapes don't fit each other.
    pub fn fine_input(&self, images: &Images, region: &Region) -> Result<Tensor> {
        let config = self.config.inverse.as_ref().ok_or_else(without_inverse)?;
        let scaled = |x: &Tensor| scale_gradient(x, config.gradient_scale);
        let region = Region {
            map: scaled(&region.map)?,
            sampling: region.sampling.as_ref().map(|sampling| sampling.map(scaled)).transpose()?,
            detail: region.detail.as_ref().map(scaled).transpose()?,
        };
        region::apply(config.mode, images.coarse, images.source, &region)
    }

    /// The coarse look with `pass` and, if there is a `fine_pass` and an inverse mapping, the region and the fine look:
    /// the same network with the same weights, at the region. `fine_pass` decides which BatchNorm statistics it uses.
    ///
    /// # Errors
    /// If the images aren't batches of pictures that the backbone can take.
    pub fn run(&self, images: &Images, pass: &Pass, fine_pass: Option<&Pass>) -> Result<Output> {
        let coarse = self.look(images.coarse, pass)?;
        let Some(fine_pass) = fine_pass.filter(|_| self.config.inverse.is_some()) else {
            return Ok(Output { coarse, region: None, fine: None });
        };
        let region = self.region(images, &coarse, pass)?;
        let fine = self.look(&self.fine_input(images, &region)?, fine_pass)?;
        Ok(Output { coarse, region: Some(region), fine: Some(fine) })
    }

    /// The settings that the model was made from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The feature extractor.
    pub fn backbone(&self) -> &dyn Backbone {
        self.backbone.as_ref()
    }
}

impl ModuleT for Model {
    /// Pictures (B, 3, H, W) to the logarithms of the classes' probabilities (B, K): the mean of both looks' or, without an inverse
    /// mapping, the only one's. They are logits, too: `candle_nn::loss::cross_entropy` and `nll` take them. Both looks are by
    /// the same statistics; what has a fine look with its own goes through [`run`](Self::run).
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        let pass = Pass::of(train);
        let output = self.run(&Images { coarse: x, source: x }, &pass, Some(&pass))?;
        let coarse = log_softmax(&output.coarse.logits)?;
        let Some(fine) = output.fine else { return Ok(coarse) };
        let fine = log_softmax(&fine.logits)?;
        let largest = coarse.maximum(&fine)?.detach();
        let sum = ((coarse - &largest)?.exp()? + (fine - &largest)?.exp()?)?;
        sum.log()?.affine(1.0, -std::f64::consts::LN_2)? + largest
    }
}

fn check(config: &ModelConfig) -> Result<()> {
    let positive = |setting: &'static str, value: f64| {
        let message = format!("{value} must be a finite number above 0");
        if value.is_finite() && value > 0.0 { Ok(()) } else { Err(Error::Config { setting, message }) }
    };
    positive("classes", config.classes as f64)?;
    match &config.head {
        HeadConfig::Pooled => {}
        HeadConfig::Parts(parts) => {
            positive("attention.maps", parts.maps as f64)?;
            positive("attention.scale", parts.scale)?;
            positive("attention.gain", parts.gain)?;
        }
        HeadConfig::Covariance(covariance) => positive("covariance.channels", covariance.channels as f64)?,
        HeadConfig::Progressive(progressive) => positive("progressive.channels", progressive.channels as f64)?,
    }
    if let Some(inverse) = &config.inverse {
        positive("inverse.channels", inverse.channels as f64)?;
        positive("inverse.decoder_channels", inverse.decoder_channels as f64)?;
        positive("inverse.zoom_std", inverse.zoom_std)?;
        if !(inverse.area > 0.0 && inverse.area <= 1.0) {
            let message = format!("{} must be above 0 and at most 1", inverse.area);
            return Err(Error::Config { setting: "inverse.area", message });
        }
        if !inverse.source.is_mapped() && inverse.mode != RegionMode::Zoom {
            let message = format!("{:?}: a region that is a box can only be zoomed into", inverse.mode);
            return Err(Error::Config { setting: "inverse.mode", message });
        }
        let settings = [
            ("inverse.open_bias", inverse.open_bias),
            ("inverse.attention_gain", inverse.attention_gain),
            ("inverse.gradient_scale", inverse.gradient_scale),
        ];
        for (setting, value) in settings {
            if !value.is_finite() {
                return Err(Error::Config { setting, message: format!("{value} must be finite") });
            }
        }
        if !matches!(config.head, HeadConfig::Parts(_)) {
            let message = "the inverse mapping needs attention maps, which this head doesn't have".to_owned();
            return Err(Error::Config { setting: "inverse", message });
        }
    }
    Ok(())
}

/// The same values, whose gradient is multiplied by `factor`.
fn scale_gradient(x: &Tensor, factor: f64) -> Result<Tensor> {
    let constant = x.detach();
    // The difference is zero: no value changes, not even in its last bit.
    Ok((&constant + (x - &constant)?.affine(factor, 0.0)?)?)
}

fn without_levels() -> Error {
    Error::Config { setting: "head", message: "this model has no classifiers at several endpoints".to_owned() }
}

fn several_endpoints() -> Error {
    let message = "this head takes the maps of several endpoints: Model::look has them".to_owned();
    Error::Config { setting: "head", message }
}

fn without_inverse() -> Error {
    Error::Config { setting: "inverse", message: "this model has no inverse mapping".to_owned() }
}
