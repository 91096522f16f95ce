//! TrivialAugment (Müller and Hutter 2021, <https://arxiv.org/abs/2103.10158>) and RandAugment (Cubuk et al. 2019,
//! <https://arxiv.org/abs/1909.13719>): operations drawn from one list, with torchvision's magnitudes.

use image::RgbImage;
use rand::Rng;

use super::{affine, enhance};

/// Magnitudes are counted from 0 to this.
pub const LARGEST_MAGNITUDE: usize = 30;

/// Which operations are drawn for a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// None.
    #[default]
    None,
    /// One operation of a magnitude drawn for it: torchvision's `TrivialAugmentWide`.
    TrivialAugment,
    /// Operations of one magnitude: torchvision's `RandAugment`.
    RandAugment {
        /// How many are done, one after the other.
        ops: usize,
        /// Their magnitude, at most [`LARGEST_MAGNITUDE`].
        magnitude: usize,
    },
}

/// An operation with the value that its magnitude and sign stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op {
    Identity,
    /// Pixels to the left per pixel down.
    ShearX(f64),
    ShearY(f64),
    /// Pixels to the right, in the smaller of two views.
    TranslateX(f64),
    TranslateY(f64),
    /// Degrees against the clock.
    Rotate(f64),
    /// What is added to a factor of 1; likewise for the next three.
    Brightness(f64),
    Color(f64),
    Contrast(f64),
    Sharpness(f64),
    /// Bits that stay.
    Posterize(u32),
    /// The least value that is inverted.
    Solarize(f64),
    AutoContrast,
    Equalize,
}

/// The largest values of the magnitudes.
struct Space {
    shear: f64,
    translate: f64,
    rotate: f64,
    enhance: f64,
    /// Bits that posterising takes away.
    bits: f64,
}

impl Policy {
    /// Draws the operations for a picture whose smaller view is `size` pixels wide and high.
    pub(super) fn draw(self, size: usize, rng: &mut impl Rng) -> Vec<Op> {
        match self {
            Self::None => Vec::new(),
            Self::TrivialAugment => {
                let space = Space { shear: 0.99, translate: 32.0, rotate: 135.0, enhance: 0.99, bits: 6.0 };
                let op = rng.random_range(0..Space::OPS);
                vec![space.op(op, rng.random_range(0..=LARGEST_MAGNITUDE), rng.random())]
            }
            Self::RandAugment { ops, magnitude } => {
                let translate = 150.0 / 331.0 * size as f64;
                let space = Space { shear: 0.3, translate, rotate: 30.0, enhance: 0.9, bits: 4.0 };
                (0..ops).map(|_| space.op(rng.random_range(0..Space::OPS), magnitude, rng.random())).collect()
            }
        }
    }
}

impl Space {
    /// The number of operations.
    const OPS: usize = 14;

    fn op(&self, op: usize, magnitude: usize, negative: bool) -> Op {
        let share = magnitude as f64 / LARGEST_MAGNITUDE as f64;
        let signed = |largest: f64| if negative { -largest * share } else { largest * share };
        match op {
            0 => Op::ShearX(signed(self.shear)),
            1 => Op::ShearY(signed(self.shear)),
            2 => Op::TranslateX(signed(self.translate)),
            3 => Op::TranslateY(signed(self.translate)),
            4 => Op::Rotate(signed(self.rotate)),
            5 => Op::Brightness(signed(self.enhance)),
            6 => Op::Color(signed(self.enhance)),
            7 => Op::Contrast(signed(self.enhance)),
            8 => Op::Sharpness(signed(self.enhance)),
            9 => Op::Posterize(8 - (self.bits * share).round() as u32),
            10 => Op::Solarize(255.0 * (1.0 - share)),
            11 => Op::AutoContrast,
            12 => Op::Equalize,
            _ => Op::Identity,
        }
    }
}

