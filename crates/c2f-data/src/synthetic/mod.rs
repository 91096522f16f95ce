//! Synthetic pictures of creatures that only small parts tell apart.
//!
//! [`Scene::draw`] draws a bird-like creature on a cluttered background from the scene's key alone: the same scene is
//! the same picture, bit for bit, whatever was drawn before. The class ([`CLASSES`]) decides the form and colour of
//! the beak, the bars on the wing and the form of the tail. Everything else (pose, scale, side, position, plumage,
//! light, clutter, a twig in front) is drawn from the key without regard to the class, so that two scenes that differ
//! only in the class are the same picture outside the parts. Leaves, twigs and blobs in the colours of the parts
//! make the colours of a picture useless without their place.

mod canvas;
mod classes;
mod clutter;
mod creature;
mod light;
mod pose;

pub use classes::{Attributes, Bars, Beak, BeakColour, CLASSES, Tail, class_names};

use image::RgbImage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The number of classes when none is asked for.
pub const DEFAULT_CLASSES: usize = 10;
/// The number of training pictures when none is asked for; a quarter as many are for testing.
pub const DEFAULT_TRAIN_SIZE: usize = 1200;
/// The side of a picture in pixels at which the parts are easy to see and drawing is cheap.
pub const DEFAULT_PICTURE_SIZE: u32 = 128;

/// The half of the data that a scene belongs to. It is part of the key: no test picture occurs in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Pictures to learn from.
    Train,
    /// Pictures to test on.
    Test,
}

/// The key of one picture, and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// The seed of the data set.
    pub seed: u64,
    /// The split.
    pub split: Split,
    /// The picture's number in its split.
    pub index: u64,
    /// The class, an index into [`CLASSES`].
    pub class: usize,
}

/// One deciding part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// `beak`, `wing-bar` or `tail`.
    pub name: &'static str,
    /// x1, y1, x2, y2 in pixels, inside the picture.
    pub bounds: [f32; 4],
}

/// A picture, and where things are in it.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// The picture, square.
    pub image: RgbImage,
    /// The box of the whole creature: x1, y1, x2, y2 in pixels, inside the picture.
    pub creature: [f32; 4],
    /// The deciding parts: `beak`, `wing-bar` and `tail`, in this order. The box of the wing bars is where bars would
    /// be when the class has none, for it is there that one sees that they are missing.
    pub parts: Vec<Part>,
}

impl Scene {
    /// The scene number `index` of a split of a data set with `classes` classes (at least 1): labels go round, so
    /// that the classes are balanced to within one picture.
    pub fn new(seed: u64, split: Split, index: u64, classes: usize) -> Self {
        let class = (index % classes as u64) as usize;
        Self { seed, split, index, class }
    }

    /// Draws the scene, `size` pixels wide and high.
    ///
    /// # Panics
    /// If the class is no index into [`CLASSES`], or `size` is 0.
    pub fn draw(&self, size: u32) -> Drawing {
        let attributes = CLASSES[self.class];
        let mut canvas = canvas::Canvas::new(size);
        let pose = pose::Pose::new(&mut self.generator(*b"pose"), size as f32);
        clutter::behind(&mut canvas, &pose, &mut self.generator(*b"back"));
        let bounds = creature::draw(&mut canvas, &pose, attributes);
        clutter::in_front(&mut canvas, &pose, &mut self.generator(*b"twig"));
        let image = light::illuminate(&canvas, &mut self.generator(*b"lite"));
        let inside = |b: [f32; 4]| b.map(|v| v.clamp(0.0, size as f32));
        Drawing {
            image,
            creature: inside(bounds.creature),
            parts: vec![
                Part { name: "beak", bounds: inside(bounds.beak) },
                Part { name: "wing-bar", bounds: inside(bounds.bars) },
                Part { name: "tail", bounds: inside(bounds.tail) },
            ],
        }
    }

    /// The generator of one purpose. The class is no part of the key: what is drawn from it can't depend on the class.
    fn generator(&self, purpose: [u8; 4]) -> ChaCha8Rng {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.index.to_le_bytes());
        key[16] = match self.split {
            Split::Train => 0,
            Split::Test => 1,
        };
        key[20..24].copy_from_slice(&purpose);
        key[24..].copy_from_slice(b"creature");
        ChaCha8Rng::from_seed(key)
    }
}
