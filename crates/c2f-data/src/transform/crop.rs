//! Which part of a picture is seen.

use image::RgbImage;
use rand::Rng;

use super::Fit;
use super::resize::resize_box;

/// A part of a picture, in its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropBox {
    /// The first column.
    pub left: u32,
    /// The first row.
    pub top: u32,
    /// The number of columns, at least 1.
    pub width: u32,
    /// The number of rows, at least 1.
    pub height: u32,
}

/// Draws a part whose share of the area is uniform in `scale` and whose width / height is log-uniform in `ratio`; after
/// ten draws that don't fit the picture of `(width, height)`, the largest part from the centre with a ratio in range.
///
/// As `RandomResizedCrop.get_params` of torchvision.
pub fn random_resized_crop(
    (width, height): (u32, u32),
    scale: (f32, f32),
    ratio: (f32, f32),
    rng: &mut impl Rng,
) -> CropBox {
    let area = f64::from(width) * f64::from(height);
    let (scale, ratio) = ((f64::from(scale.0), f64::from(scale.1)), (f64::from(ratio.0), f64::from(ratio.1)));
    for _ in 0..10 {
        let target = area * uniform(scale.0, scale.1, rng);
        let aspect = uniform(ratio.0.ln(), ratio.1.ln(), rng).exp();
        let w = (target * aspect).sqrt().round() as u32;
        let h = (target / aspect).sqrt().round() as u32;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let top = rng.random_range(0..=height - h);
            let left = rng.random_range(0..=width - w);
            return CropBox { left, top, width: w, height: h };
        }
    }
    let aspect = f64::from(width) / f64::from(height);
    let (w, h) = if aspect < ratio.0 {
        (width, (f64::from(width) / ratio.0).round() as u32)
    } else if aspect > ratio.1 {
        ((f64::from(height) * ratio.1).round() as u32, height)
    } else {
        (width, height)
    };
    let (w, h) = (w.clamp(1, width), h.clamp(1, height));
    CropBox { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

/// A number in `low..high`; equal bounds give that bound.
pub(super) fn uniform(low: f64, high: f64, rng: &mut impl Rng) -> f64 {
    low + (high - low) * rng.random::<f64>()
}

/// Where a crop of evaluation lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the middle.
    #[default]
    Center,
    /// At the left and the top.
    TopLeft,
    /// At the right and the top.
    TopRight,
    /// At the left and the bottom.
    BottomLeft,
    /// At the right and the bottom.
    BottomRight,
}

impl Place {
    /// All, as torchvision's `FiveCrop` has them.
    pub const ALL: [Self; 5] = [Self::Center, Self::TopLeft, Self::TopRight, Self::BottomLeft, Self::BottomRight];
}

/// Resizes the shorter side to `short` pixels and cuts `size` x `size` (at most `short`) out of the centre:
/// torchvision's `Resize(short)` and `CenterCrop(size)` in one step, so that only the part that stays is computed.
pub fn center_crop(picture: &RgbImage, short: usize, size: usize) -> RgbImage {
    resize_box(picture, eval_box(picture.dimensions(), Fit::Crop, short, size, Place::Center), size, size)
}

/// The part that a crop of `size` x `size` pixels shows, once the shorter side is resized to `short` (both sides, where
/// the picture of `(width, height)` is squashed): left, top, width and height in the picture's pixels.
pub(super) fn eval_box((width, height): (u32, u32), fit: Fit, short: usize, size: usize, place: Place) -> [f64; 4] {
    let (width, height) = (f64::from(width), f64::from(height));
    let shorter = width.min(height);
    // torchvision cuts the longer side to a whole number of pixels, and rounds the offset half to even.
    let resized = match fit {
        Fit::Squash => [short as f64; 2],
        Fit::Crop | Fit::Pad => [width, height].map(|side| (short as f64 * side / shorter).floor()),
    };
    let end = resized.map(|side| side - size as f64);
    let offset = match place {
        Place::Center => end.map(|end| (end / 2.0).round_ties_even()),
        Place::TopLeft => [0.0, 0.0],
        Place::TopRight => [end[0], 0.0],
        Place::BottomLeft => [0.0, end[1]],
        Place::BottomRight => end,
    };
    let pixel = [width / resized[0], height / resized[1]];
    let [left, top] = [offset[0] * pixel[0], offset[1] * pixel[1]];
    // Rounding may put the far edge a hair outside.
    let part_width = (size as f64 * pixel[0]).min(width - left);
    let part_height = (size as f64 * pixel[1]).min(height - top);
    [left, top, part_width, part_height]
}

#[cfg(test)]
mod tests {
    use super::super::resize::resize_crop;
    use super::*;

    #[test]
    fn resize_crop_is_torchvisions_resized_crop() {
        let open = |name: &str| {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
            image::open(folder.join(name)).unwrap().into_rgb8()
        };
        let crop = CropBox { left: 7, top: 5, width: 40, height: 30 };
        let got = resize_crop(&open("resize.png"), crop, 24, 24);
        let expected = open("crop_resize.expected.png");
        assert!(got.iter().zip(expected.iter()).all(|(a, b)| a.abs_diff(*b) <= 1));
    }

    #[test]
    fn resizing_a_crop_is_cropping_and_resizing() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/natural.jpg");
        let picture = crate::decode_file(&path).unwrap();
        for (left, top, width, height, size) in [(9, 6, 131, 101, 56), (0, 0, 160, 120, 30), (50, 3, 21, 70, 200)] {
            let copy = image::imageops::crop_imm(&picture, left, top, width, height).to_image();
            let expected = super::super::resize::resize(&copy, size, size);
            assert_eq!(resize_crop(&picture, CropBox { left, top, width, height }, size, size), expected);
        }
    }
}
