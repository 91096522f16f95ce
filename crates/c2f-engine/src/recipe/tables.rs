//! The tables of a recipe. Their defaults stand in assets/recipes/default.toml.

use c2f_backbone::FeatureConfig;
use c2f_data::Limits;
use serde::{Deserialize, Serialize};

/// `[features]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// The backbone's endpoint where feature maps are taken; empty for its last.
    pub endpoint: String,
    /// The last endpoint of the part of the backbone that stays as it is; empty for none.
    pub freeze: String,
}

impl Features {
    /// The same for the backbone.
    pub fn config(&self) -> FeatureConfig {
        let named = |name: &String| (!name.is_empty()).then(|| name.clone());
        FeatureConfig { endpoint: named(&self.endpoint), freeze: named(&self.freeze) }
    }
}

/// `[optimizer]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Which one.
    pub kind: OptimizerKind,
    /// Peak learning rate of everything but the backbone.
    pub lr: f64,
    /// Learning rate of the backbone, as a factor of `lr`.
    pub backbone_lr_scale: f64,
    /// Learning rate of the layer that makes the attention maps, as a factor of `lr`.
    pub attention_lr_scale: f64,
    /// SGD: momentum in 0..1.
    pub momentum: f64,
    /// SGD: Nesterov's momentum.
    pub nesterov: bool,
    /// AdamW: decay of the mean.
    pub beta1: f64,
    /// AdamW: decay of the squares' mean.
    pub beta2: f64,
    /// AdamW: added to the denominator.
    pub eps: f64,
    /// Not applied to biases and norm weights. In SGD part of the gradient, in AdamW decoupled from it.
    pub weight_decay: f64,
    /// Largest global norm of the gradient; 0 turns clipping off.
    pub clip_norm: f64,
    /// Batches whose mean gradient makes one step.
    pub grad_accum_steps: usize,
}

/// Kinds of optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam with decoupled weight decay.
    Adamw,
}

/// `[schedule]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Which one.
    pub kind: ScheduleKind,
    /// Share of the training, in 0..1, in which the rate rises.
    pub warmup: f64,
    /// Rate at the start, as a factor of the peak.
    pub start_factor: f64,
    /// Rate at the end, as a factor of the peak (one-cycle and cosine).
    pub final_factor: f64,
    /// Epochs between two falls (step).
    pub step_epochs: f64,
    /// Factor of each fall (step).
    pub step_factor: f64,
    /// Epochs without a better one, on the split `val`, after which a run ends; 0: never.
    pub early_stopping: usize,
}

/// Kinds of schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Half a cosine up, half a cosine down.
    OneCycle,
    /// A line up, half a cosine down.
    Cosine,
    /// A line up, then stairs down.
    Step,
}

/// `[augment]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// How a picture that isn't square becomes one, in training and evaluation.
    pub fit: Fit,
    /// Random resized crop: least and largest share of the area.
    pub crop_scale: [f32; 2],
    /// Random resized crop: least and largest width / height.
    pub crop_ratio: [f32; 2],
    /// Probability of a horizontal flip.
    pub flip: f32,
    /// The most degrees of a rotation to either side.
    pub rotation: f32,
    /// Operations drawn from a list.
    pub policy: AugmentPolicy,
    /// RandAugment: operations per picture.
    pub rand_ops: usize,
    /// RandAugment: their magnitude, 0 to 30.
    pub rand_magnitude: usize,
    /// Jitter of the brightness: its factor is in 1 -+ this.
    pub brightness: f32,
    /// Jitter of the contrast: its factor is in 1 -+ this.
    pub contrast: f32,
    /// Jitter of the saturation: its factor is in 1 -+ this.
    pub saturation: f32,
    /// Jitter of the hue, in turns: 0 to 0.5.
    pub hue: f32,
    /// Probability of random erasing.
    pub random_erasing: f32,
    /// Mixup: both parameters of the beta distribution of the shares; 0 turns it off.
    pub mixup: f32,
    /// CutMix: the same.
    pub cutmix: f32,
    /// Centre crop at evaluation, as a share of the resized picture's side.
    pub eval_crop: f32,
}

/// How a picture that isn't square becomes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Its aspect stays, and what is too long is cut off.
    Crop,
    /// It is squashed to a square.
    Squash,
    /// Its aspect stays, in a square of the mean colour.
    Pad,
}

impl From<Fit> for c2f_data::Fit {
    fn from(fit: Fit) -> Self {
        match fit {
            Fit::Crop => Self::Crop,
            Fit::Squash => Self::Squash,
            Fit::Pad => Self::Pad,
        }
    }
}

/// Lists from which operations are drawn for each picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AugmentPolicy {
    /// None.
    None,
    /// torchvision's `TrivialAugmentWide`.
    TrivialAugment,
    /// torchvision's `RandAugment`.
    RandAugment,
}

/// `[attention]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attention {
    /// Attention maps.
    pub maps: usize,
    /// Factor on the part features after their L2 normalisation.
    pub scale: f64,
    /// Length of the rows of the orthogonal initialisation; of the other a factor.
    pub gain: f64,
    /// Whether the maps' responses to training pictures start uncorrelated, in the methods with orthogonal attention weights.
    pub whitened: bool,
}

