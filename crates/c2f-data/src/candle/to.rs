//! From our data sets to candle's.

use candle_core::{DType, Device, Tensor};
use candle_datasets::vision;

use crate::{Dataset, Error, EvalTransform, Fit, Loader, LoaderConfig, Result, Sample, Transform};

impl Dataset {
    /// The splits `train` and `test` as one of candle's data sets, all of whose pictures are in memory: [`tensors`] of each.
    ///
    /// # Errors
    /// If the data set has no such splits, and as [`tensors`].
    pub fn to_candle(&self, side: usize) -> Result<vision::Dataset> {
        let (train_images, train_labels) = tensors(self.split("train")?, side)?;
        let (test_images, test_labels) = tensors(self.split("test")?, side)?;
        Ok(vision::Dataset { train_images, train_labels, test_images, test_labels, labels: self.classes.len() })
    }
}

/// Images (N, 3, `side`, `side`) and labels (N) of samples, on the CPU.
///
/// Images are f32 in 0..1, with the bits that candle's own loaders give. A picture of another size is resized, and squashed if it isn't
/// square. Labels are u32: the u8 of candle's loaders doesn't count to 256.
///
/// # Errors
/// If there is no sample, `side` is 0, a picture can't be read, or candle fails.
pub fn tensors(samples: &[Sample], side: usize) -> Result<(Tensor, Tensor)> {
    if samples.is_empty() || side == 0 {
        let message =
            format!("{} pictures of {side} x {side} pixels, expected at least one picture of one pixel", samples.len());
        return Err(Error::Tensor { tensor: "images".to_owned(), message });
    }
    let transform = EvalTransform {
        fit: Fit::Squash,
        resize: side,
        size: side,
        source_size: side,
        mean: [0.0; 3],
        std: [1.0; 3],
        ..EvalTransform::default()
    };
    let config = LoaderConfig { max_unreadable: 0.0, ..LoaderConfig::default() };
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for batch in Loader::new(samples.into(), Transform::Eval(transform), config).epoch(0, 0) {
        let batch = batch?;
        // candle multiplies by 1 / 255, which isn't quite a division by 255: it shall do so itself.
        bytes.extend(batch.images.iter().map(|value| (value * 255.0).round() as u8));
        labels.extend(batch.labels);
    }
    let images = Tensor::from_vec(bytes, (samples.len(), 3, side, side), &Device::Cpu)?;
    Ok(((images.to_dtype(DType::F32)? / 255.0)?, Tensor::from_vec(labels, samples.len(), &Device::Cpu)?))
}
