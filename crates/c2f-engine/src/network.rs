//! The network of a recipe, and what it says about pictures.

use std::path::Path;

use c2f_attention::{
    CovarianceConfig, HeadConfig, Images, InverseConfig, Model, ModelConfig, PairInteraction, PartsConfig,
    ProgressiveConfig, RegionMode, RegionSource, box_areas, lay_over, ws_dan,
};
use c2f_backbone::BackboneInfo;
use c2f_data::{ColorJitter, EvalTransform, Place, Policy, TrainTransform, Transform};
use c2f_losses::CenterLoss;
use c2f_ops::nn::{Kind, Params, Pass};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::held_out::{HeldOut, tempered};
use crate::recipe::{AugmentPolicy, ClassWeights, Looks, Method, Mode, Recipe, RegionFrom};
use crate::{Error, Result, Taxonomy, TestViews, TrainedOn};

/// Between the two layers of API-Net's interaction, as in its authors' code.
const PAIR_CHANNELS: usize = 512;

/// Which looks are trained, or have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The coarse look alone: stage 1, and the only one of methods without an inverse mapping.
    Coarse,
    /// The coarse and the fine look: stage 2.
    Fine,
}

/// The model of a recipe with its variables, its classes and the recipe.
pub struct Network {
    /// The model.
    pub model: Model,
    /// Its variables, and the centres of the centre loss.
    pub params: Params,
    /// The centre loss, where the recipe has one.
    pub center: Option<CenterLoss>,
    /// What compares pictures with each other in training, where the method does.
    pub(crate) pairs: Option<PairInteraction>,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// What the network was made from.
    pub recipe: Recipe,
    /// Which looks have been trained: a fine look that hasn't been takes no part in predictions.
    pub stage: Stage,
    /// Which pictures trained it.
    pub trained_on: TrainedOn,
    /// What the classes belong to, where that is known.
    pub taxonomy: Option<Taxonomy>,
    /// That of predictions.
    pub(crate) pass: Pass,
    /// (K): how much each class counts in training where the recipe weighs them; [`Network::weigh_classes`] makes them.
    pub(crate) class_weights: Option<Tensor>,
    /// What pictures that were held out say of it; its temperature is part of every prediction. None before a training has ended, and
    /// where the data set has no split `val`.
    pub held_out: Option<HeldOut>,
}

/// What a network says about B pictures of K classes.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Probabilities (B, K): the mean of the coarse and the fine look's, at the network's temperature. In ws-dan and cal the softmax
    /// of the mean logits.
    pub combined: Tensor,
    /// (B, K): the mean of the looks' logits, which say how [familiar](crate::familiarity) a picture is.
    pub logits: Tensor,
    /// Probabilities (B, K) of the coarse look.
    pub coarse: Tensor,
    /// Probabilities (B, K) of the fine look; in ws-dan and cal of the crop.
    pub fine: Option<Tensor>,
    /// Attention maps (B, M, h, w), zero or more.
    pub attention: Option<Tensor>,
    /// Region map (B, 1, H, W) in (0, 1).
    pub region: Option<Tensor>,
    /// What the fine look sees: (B, 4), as x1, y1, x2, y2 in 0..1 of the picture.
    pub boxes: Option<Tensor>,
    /// (B): the share of each picture that the fine look sees, in 0..=1; none without a fine look.
    pub area: Option<Tensor>,
}

impl Network {
    /// A network with initial weights from the recipe's seed. Its backbone is not pretrained: see
    /// [`load_pretrained`](Self::load_pretrained).
    ///
    /// # Errors
    /// If the recipe is wrong or there are fewer than two classes.
    pub fn new(recipe: &Recipe, classes: Vec<String>, device: &Device) -> Result<Self> {
        Self::with_params(recipe, classes, &Params::new(device, DType::F32, recipe.seed))
    }

