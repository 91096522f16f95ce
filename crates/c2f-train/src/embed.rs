//! Embeddings: a vector for each picture, for search and clustering.

use std::collections::HashMap;
use std::path::Path;

use c2f_backbone::{Backbone, Extent};
use c2f_data::{EvalTransform, Transform};
use c2f_ops::nn::{Params, Pass};
use c2f_ops::{Format, global_avg_pool};
use candle_core::{DType, Device, Tensor};
use image::RgbImage;
use safetensors::tensor::{Dtype, TensorView};

use crate::engine::stack;
use crate::{Error, Network, Result, atomic, load_network};

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
    transform: Transform,
    device: Device,
}

enum Source {
    Network(Box<Network>, Features),
    Backbone(Box<dyn Backbone>),
}

impl Embedder {
    /// By a trained network. Without `features` these are the parts', where the network has them.
    ///
    /// # Errors
    /// If the checkpoint can't be read, or parts are asked of a network that has none.
    pub fn from_checkpoint(checkpoint: &Path, features: Option<Features>, device: &Device) -> Result<Self> {
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
        let transform = network.eval_transform();
        Ok(Self { source: Source::Network(Box::new(network), features), transform, device: device.clone() })
    }

    /// By a pretrained backbone alone: the means of its feature maps. Pictures are resized to `size` / 0.875, the backbone's
    /// own size if there is none, and cropped to `size`.
    ///
    /// # Errors
    /// If there is no such backbone or endpoint, or the weights don't fit it.
    pub fn from_backbone(
        name: &str,
        weights: &Path,
        extent: &Extent,
        size: Option<usize>,
        device: &Device,
    ) -> Result<Self> {
        let params = Params::zeros(device, DType::F32);
        let backbone = c2f_backbone::build(name, &params, extent)?;
        c2f_backbone::load_weights(name, &params, weights)?;
        let info = backbone.info();
        let size = size.unwrap_or(info.input_size);
        if !size.is_multiple_of(info.size_multiple) {
            return Err(Error::field("image size", size, format!("a multiple of {} with {name}", info.size_multiple)));
        }
        let transform = Transform::Eval(EvalTransform {
            resize: (size as f64 / 0.875).round() as usize,
            size,
            source_size: size,
            mean: info.mean,
            std: info.std,
            ..EvalTransform::default()
        });
        Ok(Self { source: Source::Backbone(backbone), transform, device: device.clone() })
    }

    /// (B, D) of B pictures of any size, f32.
    ///
    /// # Errors
    /// If candle fails, such as for lack of memory.
    pub fn embed(&self, pictures: &[RgbImage]) -> Result<Tensor> {
        let views: Vec<_> = pictures.iter().map(|picture| self.transform.apply(picture, 0, 0, 0).coarse).collect();
        let images = stack(views.iter().map(Vec::as_slice), self.transform.size(), &self.device)?;
        let pass = Pass::eval();
        let maps = match &self.source {
            Source::Backbone(backbone) => backbone.forward(&images, &pass)?,
            Source::Network(network, features) => {
                let look = network.model.look(&images, &pass)?;
                match (features, look.parts) {
                    (Features::Parts, Some(parts)) => return Ok(parts),
                    _ => look.features,
                }
            }
        };
        Ok(global_avg_pool(&maps, Format::ChannelsFirst)?)
    }
}

/// The embeddings of pictures, gathered batch by batch.
#[derive(Clone, Debug, Default)]
pub struct Embeddings {
    images: Vec<String>,
    values: Vec<f32>,
}

impl Embeddings {
    /// Adds the embeddings (B, D) of B pictures, given by name.
    ///
    /// # Errors
    /// If there aren't as many embeddings as names.
    pub fn push(&mut self, images: impl IntoIterator<Item = String>, embeddings: &Tensor) -> Result<()> {
        let before = self.images.len();
        self.images.extend(images);
        let (count, _) = embeddings.dims2()?;
        if self.images.len() - before != count {
            let message = format!("{count} embeddings of {} pictures", self.images.len() - before);
            self.images.truncate(before);
            return Err(candle_core::Error::Msg(message).into());
        }
        self.values.extend(embeddings.flatten_all()?.to_vec1::<f32>()?);
        Ok(())
    }

    /// How many pictures, and how many values for each.
    pub fn dims(&self) -> (usize, usize) {
        (self.images.len(), self.values.len() / self.images.len().max(1))
    }

    /// Writes `embeddings` (N, D), f32, as safetensors, whose metadata have `images`, a JSON list of N names. The file
    /// appears whole.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let bytes: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let broken = |e: safetensors::SafeTensorError| Error::checkpoint(path, e.to_string());
        let (count, width) = self.dims();
        let view = TensorView::new(Dtype::F32, vec![count, width], &bytes).map_err(broken)?;
        let metadata = HashMap::from([("images".to_owned(), serde_json::Value::from(self.images.clone()).to_string())]);
        atomic::write(path, &safetensors::serialize([("embeddings", view)], Some(metadata)).map_err(broken)?)
    }
}