impl Op {
    /// Changes a view that is `zoom` times as wide as the smaller one.
    pub(super) fn apply(self, picture: &mut RgbImage, zoom: f64) {
        let factor = |by: f64| (1.0 + by) as f32;
        match self {
            Self::Identity => {}
            Self::ShearX(by) => *picture = affine::transform(picture, [1.0, by, 0.0, 0.0, 1.0, 0.0]),
            Self::ShearY(by) => *picture = affine::transform(picture, [1.0, 0.0, 0.0, by, 1.0, 0.0]),
            Self::TranslateX(by) => {
                *picture = affine::transform(picture, [1.0, 0.0, -(by * zoom).trunc(), 0.0, 1.0, 0.0]);
            }
            Self::TranslateY(by) => {
                *picture = affine::transform(picture, [1.0, 0.0, 0.0, 0.0, 1.0, -(by * zoom).trunc()]);
            }
            Self::Rotate(degrees) => *picture = affine::rotate(picture, degrees),
            Self::Brightness(by) => enhance::brightness(picture, factor(by)),
            Self::Color(by) => enhance::saturation(picture, factor(by)),
            Self::Contrast(by) => enhance::contrast(picture, factor(by)),
            Self::Sharpness(by) => enhance::sharpness(picture, factor(by)),
            Self::Posterize(bits) => enhance::posterize(picture, bits),
            Self::Solarize(threshold) => enhance::solarize(picture, threshold as f32),
            Self::AutoContrast => enhance::auto_contrast(picture),
            Self::Equalize => enhance::equalize(picture),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn fixture(name: &str) -> RgbImage {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        image::open(folder.join(name)).unwrap().into_rgb8()
    }

    /// The rows of `ops.expected.png` are what torchvision's `_apply_op` makes of `ops.png`, in this order.
    #[test]
    fn ops_are_torchvisions() {
        let source = fixture("ops.png");
        let expected = fixture("ops.expected.png");
        let ops = [
            Op::ShearX(0.3),
            Op::ShearX(-0.7),
            Op::ShearY(0.25),
            Op::TranslateX(7.9),
            Op::TranslateX(-12.2),
            Op::TranslateY(5.0),
            Op::Rotate(20.0),
            Op::Rotate(-133.0),
            Op::Brightness(0.5),
            Op::Brightness(-0.6),
            Op::Color(0.9),
            Op::Color(-0.4),
            Op::Contrast(0.7),
            Op::Contrast(-0.9),
            Op::Sharpness(0.9),
            Op::Sharpness(-0.9),
            Op::Posterize(2),
            Op::Posterize(8),
            Op::Solarize(100.5),
            Op::AutoContrast,
            Op::Equalize,
            Op::Identity,
        ];
        let (width, height) = source.dimensions();
        assert_eq!(expected.dimensions(), (width, height * ops.len() as u32));
        for (row, op) in ops.into_iter().enumerate() {
            let mut got = source.clone();
            op.apply(&mut got, 1.0);
            let expected = &expected.as_raw()[row * source.len()..(row + 1) * source.len()];
            let worst = got.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(1), "{op:?}: a channel differs by {worst:?}");
        }
    }

    #[test]
    fn translations_grow_with_the_view() {
        let source = fixture("ops.png");
        let (mut once, mut twice) = (source.clone(), source.clone());
        Op::TranslateX(3.0).apply(&mut twice, 2.0);
        Op::TranslateX(6.0).apply(&mut once, 1.0);
        assert_eq!(once, twice);
    }

    #[test]
    fn magnitudes_are_torchvisions() {
        let space = Space { shear: 0.99, translate: 32.0, rotate: 135.0, enhance: 0.99, bits: 6.0 };
        assert_eq!(space.op(4, 30, true), Op::Rotate(-135.0));
        assert_eq!(space.op(2, 15, false), Op::TranslateX(16.0));
        assert_eq!([0, 2, 3, 30].map(|m| space.op(9, m, false)), [8, 8, 7, 2].map(Op::Posterize));
        assert_eq!([0, 30].map(|m| space.op(10, m, true)), [255.0, 0.0].map(Op::Solarize));
    }

    #[test]
    fn every_op_is_drawn() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for policy in [Policy::TrivialAugment, Policy::RandAugment { ops: 2, magnitude: 9 }] {
            let drawn: Vec<Op> = (0..600).flat_map(|_| policy.draw(224, &mut rng)).collect();
            let kinds: std::collections::HashSet<_> = drawn.iter().map(std::mem::discriminant).collect();
            assert_eq!(kinds.len(), Space::OPS);
            assert!(drawn.iter().any(|op| matches!(op, Op::Rotate(by) if *by < 0.0)));
        }
        assert_eq!(Policy::RandAugment { ops: 3, magnitude: 9 }.draw(224, &mut rng).len(), 3);
        assert_eq!(Policy::None.draw(224, &mut rng), []);
    }
}