    /// A network whose variables are kept, and started, by `params`, which is empty.
    pub(crate) fn with_params(recipe: &Recipe, classes: Vec<String>, params: &Params) -> Result<Self> {
        recipe.validate()?;
        if classes.len() < 2 {
            let message = format!("{} classes, at least 2 are needed", classes.len());
            return Err(Error::Dataset { name: recipe.data.clone().unwrap_or_default(), message });
        }
        let method = recipe.method;
        let separate = method.has_inverse() && recipe.inverse.fine_statistics;
        let params = params.with_statistics(if separate { 2 } else { 1 });
        let backbone = c2f_backbone::build(&recipe.backbone, &params.at("backbone"), &recipe.features.config())?;
        let channels = backbone.endpoint().channels;
        if method == Method::McLoss && channels < classes.len() {
            let expected = format!(
                "an endpoint of a channel or more for each of the {} classes, and {} of {} has {channels}",
                classes.len(),
                backbone.endpoint().name,
                recipe.backbone,
            );
            return Err(Error::field("method", method, expected));
        }
        let model = Model::new(backbone, &params, &config(recipe, classes.len()))?;
        let center = (center_weight(recipe) > 0.0).then(|| {
            CenterLoss::new(
                &params.at("center"),
                classes.len(),
                recipe.attention.maps * channels,
                recipe.loss.center_rate,
            )
        });
        let pairs =
            (method == Method::ApiNet).then(|| PairInteraction::new(&params.at("pairs"), channels, PAIR_CHANNELS));
        Ok(Self {
            model,
            pairs: pairs.transpose()?,
            params,
            center: center.transpose()?,
            classes,
            recipe: recipe.clone(),
            stage: if method.has_inverse() { Stage::Fine } else { Stage::Coarse },
            trained_on: TrainedOn::default(),
            taxonomy: None,
            pass: Pass::eval(),
            class_weights: None,
            held_out: None,
        })
    }

    /// The network as it is used from now on: its weights don't change any more, so that what predictions make of them is made once.
    #[must_use]
    pub fn finished(self) -> Self {
        Self { pass: Pass::finished(), ..self }
    }

    /// The number of trained values.
    pub fn parameter_count(&self) -> usize {
        let entries = self.params.entries();
        entries.iter().filter(|entry| entry.kind == Kind::Parameter).map(|entry| entry.var.elem_count()).sum()
    }

    /// Loads pretrained weights into the backbone.
    ///
    /// # Errors
    /// If the file can't be read, or fits another backbone.
    pub fn load_pretrained(&self, file: &Path) -> Result<c2f_backbone::LoadReport> {
        Ok(c2f_backbone::load_weights(&self.recipe.backbone, &self.params.at("backbone"), file)?)
    }

    /// Prepares a training on pictures with these labels, where the recipe has classes count alike (`loss.class_weights`).
    ///
    /// # Errors
    /// If the device fails.
    pub fn weigh_classes(&mut self, labels: impl IntoIterator<Item = usize>) -> Result<()> {
        if self.recipe.loss.class_weights == ClassWeights::Balanced {
            let weights = c2f_losses::balanced_class_weights(labels, self.classes.len());
            self.class_weights = Some(Tensor::new(weights, self.params.device())?);
        }
        Ok(())
    }

    /// The transform of evaluation: the centre crop, normalised as the backbone wants it.
    pub fn eval_transform(&self) -> Transform {
        Transform::Eval(self.eval_transform_at(Place::Center, false))
    }

    /// The transform of each view of an evaluation that averages over several, the centre crop's first.
    pub fn test_transforms(&self, views: TestViews) -> Vec<Transform> {
        views.transforms(&self.eval_transform_at(Place::Center, false))
    }

    /// The same with the crop at another place, or mirrored.
    pub(crate) fn eval_transform_at(&self, place: Place, flip: bool) -> EvalTransform {
        let info = self.model.backbone().info();
        let size = self.recipe.image_size;
        EvalTransform {
            fit: self.recipe.augment.fit.into(),
            place,
            flip,
            resize: (size as f64 / f64::from(self.recipe.augment.eval_crop)).round() as usize,
            size,
            source_size: self.source_size(),
            mean: info.mean,
            std: info.std,
        }
    }

    /// The transform of training: random crop, flip, and what else the recipe has.
    pub fn train_transform(&self) -> Transform {
        train_transform(&self.recipe, self.model.backbone().info())
    }

    /// Side of the picture that the fine look samples from, in pixels.
    pub fn source_size(&self) -> usize {
        source_size(&self.recipe)
    }

    /// Epochs of stage 1; none for a method without a fine stage.
    pub fn coarse_epochs(&self) -> Option<usize> {
        self.recipe.method.has_inverse().then_some(self.recipe.inverse.coarse_epochs)
    }

    /// The pass of the fine look that goes with `pass` of the coarse one.
    pub fn fine_pass(&self, pass: Pass) -> Pass {
        if self.recipe.inverse.fine_statistics { pass.with_statistics(1) } else { pass }
    }

