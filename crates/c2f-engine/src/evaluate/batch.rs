//! A batch on the device.

use c2f_data::{Batch, Views};
use candle_core::{Device, Tensor};

use crate::Result;

/// B pictures with their labels, as the network takes them.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// (B, 3, S, S), normalised.
    pub images: Tensor,
    /// (B, 3, S', S'): the same pictures at another resolution, for the fine look. None: `images` are its source.
    pub source: Option<Tensor>,
    /// (B), u32.
    pub labels: Tensor,
    /// (B, K), f32: the share of each class in mixed pictures. None: each picture is of its label's class alone.
    pub targets: Option<Tensor>,
}

impl Inputs {
    /// Moves a batch to the device.
    ///
    /// # Errors
    /// If the batch has other sizes than it says, or the device fails.
    pub fn new(batch: Batch, device: &Device) -> Result<Self> {
        let pictures = batch.labels.len();
        let tensor = |pixels: Vec<f32>, size: usize| Tensor::from_vec(pixels, (pictures, 3, size, size), device);
        Ok(Self {
            images: tensor(batch.images, batch.size)?,
            source: batch.source.map(|pixels| tensor(pixels, batch.source_size)).transpose()?,
            labels: Tensor::from_vec(batch.labels, pictures, device)?,
            targets: None,
        })
    }

    /// What the fine look samples from.
    pub fn source(&self) -> &Tensor {
        self.source.as_ref().unwrap_or(&self.images)
    }
}

/// (B, 3, size, size) of B views, each (3, size, size).
pub(crate) fn stack<'a>(
    views: impl ExactSizeIterator<Item = &'a [f32]>,
    size: usize,
    device: &Device,
) -> Result<Tensor> {
    let count = views.len();
    let pixels: Vec<f32> = views.flatten().copied().collect();
    Ok(Tensor::from_vec(pixels, (count, 3, size, size), device)?)
}

/// The views of B pictures, as many of each, in the order in which they go through the network as one batch: the first of
/// each picture, then the second of each.
pub(crate) fn view_by_view<'a>(pictures: &[&'a [Views]]) -> Vec<&'a Views> {
    let of_each = pictures.first().map_or(0, |views| views.len());
    (0..of_each).flat_map(|view| pictures.iter().map(move |views| &views[view])).collect()
}

/// (B, K) of the values (V * B, K) of V views, which stand as [`view_by_view`] orders them.
pub(crate) fn mean_over_views(values: &Tensor, pictures: usize) -> Result<Tensor> {
    let of_each = values.dim(0)? / pictures;
    // The mean of one is itself, without a copy.
    Ok(if of_each == 1 { values.clone() } else { values.reshape((of_each, pictures, ()))?.mean(0)? })
}
