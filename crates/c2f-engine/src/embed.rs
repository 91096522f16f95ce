//! Embeddings: a vector for each picture, for search and clustering.

use std::path::Path;

use c2f_backbone::{Backbone, FeatureConfig};
use c2f_data::{EvalTransform, Limits, Transform, Views};
use c2f_ops::nn::{Params, Pass};
use c2f_ops::{Format, global_avg_pool};
use candle_core::{DType, Device, Tensor};

use crate::evaluate::{mean_over_views, stack, view_by_view};
use crate::{Error, Network, Result, TestViews, load_network};

/// What an embedding is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// (M * C) part features of the coarse look, of length 1; only of a method with attention.
    Parts,
    /// (C) means of the feature maps.
    Pooled,
}

/// Turns pictures into vectors.
pub struct Embedder {
    source: Source,
    transforms: Vec<Transform>,
    device: Device,
}

enum Source {
    Network(Box<Network>, Features),
    Backbone(Box<dyn Backbone>),
}

impl Embedder {
    /// By a trained network. Without `features` these are the parts', where the network has them. Of several `views` the
    /// embedding is the mean, of length 1 again where it is the parts'.
    ///
    /// # Errors
    /// If the checkpoint can't be read, or parts are asked of a network that has none.
    pub fn from_checkpoint(
        checkpoint: &Path,
        features: Option<Features>,
        views: TestViews,
        device: &Device,
    ) -> Result<Self> {
        let network = load_network(checkpoint, device)?;
        let method = network.recipe.method;
        let has_parts = method.has_attention();
        let features = features.unwrap_or(if has_parts { Features::Parts } else { Features::Pooled });
        if features == Features::Parts && !has_parts {
            return Err(Error::Usage(format!(
                "{}: a network of the method {method} has no parts",
                checkpoint.display()
            )));
        }
        let transforms = network.test_transforms(views);
        Ok(Self { source: Source::Network(Box::new(network), features), transforms, device: device.clone() })
    }

    /// By a pretrained backbone alone: the means of its feature maps. Pictures are resized to `size` / 0.875, the backbone's
    /// own size if there is none, and cropped to `size`; of several `views` the embedding is the mean.
    ///
    /// # Errors
    /// If there is no such backbone or endpoint, or the weights don't fit it.
    pub fn from_backbone(
        name: &str,
        weights: &Path,
        features: &FeatureConfig,
        size: Option<usize>,
        views: TestViews,
        device: &Device,
    ) -> Result<Self> {
        let params = Params::zeros(device, DType::F32);
        let backbone = c2f_backbone::build(name, &params, features)?;
        c2f_backbone::load_weights(name, &params, weights)?;
        let info = backbone.info();
        let size = size.unwrap_or(info.input_size);
        if !size.is_multiple_of(info.size_multiple) {
            return Err(Error::field("image size", size, format!("a multiple of {} with {name}", info.size_multiple)));
        }
        let centre = EvalTransform {
            resize: (size as f64 / 0.875).round() as usize,
            size,
            source_size: size,
            mean: info.mean,
            std: info.std,
            ..EvalTransform::default()
        };
        Ok(Self { source: Source::Backbone(backbone), transforms: views.transforms(&centre), device: device.clone() })
    }

    /// How large a picture may be: what the recipe of a checkpoint says.
    pub fn limits(&self) -> Limits {
        match &self.source {
            Source::Network(network, _) => network.recipe.loader.limits(),
            Source::Backbone(_) => Limits::default(),
        }
    }

    /// How a picture becomes each of the views that [`Self::embed`] takes of it.
    pub fn transforms(&self) -> &[Transform] {
        &self.transforms
    }

    /// (B, D) of B pictures, f32. Each has the views of [`Self::transforms`].
    ///
    /// # Errors
    /// If candle fails, such as for lack of memory.
    pub fn embed(&self, pictures: &[Vec<Views>]) -> Result<Tensor> {
        let views = view_by_view(&pictures.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let images = stack(views.iter().map(|view| view.coarse.as_slice()), self.transforms[0].size(), &self.device)?;
        let (values, of_parts) = self.forward(&images)?;
        let mean = mean_over_views(&values, pictures.len())?;
        if !of_parts || self.transforms.len() == 1 {
            return Ok(mean);
        }
        // Only of parts that are all zero is it zero.
        let length = mean.sqr()?.sum_keepdim(1)?.sqrt()?.clamp(1e-12, f64::MAX)?;
        Ok(mean.broadcast_div(&length)?)
    }

    /// (B, D) of B views, and whether these are part features.
    fn forward(&self, images: &Tensor) -> Result<(Tensor, bool)> {
        let pass = Pass::finished();
        let maps = match &self.source {
            Source::Backbone(backbone) => backbone.run(images, &pass)?,
            Source::Network(network, features) => {
                let look = network.model.look(images, &pass)?;
                match (features, look.parts) {
                    (Features::Parts, Some(parts)) => return Ok((parts, true)),
                    _ => look.features,
                }
            }
        };
        Ok((global_avg_pool(&maps, Format::ChannelsFirst)?, false))
    }
}
