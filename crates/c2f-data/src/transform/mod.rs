//! From a picture of any size to the planes that a network takes: crop, resize, flip, jitter, normalise.

mod crop;
mod jitter;
mod planes;
mod resize;

pub use crop::{CropBox, center_crop, random_resized_crop};
pub use jitter::ColorJitter;
pub use resize::resize;

use image::RgbImage;
use rand::Rng;

use crate::random::generator;

/// What is done to each picture before the network sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Transform {
    /// A random crop, flip and jitter.
    Train(TrainTransform),
    /// The centre of the picture.
    Eval(EvalTransform),
}

/// torchvision's `RandomResizedCrop`, `RandomHorizontalFlip`, `ColorJitter` and `Normalize`, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainTransform {
    /// Width and height of the picture in pixels.
    pub size: usize,
    /// Width and height of the second, larger view of the same crop; equal to `size` for none.
    pub source_size: usize,
    /// The least and most share of the picture's area that the crop covers.
    pub scale: (f32, f32),
    /// The least and most width divided by height of the crop.
    pub ratio: (f32, f32),
    /// The probability of a flip from left to right.
    pub flip: f32,
    /// How far the colours vary.
    pub jitter: ColorJitter,
    /// The mean of each channel, of values in 0..1.
    pub mean: [f32; 3],
    /// The standard deviation of each channel, of values in 0..1.
    pub std: [f32; 3],
}

/// torchvision's `Resize`, `CenterCrop` and `Normalize`: the identity before `Normalize` where a square picture already
/// has the size.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalTransform {
    /// The length of the shorter side in pixels before the crop; below `size` it counts as `size`.
    pub resize: usize,
    /// Width and height of the crop from the centre, in pixels.
    pub size: usize,
    /// Width and height of the second, larger view of the same crop; equal to `size` for none.
    pub source_size: usize,
    /// The mean of each channel, of values in 0..1.
    pub mean: [f32; 3],
    /// The standard deviation of each channel, of values in 0..1.
    pub std: [f32; 3],
}

/// What the network sees of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Views {
    /// (3, size, size), normalised.
    pub coarse: Vec<f32>,
    /// (3, source_size, source_size), normalised: the same crop, flip and jitter. `None` where source_size = size.
    pub source: Option<Vec<f32>>,
}

impl Transform {
    /// Width and height of the picture in pixels.
    pub fn size(&self) -> usize {
        match self {
            Self::Train(t) => t.size,
            Self::Eval(t) => t.size,
        }
    }

    /// Width and height of the second view in pixels; equal to [`Self::size`] where there is none.
    pub fn source_size(&self) -> usize {
        match self {
            Self::Train(t) => t.source_size,
            Self::Eval(t) => t.source_size,
        }
    }

    /// Transforms a picture of at least one pixel. What is random depends on `seed`, `epoch` and `sample_id` alone.
    pub fn apply(&self, picture: &RgbImage, seed: u64, epoch: u64, sample_id: u64) -> Views {
        let (size, source_size) = (self.size(), self.source_size());
        match self {
            Self::Train(t) => {
                let mut rng = generator(seed, *b"augment ", [epoch, sample_id]);
                let crop = random_resized_crop(picture.dimensions(), t.scale, t.ratio, &mut rng);
                let flip = rng.random::<f32>() < t.flip;
                let jitter = t.jitter.draw(&mut rng);
                views(size, source_size, |size| {
                    let mut view = resize::resize_crop(picture, crop, size, size);
                    if flip {
                        flip_horizontal(&mut view);
                    }
                    if jitter.is_empty() {
                        return planes::of_bytes(&view, t.mean, t.std);
                    }
                    let mut pixels = planes::unit_pixels(&view);
                    jitter.apply(&mut pixels);
                    planes::of_units(&pixels, t.mean, t.std)
                })
            }
            Self::Eval(t) => {
                // One part for both views: the offset of a larger crop would be rounded otherwise.
                let part = crop::center_box(picture, t.resize.max(size), size);
                views(size, source_size, |size| {
                    planes::of_bytes(&resize::resize_box(picture, part, size, size), t.mean, t.std)
                })
            }
        }
    }
}

fn views(size: usize, source_size: usize, view: impl Fn(usize) -> Vec<f32>) -> Views {
    Views { coarse: view(size), source: (source_size != size).then(|| view(source_size)) }
}

/// Mirrors a picture from left to right.
fn flip_horizontal(picture: &mut RgbImage) {
    let row = 3 * picture.width() as usize;
    for row in picture.chunks_exact_mut(row) {
        row.as_chunks_mut::<3>().0.reverse();
    }
}
