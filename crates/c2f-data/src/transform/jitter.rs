//! Random changes of colour.

use rand::Rng;
use rand::seq::SliceRandom;

use super::crop::uniform;

/// How far brightness, contrast, saturation and hue vary, as in torchvision's `ColorJitter`. The first three are the
/// most by which the factor 1 changes (0.4: between 0.6 and 1.4), the last is the most turn of the hue, at most 0.5 of
/// the circle. All 0, the default, changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColorJitter {
    /// Factor of all channels.
    pub brightness: f32,
    /// Factor of the distance from the picture's mean grey.
    pub contrast: f32,
    /// Factor of the distance from each pixel's grey.
    pub saturation: f32,
    /// Turn of the hue.
    pub hue: f32,
}

/// The changes drawn for one picture, in their order.
pub(super) struct Changes(Vec<Change>);

enum Change {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    Hue(f32),
}

impl ColorJitter {
    pub(super) fn draw(&self, rng: &mut impl Rng) -> Changes {
        let mut factor = |by: f32| uniform(f64::from(1.0 - by).max(0.0), f64::from(1.0 + by), rng) as f32;
        let (brightness, contrast, saturation) =
            (factor(self.brightness), factor(self.contrast), factor(self.saturation));
        let turn = uniform(-f64::from(self.hue), f64::from(self.hue), rng) as f32;
        let mut changes: Vec<Change> = [
            (self.brightness, Change::Brightness(brightness)),
            (self.contrast, Change::Contrast(contrast)),
            (self.saturation, Change::Saturation(saturation)),
            (self.hue, Change::Hue(turn)),
        ]
        .into_iter()
        .filter_map(|(by, change)| (by > 0.0).then_some(change))
        .collect();
        changes.shuffle(rng);
        Changes(changes)
    }
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Changes pixels with channels in 0..1; they stay in that range.
    pub(super) fn apply(&self, pixels: &mut [[f32; 3]]) {
        for change in &self.0 {
            match *change {
                Change::Brightness(factor) => blend(pixels, factor, |_| 0.0),
                Change::Contrast(factor) => {
                    let sum: f64 = pixels.iter().map(|&p| f64::from(grey(p))).sum();
                    let mean = (sum / pixels.len().max(1) as f64) as f32;
                    blend(pixels, factor, |_| mean);
                }
                Change::Saturation(factor) => blend(pixels, factor, grey),
                Change::Hue(turn) => pixels.iter_mut().for_each(|p| *p = turn_hue(*p, turn)),
            }
        }
    }
}

/// `factor * pixel + (1 - factor) * other`, clamped.
fn blend(pixels: &mut [[f32; 3]], factor: f32, other: impl Fn([f32; 3]) -> f32) {
    for pixel in pixels {
        let rest = (1.0 - factor) * other(*pixel);
        *pixel = pixel.map(|v| (factor * v + rest).clamp(0.0, 1.0));
    }
}

/// Luma with the weights of ITU-R BT.601, as torchvision's `rgb_to_grayscale`.
fn grey([r, g, b]: [f32; 3]) -> f32 {
    0.2989 * r + 0.587 * g + 0.114 * b
}

/// Adds `turn` of the circle to the hue, through HSV.
fn turn_hue([r, g, b]: [f32; 3], turn: f32) -> [f32; 3] {
    let value = r.max(g).max(b);
    let chroma = value - r.min(g).min(b);
    if chroma == 0.0 {
        return [r, g, b];
    }
    let sextant = if value == r {
        (g - b) / chroma
    } else if value == g {
        (b - r) / chroma + 2.0
    } else {
        (r - g) / chroma + 4.0
    };
    let turned = (sextant + 6.0 * turn).rem_euclid(6.0);
    // The channel at an offset on the circle: https://en.wikipedia.org/wiki/HSL_and_HSV, "HSV to RGB alternative".
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + turned).rem_euclid(6.0);
        value - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `adjust_brightness`, `_contrast`, `_saturation` and `_hue` of torchvision, on float tensors.
    #[test]
    fn changes_are_torchvisions() {
        let pixels = [[0.8, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.3, 0.9], [0.5, 0.5, 0.5]];
        for (change, expected) in [
            (Change::Brightness(1.3), [[1.0, 0.26, 0.13], [0.13, 0.78, 0.39], [0.26, 0.39, 1.0], [0.65; 3]]),
            (
                Change::Contrast(0.5),
                [[0.60283, 0.30283, 0.25283], [0.25283, 0.50283, 0.35283], [0.30283, 0.35283, 0.65283], [0.45283; 3]],
            ),
            (
                Change::Saturation(1.7),
                [[1.0, 0.08246, 0.0], [0.0, 0.7286, 0.2186], [0.10306, 0.27306, 1.0], [0.50004; 3]],
            ),
            (Change::Hue(0.2), [[0.56, 0.8, 0.1], [0.1, 0.3, 0.6], [0.9, 0.2, 0.86], [0.5; 3]]),
            (Change::Hue(-0.4), [[0.1, 0.28, 0.8], [0.6, 0.1, 0.1], [0.58, 0.9, 0.2], [0.5; 3]]),
        ] {
            let mut got: [[f32; 3]; 4] = pixels;
            Changes(vec![change]).apply(&mut got);
            for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
                assert!((got - expected).abs() < 1e-4, "{got} is not {expected}");
            }
        }
    }

    #[test]
    fn no_jitter_changes_nothing() {
        use rand::SeedableRng;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(0);
        assert!(ColorJitter::default().draw(&mut rng).is_empty());
        let all = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
        assert_eq!(all.draw(&mut rng).0.len(), 4);
    }
}
