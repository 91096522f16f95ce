//! From a picture of any size to the planes that a network takes: crop, resize, flip, jitter, normalise.

mod affine;
mod crop;
mod enhance;
mod erase;
mod fit;
mod jitter;
mod planes;
mod policy;
mod resize;
mod view;

pub use crop::{CropBox, Place, center_crop, random_resized_crop};
pub use fit::Fit;
pub use jitter::ColorJitter;
pub use policy::{LARGEST_MAGNITUDE, Policy};
pub use resize::{resize, resize_weights};

use image::RgbImage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::random::generator;

/// What is done to each picture before the network sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Transform {
    /// A random crop, flip and jitter.
    Train(TrainTransform),
    /// The centre of the picture.
    Eval(EvalTransform),
}

/// torchvision's `RandomResizedCrop`, `RandomHorizontalFlip`, `RandomRotation`, `TrivialAugmentWide` or `RandAugment`,
/// `ColorJitter`, `Normalize` and `RandomErasing`, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainTransform {
    /// What happens to the picture's aspect before the crop.
    pub fit: Fit,
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
    /// The most degrees that the view is turned to either side; what comes from outside is black.
    pub rotation: f32,
    /// Operations drawn from a list.
    pub policy: Policy,
    /// How far the colours vary.
    pub jitter: ColorJitter,
    /// The probability that a box of the view becomes the mean colour.
    pub erase: f32,
    /// The mean of each channel, of values in 0..1.
    pub mean: [f32; 3],
    /// The standard deviation of each channel, of values in 0..1.
    pub std: [f32; 3],
}

/// torchvision's `Resize`, `CenterCrop` and `Normalize`: the identity before `Normalize` where a square picture already
/// has the size.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalTransform {
    /// What happens to the picture's aspect before the crop.
    pub fit: Fit,
    /// Where the crop lies; `CenterCrop` has it in the centre.
    pub place: Place,
    /// Whether to mirror the view from left to right.
    pub flip: bool,
    /// The length of the shorter side in pixels before the crop; below `size` it counts as `size`.
    pub resize: usize,
    /// Width and height of the crop, in pixels.
    pub size: usize,
    /// Width and height of the second, larger view of the same crop; equal to `size` for none.
    pub source_size: usize,
    /// The mean of each channel, of values in 0..1.
    pub mean: [f32; 3],
    /// The standard deviation of each channel, of values in 0..1.
    pub std: [f32; 3],
}

/// The mean and the standard deviation of ImageNet's channels, which most pretrained networks expect.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

impl Default for TrainTransform {
    /// 224 pixels, one view, ImageNet's normalisation, torchvision's crops and flips; everything else off.
    fn default() -> Self {
        Self {
            fit: Fit::Crop,
            size: 224,
            source_size: 224,
            scale: (0.08, 1.0),
            ratio: (3.0 / 4.0, 4.0 / 3.0),
            flip: 0.5,
            rotation: 0.0,
            policy: Policy::None,
            jitter: ColorJitter::default(),
            erase: 0.0,
            mean: IMAGENET.0,
            std: IMAGENET.1,
        }
    }
}

impl Default for EvalTransform {
    /// The centre 224 of 256 pixels, one view, ImageNet's normalisation.
    fn default() -> Self {
        Self {
            fit: Fit::Crop,
            place: Place::Center,
            flip: false,
            resize: 256,
            size: 224,
            source_size: 224,
            mean: IMAGENET.0,
            std: IMAGENET.1,
        }
    }
}

impl EvalTransform {
    /// The part that is seen of a picture of `(width, height)`, which is square already where it is to be padded: left, top,
    /// width and height in its pixels.
    fn part(&self, size: (u32, u32)) -> [f64; 4] {
        crop::eval_box(size, self.fit, self.resize.max(self.size), self.size, self.place)
    }
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
        let (fit, mean) = match self {
            Self::Train(t) => (t.fit, t.mean),
            Self::Eval(t) => (t.fit, t.mean),
        };
        let padded = (fit == Fit::Pad).then(|| fit::pad(picture, mean));
        let picture = padded.as_ref().unwrap_or(picture);
        match self {
            Self::Train(t) => {
                let draws = Draws::new(t, picture.dimensions(), |purpose| generator(seed, purpose, [epoch, sample_id]));
                views(t.size, t.source_size, |size| draws.view(t, picture, size))
            }
            Self::Eval(t) => {
                // One part for both views: the offset of a larger crop would be rounded otherwise.
                let part = t.part(picture.dimensions());
                views(t.size, t.source_size, |size| {
                    let mut view = resize::resize_box(picture, part, size, size);
                    if t.flip {
                        flip_horizontal(&mut view);
                    }
                    planes::of_bytes(&view, t.mean, t.std)
                })
            }
        }
    }
}

/// What is random in the views of one picture.
struct Draws {
    crop: CropBox,
    flip: bool,
    jitter: jitter::Changes,
    rotation: f64,
    ops: Vec<policy::Op>,
    erase: Option<CropBox>,
}

impl Draws {
    /// Each kind of augmentation has a generator of its own, so that switching one on changes no other's draws. Crop, flip
    /// and jitter share the first.
    fn new(t: &TrainTransform, (width, height): (u32, u32), generator: impl Fn([u8; 8]) -> ChaCha8Rng) -> Self {
        let mut rng = generator(*b"augment ");
        // What will be square once it is squashed isn't before.
        let squashed = if t.fit == Fit::Squash { width as f32 / height as f32 } else { 1.0 };
        let ratio = (t.ratio.0 * squashed, t.ratio.1 * squashed);
        let crop = random_resized_crop((width, height), t.scale, ratio, &mut rng);
        let flip = rng.random::<f32>() < t.flip;
        let jitter = t.jitter.draw(&mut rng);
        let most = f64::from(t.rotation);
        let rotation = crop::uniform(-most, most, &mut generator(*b"rotate  "));
        let ops = t.policy.draw(t.size, &mut generator(*b"policy  "));
        let mut rng = generator(*b"erase   ");
        let erase = (rng.random::<f32>() < t.erase).then(|| erase::draw(t.size, &mut rng)).flatten();
        Self { crop, flip, jitter, rotation, ops, erase }
    }

    /// (3, size, size) of a picture, normalised.
    fn view(&self, t: &TrainTransform, picture: &RgbImage, size: usize) -> Vec<f32> {
        let zoom = size as f64 / t.size as f64;
        let mut view = resize::resize_crop(picture, self.crop, size, size);
        if self.flip {
            flip_horizontal(&mut view);
        }
        if t.rotation > 0.0 {
            view = affine::rotate(&view, self.rotation);
        }
        for op in &self.ops {
            op.apply(&mut view, zoom);
        }
        let mut planes = if self.jitter.is_empty() {
            planes::of_bytes(&view, t.mean, t.std)
        } else {
            let mut pixels = planes::unit_pixels(&view);
            self.jitter.apply(&mut pixels);
            planes::of_units(&pixels, t.mean, t.std)
        };
        if let Some(part) = self.erase {
            erase::apply(&mut planes, size, part, zoom);
        }
        planes
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
