//! From candle's data sets to ours.

use candle_core::{DType, Device, Tensor};
use candle_datasets::vision;
use image::RgbImage;

use crate::{Dataset, Error, Result, Sample};

impl Dataset {
    /// A data set of candle's, with its pictures in memory as 8-bit RGB. Its splits are `train` and `test`, the samples are called
    /// `train/000000` and so on, and the classes `0`, `1` and so on.
    ///
    /// Images are (N, 3, H, W), or without colour (N, 1, H, W) or, where they are square, (N, H * W), as MNIST's are: u8, or f32
    /// in 0..1, which is rounded to the nearest of 256 steps. Labels are (N), of any type of whole numbers.
    ///
    /// # Errors
    /// If a tensor has another shape or type, an image another value, a label no class, or candle fails. The error names `name`
    /// and the tensor.
    pub fn from_candle(name: &str, dataset: &vision::Dataset) -> Result<Self> {
        let classes = (0..dataset.labels).map(|label| label.to_string()).collect();
        let splits = [
            ("train", samples(name, "train", &dataset.train_images, &dataset.train_labels)?),
            ("test", samples(name, "test", &dataset.test_images, &dataset.test_labels)?),
        ];
        Self::of_samples(name, classes, splits)
    }
}

fn samples(name: &str, split: &str, images: &Tensor, labels: &Tensor) -> Result<Vec<Sample>> {
    let pictures = pictures(&format!("{name}: {split}_images"), images)?;
    let labels = indices(&format!("{name}: {split}_labels"), labels, pictures.len())?;
    let sample = |(index, (picture, label))| Sample::of_picture(format!("{split}/{index:06}"), label, picture);
    Ok(pictures.into_iter().zip(labels).enumerate().map(sample).collect())
}

fn pictures(name: &str, images: &Tensor) -> Result<Vec<RgbImage>> {
    let layout = match *images.dims() {
        [_, channels @ (1 | 3), height, width] => Some((channels, height, width)),
        [_, pixels] => Some((1, pixels.isqrt(), pixels.isqrt())).filter(|(_, height, width)| height * width == pixels),
        _ => None,
    };
    let Some((channels, height, width)) = layout.filter(|(_, height, width)| height * width > 0) else {
        let message = format!("has the shape {:?}, expected (N, 3, H, W), (N, 1, H, W) or (N, H * H)", images.dims());
        return Err(wrong(name, message));
    };
    let images = images.to_device(&Device::Cpu)?;
    // One by one, so that no second copy of them all is ever in memory.
    let picture = |index| {
        let planes = bytes(name, &images.get(index)?.flatten_all()?)?;
        let mut pixels = vec![0; 3 * height * width];
        for (at, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
            *pixel = [0, 1, 2].map(|channel| planes[channel % channels * height * width + at]);
        }
        RgbImage::from_raw(width as u32, height as u32, pixels)
            .ok_or_else(|| wrong(name, format!("pictures of {width} x {height} pixels are too large")))
    };
    (0..images.dim(0)?).map(picture).collect()
}

/// The values of one picture as bytes.
fn bytes(name: &str, values: &Tensor) -> Result<Vec<u8>> {
    match values.dtype() {
        DType::U8 => Ok(values.to_vec1()?),
        DType::F32 => {
            let byte = |value: f32| {
                let byte = (value * 255.0).round();
                let is_byte = (0.0..=255.0).contains(&byte);
                if is_byte { Ok(byte as u8) } else { Err(wrong(name, format!("holds {value}, expected 0 to 1"))) }
            };
            values.to_vec1()?.into_iter().map(byte).collect()
        }
        other => Err(wrong(name, format!("has the type {}, expected u8 or f32", other.as_str()))),
    }
}

fn indices(name: &str, labels: &Tensor, pictures: usize) -> Result<Vec<usize>> {
    if labels.dims() != [pictures] || !labels.dtype().is_int() {
        let (shape, kind) = (labels.dims(), labels.dtype().as_str());
        return Err(wrong(name, format!("has the shape {shape:?} of {kind}, expected [{pictures}] of whole numbers")));
    }
    let index = |label: i64| {
        usize::try_from(label).map_err(|_| wrong(name, format!("holds {label}, expected a number from 0 up")))
    };
    labels.to_device(&Device::Cpu)?.to_dtype(DType::I64)?.to_vec1()?.into_iter().map(index).collect()
}

fn wrong(tensor: &str, message: String) -> Error {
    Error::Tensor { tensor: tensor.to_owned(), message }
}