    /// Copies the coarse look's running statistics to the fine look's: the fine stage starts as the coarse one.
    ///
    /// # Errors
    /// If candle fails.
    pub fn start_fine_statistics(&self) -> Result<()> {
        for entry in self.params.entries() {
            if let Some(coarse) = coarse_statistic(&entry.name).and_then(|name| self.params.get(&name)) {
                entry.var.set(&coarse.var.as_tensor().copy()?)?;
            }
        }
        Ok(())
    }

    /// Classifies normalised pictures (B, 3, H, W). `source` (B, 3, H', W') are the same pictures as the fine look samples
    /// them; none means `images`. No graph is kept.
    ///
    /// # Errors
    /// If the shapes don't fit.
    pub fn predict(&self, images: &Tensor, source: Option<&Tensor>) -> Result<Prediction> {
        let prediction = self.predict_untempered(images, source.unwrap_or(images))?;
        match &self.held_out {
            Some(HeldOut { temperature, .. }) => {
                Ok(Prediction { combined: tempered(&prediction.combined, *temperature)?, ..prediction })
            }
            None => Ok(prediction),
        }
    }

    fn predict_untempered(&self, images: &Tensor, source: &Tensor) -> Result<Prediction> {
        match self.recipe.method.looks() {
            Looks::Crop => self.predict_crop(images, source),
            Looks::Region if self.stage == Stage::Fine => {
                let fine_pass = self.fine_pass(self.pass);
                let output = self.model.run(&Images { coarse: images, source }, &self.pass, Some(&fine_pass))?;
                let coarse = softmax(&output.coarse.logits)?;
                let (combined, fine, logits) = match output.fine {
                    Some(look) => {
                        let fine = softmax(&look.logits)?;
                        let logits = mean(&output.coarse.logits, &look.logits)?;
                        (mean(&coarse, &fine)?, Some(fine), logits)
                    }
                    None => (coarse.clone(), None, output.coarse.logits),
                };
                let boxes = output.region.as_ref().and_then(|region| region.boxes().cloned());
                let area = match (&boxes, &output.region) {
                    (Some(boxes), _) => Some(box_areas(boxes)?),
                    (None, Some(region)) => Some(region.area()?),
                    (None, None) => None,
                };
                let region = output.region.map(|region| region.map);
                let attention = output.coarse.attention;
                Ok(Prediction { combined, logits, coarse, fine, attention, region, boxes, area })
            }
            _ => {
                let look = self.model.look(images, &self.pass)?;
                let coarse = softmax(&look.logits)?;
                Ok(Prediction {
                    combined: coarse.clone(),
                    logits: look.logits,
                    coarse,
                    fine: None,
                    attention: look.attention,
                    region: None,
                    boxes: None,
                    area: None,
                })
            }
        }
    }

    /// Attention maps (B, M, h, w), laid over a picture of `size` where the recipe wants each value where its cell looks
    /// (`inverse.registered`).
    pub(crate) fn registered(&self, maps: &Tensor, size: (usize, usize)) -> Result<Tensor> {
        if !self.recipe.inverse.registered {
            return Ok(maps.clone());
        }
        Ok(lay_over(maps, self.model.backbone().endpoint(), size)?)
    }

    /// Raw picture and crop around the mean attention (WS-DAN, section 3.3).
    fn predict_crop(&self, images: &Tensor, source: &Tensor) -> Result<Prediction> {
        let settings = &self.recipe.ws_dan;
        let raw = self.model.look(images, &self.pass)?;
        let attention = attention_of(raw.attention.as_ref())?;
        let (pictures, _, height, width) = images.dims4()?;
        let size = (height, width);
        let thresholds = vec![settings.test_threshold; pictures];
        let map = self.registered(&ws_dan::mean_map(attention)?, size)?;
        let boxes = ws_dan::crop_boxes(&map, size, &thresholds, settings.test_padding)?;
        let crop = self.model.look(&ws_dan::crop(source, &boxes, size)?, &self.pass)?;
        let flat: Vec<f32> = boxes.iter().flatten().copied().collect();
        let boxes = Tensor::from_vec(flat, (pictures, 4), &Device::Cpu)?;
        let logits = mean(&raw.logits, &crop.logits)?;
        Ok(Prediction {
            combined: softmax(&logits)?,
            logits,
            coarse: softmax(&raw.logits)?,
            fine: Some(softmax(&crop.logits)?),
            area: Some(box_areas(&boxes)?),
            boxes: Some(boxes),
            attention: raw.attention,
            region: None,
        })
    }
}

