//! The ranges of a recipe's fields.

use super::{ClassWeights, Method, Mode, Probe, Recipe, Steps};
use crate::{Error, Result};

/// Pixels in a batch, before anything is computed of them: 6 GiB of values, and many times that in the network.
const MOST_PIXELS: f64 = (1_u64 << 29) as f64;

impl Recipe {
    /// Whether every field is in its range.
    ///
    /// # Errors
    /// Names the first field that isn't, with its range; likewise an unknown backbone and a data set that can't be named.
    pub fn validate(&self) -> Result<()> {
        c2f_backbone::endpoint(&self.backbone, &self.features.config())?;
        if let Some(data) = &self.data {
            // One of the hub is named by its files once it is on this machine.
            if !data.starts_with("hub:") {
                data.parse::<c2f_data::Spec>()?;
            }
        }
        // TOML has no larger ones.
        whole("seed", self.seed as usize, 0..=i64::MAX as usize)?;
        whole("epochs", self.epochs, 1..=100_000)?;
        whole("batch_size", self.batch_size, 1..=4096)?;
        whole("image_size", self.image_size, 32..=2048)?;
        let multiple = c2f_backbone::info(&self.backbone)?.size_multiple;
        within(self.image_size.is_multiple_of(multiple), || {
            Error::field("image_size", self.image_size, format!("a multiple of {multiple} with {}", self.backbone))
        })?;

        let optimizer = &self.optimizer;
        real("optimizer.lr", optimizer.lr, 0.0..=100.0)?;
        real("optimizer.backbone_lr_scale", optimizer.backbone_lr_scale, 0.0..=100.0)?;
        real("optimizer.attention_lr_scale", optimizer.attention_lr_scale, 0.0..=100.0)?;
        below_one("optimizer.momentum", optimizer.momentum)?;
        if optimizer.nesterov && optimizer.momentum == 0.0 {
            return Err(Error::field("optimizer.momentum", 0, "more than 0 with optimizer.nesterov"));
        }
        below_one("optimizer.beta1", optimizer.beta1)?;
        below_one("optimizer.beta2", optimizer.beta2)?;
        real("optimizer.eps", optimizer.eps, 1e-16..=1.0)?;
        real("optimizer.weight_decay", optimizer.weight_decay, 0.0..=1.0)?;
        real("optimizer.clip_norm", optimizer.clip_norm, 0.0..=1e9)?;
        whole("optimizer.grad_accum_steps", optimizer.grad_accum_steps, 1..=1024)?;

        let schedule = &self.schedule;
        below_one("schedule.warmup", schedule.warmup)?;
        real("schedule.start_factor", schedule.start_factor, 0.0..=1.0)?;
        real("schedule.final_factor", schedule.final_factor, 0.0..=1.0)?;
        real("schedule.step_epochs", schedule.step_epochs, 1e-3..=1e5)?;
        real("schedule.step_factor", schedule.step_factor, 0.0..=1.0)?;

        let augment = &self.augment;
        interval("augment.crop_scale", augment.crop_scale, 0.01, 1.0)?;
        interval("augment.crop_ratio", augment.crop_ratio, 0.1, 10.0)?;
        real("augment.flip", augment.flip.into(), 0.0..=1.0)?;
        real("augment.rotation", augment.rotation.into(), 0.0..=180.0)?;
        whole("augment.rand_ops", augment.rand_ops, 1..=14)?;
        whole("augment.rand_magnitude", augment.rand_magnitude, 0..=c2f_data::transform::LARGEST_MAGNITUDE)?;
        real("augment.random_erasing", augment.random_erasing.into(), 0.0..=1.0)?;
        real("augment.mixup", augment.mixup.into(), 0.0..=100.0)?;
        real("augment.cutmix", augment.cutmix.into(), 0.0..=100.0)?;
        // A mixed picture has no class to whose centre it belongs.
        within(augment.mixup.max(augment.cutmix) == 0.0 || crate::network::center_weight(self) == 0.0, || {
            Error::field("augment.mixup and augment.cutmix", "on", "0 with a centre loss (or loss.center_weight = 0)")
        })?;
        within(augment.mixup.max(augment.cutmix) == 0.0 || self.method != Method::ApiNet, || {
            Error::field(
                "augment.mixup and augment.cutmix",
                "on",
                "0 with method = api-net, which pairs pictures of one class",
            )
        })?;
        real("augment.brightness", augment.brightness.into(), 0.0..=1.0)?;
        real("augment.contrast", augment.contrast.into(), 0.0..=1.0)?;
        real("augment.saturation", augment.saturation.into(), 0.0..=1.0)?;
        real("augment.hue", augment.hue.into(), 0.0..=0.5)?;
        real("augment.eval_crop", augment.eval_crop.into(), 0.1..=1.0)?;

        whole("attention.maps", self.attention.maps, 1..=512)?;
        real("attention.scale", self.attention.scale, 1e-3..=1e4)?;
        real("attention.gain", self.attention.gain, 1e-3..=1e3)?;

        let inverse = &self.inverse;
        whole("inverse.channels", inverse.channels, 1..=1024)?;
        whole("inverse.decoder_channels", inverse.decoder_channels, 1..=1024)?;
        real("inverse.zoom_std", inverse.zoom_std, 0.1..=10.0)?;
        real("inverse.open_bias", inverse.open_bias, -20.0..=20.0)?;
        real("inverse.attention_gain", inverse.attention_gain, 0.0..=100.0)?;
        real("inverse.gradient_scale", inverse.gradient_scale, 0.0..=100.0)?;
        real("inverse.gradient_budget", inverse.gradient_budget, 0.0..=100.0)?;
        within(inverse.steps == Steps::Joint || inverse.gradient_budget == 0.0, || {
            Error::field(
                "inverse.gradient_budget",
                inverse.gradient_budget,
                "0 with inverse.steps = alternate, which has no such gradient",
            )
        })?;
        within(inverse.steps == Steps::Joint || optimizer.grad_accum_steps == 1, || {
            Error::field("optimizer.grad_accum_steps", optimizer.grad_accum_steps, "1 with inverse.steps = alternate")
        })?;
        real("inverse.probe_step", inverse.probe_step, 1e-3..=0.5)?;
        let is_joint = inverse.steps == Steps::Joint && inverse.gradient_budget == 0.0;
        within(inverse.probe == Probe::Off || is_joint, || {
            Error::field("inverse.probe", "on", "off with inverse.steps = alternate or an inverse.gradient_budget")
        })?;
        within(inverse.probe == Probe::Off || !matches!(inverse.mode, Mode::Mask | Mode::Warp), || {
            Error::field("inverse.probe", "on", "off with inverse.mode = mask or warp, which have no box")
        })?;
        real("inverse.area_target", inverse.area_target, 0.0..=1.0)?;
        within(!inverse.region.is_fixed() || (inverse.mode == Mode::Zoom && inverse.area_target > 0.0), || {
            Error::field("inverse.region", "a box", "inverse.mode = zoom and an inverse.area_target above 0")
        })?;
        real("inverse.area_weight", inverse.area_weight, 0.0..=1e3)?;
        real("inverse.total_variation", inverse.total_variation, 0.0..=1e3)?;
        real("inverse.source_scale", inverse.source_scale, 1.0..=8.0)?;
        let side = self.image_size as f64 * inverse.source_scale;
        let most = (MOST_PIXELS / (side * side)) as usize;
        within(self.batch_size <= most, || {
            let sizes = format!("image_size = {} and inverse.source_scale = {}", self.image_size, inverse.source_scale);
            Error::field("batch_size", self.batch_size, format!("at most {most} with {sizes}"))
        })?;

        let ws_dan = &self.ws_dan;
        interval("ws_dan.crop_threshold", ws_dan.crop_threshold, 0.0, 1.0)?;
        interval("ws_dan.drop_threshold", ws_dan.drop_threshold, 0.0, 1.0)?;
        real("ws_dan.crop_padding", ws_dan.crop_padding.into(), 0.0..=1.0)?;
        real("ws_dan.test_threshold", ws_dan.test_threshold.into(), 0.0..=1.0)?;
        real("ws_dan.test_padding", ws_dan.test_padding.into(), 0.0..=1.0)?;

        whole("isqrt_cov.channels", self.isqrt_cov.channels, 1..=1024)?;
        real("mc_loss.discriminality_weight", self.mc_loss.discriminality_weight, 0.0..=1e3)?;
        real("mc_loss.diversity_weight", self.mc_loss.diversity_weight, 0.0..=1e3)?;
        whole("pmg.channels", self.pmg.channels, 1..=1024)?;
        let is_pmg = self.method == Method::Pmg;
        within(!is_pmg || self.image_size.is_multiple_of(8), || {
            Error::field(
                "image_size",
                self.image_size,
                "a multiple of 8 with method = pmg, which cuts pictures into 8 x 8 pieces",
            )
        })?;
        within(!is_pmg || optimizer.grad_accum_steps == 1, || {
            let expected = "1 with method = pmg, whose batches have four steps each";
            Error::field("optimizer.grad_accum_steps", optimizer.grad_accum_steps, expected)
        })?;

        let loss = &self.loss;
        below_one("loss.label_smoothing", loss.label_smoothing)?;
        let is_mixed = augment.mixup.max(augment.cutmix) > 0.0;
        within(loss.class_weights == ClassWeights::Uniform || !is_mixed, || {
            Error::field(
                "loss.class_weights",
                "balanced",
                "uniform with mixup or cutmix, whose pictures have no one class",
            )
        })?;
        real("loss.coarse_weight", loss.coarse_weight, 0.0..=1e3)?;
        real("loss.fine_weight", loss.fine_weight, 0.0..=1e3)?;
        within(loss.coarse_weight + loss.fine_weight > 0.0, || {
            Error::field("loss.coarse_weight and loss.fine_weight", 0, "not 0 both")
        })?;
        real("loss.center_weight", loss.center_weight, 0.0..=1e3)?;
        real("loss.center_rate", loss.center_rate, 0.0..=1.0)?;
        real("loss.attention_similarity_weight", loss.attention_similarity_weight, 0.0..=1e3)?;
        real("loss.attention_correlation_weight", loss.attention_correlation_weight, 0.0..=1e3)?;

        whole("loader.threads", self.loader.threads, 1..=256)?;
        whole("loader.prefetch", self.loader.prefetch, 1..=64)?;
        real("loader.max_unreadable", self.loader.max_unreadable, 0.0..=1.0)?;
        whole("loader.cache_mb", self.loader.cache_mb, 0..=1 << 24)?;
        whole("loader.disk_cache_mb", self.loader.disk_cache_mb, 1..=1 << 30)?;
        whole("loader.max_megapixels", self.loader.max_megapixels as usize, 1..=4000)?;
        below_one("ema.decay", self.ema.decay)?;
        whole("schedule.early_stopping", schedule.early_stopping, 0..=100_000)?;
        whole("checkpoint.keep", self.checkpoint.keep, 0..=100_000)?;
        whole("checkpoint.every_batches", self.checkpoint.every_batches, 1..=1_000_000)
    }
}

fn whole(field: &str, value: usize, range: std::ops::RangeInclusive<usize>) -> Result<()> {
    within(range.contains(&value), || Error::field(field, value, format!("{} to {}", range.start(), range.end())))
}

/// NaN is in no range.
fn real(field: &str, value: f64, range: std::ops::RangeInclusive<f64>) -> Result<()> {
    within(range.contains(&value), || Error::field(field, value, format!("{} to {}", range.start(), range.end())))
}

fn below_one(field: &str, value: f64) -> Result<()> {
    within((0.0..1.0).contains(&value), || Error::field(field, value, "0 or more and less than 1"))
}

fn interval(field: &str, [least, most]: [f32; 2], lower: f32, upper: f32) -> Result<()> {
    within(lower <= least && least <= most && most <= upper, || {
        Error::field(field, format!("[{least}, {most}]"), format!("[a, b] with {lower} <= a <= b <= {upper}"))
    })
}

fn within(inside: bool, error: impl FnOnce() -> Error) -> Result<()> {
    if inside { Ok(()) } else { Err(error()) }
}