/// `[inverse]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inverse {
    /// Where the region comes from.
    pub region: RegionFrom,
    /// How the region map is applied.
    pub mode: Mode,
    /// Channels per part after the projection.
    pub channels: usize,
    /// Channels of the decoder.
    pub decoder_channels: usize,
    /// Zoom: half the box's side, in standard deviations of the region map.
    pub zoom_std: f64,
    /// Bias of the region map's last layer at the start: where attention is average, the map starts at its sigmoid.
    pub open_bias: f64,
    /// How much the attention itself opens the region map at the start; learnt from there.
    pub attention_gain: f64,
    /// Factor on the gradient that the fine look sends back through the region map.
    pub gradient_scale: f64,
    /// Length of the gradient that the fine look sends to a picture's attended features, as a share of the coarse look's there; 0: as it
    /// is.
    pub gradient_budget: f64,
    /// Whether every second batch looks at two more boxes, to learn how the loss changes with the box.
    pub probe: Probe,
    /// How far each side of those boxes lies from where it was, as a share of the picture's.
    pub probe_step: f64,
    /// Which steps of the optimiser the looks have.
    pub steps: Steps,
    /// Whether the attended features reach the inverse mapping as constants, so that it learns without them.
    pub detach_attended: bool,
    /// Whether what a cell says is laid where the cell looks.
    pub registered: bool,
    /// Share of the picture that the region should keep.
    pub area_target: f64,
    /// Weight of the area penalty.
    pub area_weight: f64,
    /// Weight of the region map's total variation.
    pub total_variation: f64,
    /// Epochs of stage 1, the coarse look alone.
    pub coarse_epochs: usize,
    /// Side of the picture that the fine look samples its box from, as a multiple of the coarse look's.
    pub source_scale: f64,
    /// Whether BatchNorm keeps statistics of its own for the fine look.
    pub fine_statistics: bool,
}

/// How the region map makes the fine stage's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The picture times the map.
    Mask,
    /// The box that the map's moments span.
    Zoom,
    /// Both.
    MaskZoom,
    /// The box, in which the map decides how much detail a place keeps.
    Detail,
    /// The whole picture, stretched where the map is high.
    Warp,
}

/// Whether there is a probe of the fine look's box.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// None.
    Off,
    /// Each picture's box gets what was found.
    On,
    /// It gets what was found for another picture of the batch: a control.
    Shuffled,
}

/// How the two looks share the steps of the optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Steps {
    /// Each step is of both.
    Joint,
    /// A step of the coarse look, then one of the fine look at the region that the former found.
    Alternate,
}

/// Where the region of the fine stage comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegionFrom {
    /// The inverse mapping.
    Learned,
    /// The attention alone, without a decoder.
    Attention,
    /// A box in the middle, whose share of the picture is the area's target.
    Centre,
    /// The same box anywhere.
    Random,
}

impl RegionFrom {
    /// Whether it is a box that nothing is learnt for.
    pub fn is_fixed(self) -> bool {
        matches!(self, Self::Centre | Self::Random)
    }
}

/// `[ws_dan]`, also of `cal`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WsDan {
    /// Crop: bounds of the threshold, a share of the map's maximum.
    pub crop_threshold: [f32; 2],
    /// Crop: margin around the box, a share of the picture.
    pub crop_padding: f32,
    /// Drop: bounds of the threshold.
    pub drop_threshold: [f32; 2],
    /// Threshold of the crop at test time.
    pub test_threshold: f32,
    /// Margin of the crop at test time.
    pub test_padding: f32,
}

/// `[isqrt_cov]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IsqrtCov {
    /// Channels that the feature maps are reduced to, and whose covariance is taken.
    pub channels: usize,
}

/// `[mc_loss]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McLoss {
    /// Weight of the cross entropy of the channels' responses.
    pub discriminality_weight: f64,
    /// Weight of how alike the channels of a class are.
    pub diversity_weight: f64,
}

/// `[pmg]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pmg {
    /// Values between the layers of each classifier, and half of its maps' channels.
    pub channels: usize,
}

/// `[loss]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Probability that the labels give to all classes evenly.
    pub label_smoothing: f64,
    /// How much the pictures of each class count in the cross entropies.
    pub class_weights: ClassWeights,
    /// Weight of the coarse look's cross entropy.
    pub coarse_weight: f64,
    /// Weight of the fine look's cross entropy.
    pub fine_weight: f64,
    /// Weight of the centre loss in methods with attention.
    pub center_weight: f64,
    /// How fast the centres follow.
    pub center_rate: f64,
    /// Weight of the mean squared correlation between the attention maps' responses.
    pub attention_correlation_weight: f64,
    /// Weight of the mean cosine between attention maps.
    pub attention_similarity_weight: f64,
}

/// How much the pictures of each class count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Each picture as much as another.
    Uniform,
    /// Each class as much as another.
    Balanced,
}

/// `[loader]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loader {
    /// Threads that decode and augment.
    pub threads: usize,
    /// Batches kept ready.
    pub prefetch: usize,
    /// Share of the pictures that may be unreadable.
    pub max_unreadable: f64,
    /// How often each training picture is seen.
    pub sampling: Sampling,
    /// Memory for decoded training pictures, in MiB; 0 for none.
    pub cache_mb: usize,
    /// Folder for decoded training pictures; empty for none.
    pub disk_cache: String,
    /// The most that the folder may hold, in MiB.
    pub disk_cache_mb: usize,
    /// Pictures of more pixels, in millions, aren't read.
    pub max_megapixels: u32,
}

impl Loader {
    /// How large a picture may be.
    pub fn limits(&self) -> Limits {
        Limits { max_megapixels: self.max_megapixels }
    }
}

/// How often each training picture is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Once in an epoch.
    Uniform,
    /// As often as makes all classes equally frequent.
    Balanced,
}

/// `[ema]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ema {
    /// Decay per step of the average of the weights; 0 turns it off.
    pub decay: f64,
}

/// `[checkpoint]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Batches between two saves within an epoch.
    pub every_batches: usize,
    /// Of how many epochs, the last ones, the network is kept besides the best and the last.
    pub keep: usize,
}