/// The transform of training of a recipe whose backbone is `info`'s.
pub fn train_transform(recipe: &Recipe, info: &BackboneInfo) -> Transform {
    let augment = &recipe.augment;
    Transform::Train(TrainTransform {
        fit: augment.fit.into(),
        size: recipe.image_size,
        source_size: source_size(recipe),
        scale: augment.crop_scale.into(),
        ratio: augment.crop_ratio.into(),
        flip: augment.flip,
        rotation: augment.rotation,
        policy: match augment.policy {
            AugmentPolicy::None => Policy::None,
            AugmentPolicy::TrivialAugment => Policy::TrivialAugment,
            AugmentPolicy::RandAugment => {
                Policy::RandAugment { ops: augment.rand_ops, magnitude: augment.rand_magnitude }
            }
        },
        jitter: ColorJitter {
            brightness: augment.brightness,
            contrast: augment.contrast,
            saturation: augment.saturation,
            hue: augment.hue,
        },
        erase: augment.random_erasing,
        mean: info.mean,
        std: info.std,
    })
}

/// What isn't sampled in a box isn't made.
fn source_size(recipe: &Recipe) -> usize {
    let zooms = match recipe.method.looks() {
        Looks::One => false,
        Looks::Crop => true,
        Looks::Region => recipe.inverse.mode != Mode::Mask,
    };
    let scale = if zooms { recipe.inverse.source_scale } else { 1.0 };
    (recipe.image_size as f64 * scale).round() as usize
}

/// For the name of one of the fine look's running statistics, that of the coarse look's.
pub(crate) fn coarse_statistic(name: &str) -> Option<String> {
    let (prefix, statistic) = name.rsplit_once("fine_running_")?;
    Some(format!("{prefix}running_{statistic}"))
}

/// The attention maps of a look of a method that has them.
pub(crate) fn attention_of<T>(attention: Option<T>) -> Result<T> {
    attention.ok_or_else(|| Error::field("method", Method::Baseline, "a method with attention"))
}

fn config(recipe: &Recipe, classes: usize) -> ModelConfig {
    let method = recipe.method;
    let inverse = method.has_inverse().then_some(InverseConfig {
        source: match recipe.inverse.region {
            RegionFrom::Learned => RegionSource::Learned,
            RegionFrom::Attention => RegionSource::Attention,
            RegionFrom::Centre => RegionSource::Centre,
            RegionFrom::Random => RegionSource::Random,
        },
        area: recipe.inverse.area_target.max(f64::MIN_POSITIVE),
        mode: match recipe.inverse.mode {
            Mode::Mask => RegionMode::Mask,
            Mode::Zoom => RegionMode::Zoom,
            Mode::MaskZoom => RegionMode::MaskZoom,
            Mode::Detail => RegionMode::Detail,
            Mode::Warp => RegionMode::Warp,
        },
        channels: recipe.inverse.channels,
        decoder_channels: recipe.inverse.decoder_channels,
        zoom_std: recipe.inverse.zoom_std,
        open_bias: recipe.inverse.open_bias,
        attention_gain: recipe.inverse.attention_gain,
        gradient_scale: recipe.inverse.gradient_scale,
        detach_attended: recipe.inverse.detach_attended,
        registered: recipe.inverse.registered,
    });
    ModelConfig { classes, head: head(recipe), inverse }
}

fn head(recipe: &Recipe) -> HeadConfig {
    match recipe.method {
        Method::Baseline | Method::McLoss | Method::ApiNet => HeadConfig::Pooled,
        Method::IsqrtCov => HeadConfig::Covariance(CovarianceConfig { channels: recipe.isqrt_cov.channels }),
        Method::Pmg => HeadConfig::Progressive(ProgressiveConfig { channels: recipe.pmg.channels }),
        method => HeadConfig::Parts(PartsConfig {
            maps: recipe.attention.maps,
            scale: recipe.attention.scale,
            orthogonal: method.is_orthogonal(),
            gain: recipe.attention.gain,
        }),
    }
}

/// Weight of the centre loss of the recipe's method.
pub(crate) fn center_weight(recipe: &Recipe) -> f64 {
    if recipe.method.has_attention() { recipe.loss.center_weight } else { 0.0 }
}

fn mean(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((a + b)?.affine(0.5, 0.0)?)
}

fn softmax(logits: &Tensor) -> Result<Tensor> {
    Ok(c2f_ops::log_softmax(logits)?.exp()?)
}
