//! How a picture that isn't square becomes one.

use image::imageops::replace;
use image::{Rgb, RgbImage};

use super::resize::resize;

/// What happens to a picture's aspect before a part of it is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// It stays: what is too long is cut off.
    #[default]
    Crop,
    /// The whole picture is squashed to a square.
    Squash,
    /// It stays: the picture is laid in the middle of a square of the mean colour.
    Pad,
}

/// The longest side of a padded picture: 200 MB. No network sees more, but a thin one would take as much as it is long, squared.
const MAX_SIDE: u32 = 8192;

/// Lays a picture in the middle of a square of the colour `mean`, in 0..1. One that is longer than [`MAX_SIDE`] is shrunk first.
pub(super) fn pad(picture: &RgbImage, mean: [f32; 3]) -> RgbImage {
    let longest = picture.width().max(picture.height());
    let shrunk = (longest > MAX_SIDE).then(|| {
        let shrink = |length: u32| (u64::from(length) * u64::from(MAX_SIDE)).div_ceil(longest.into()) as usize;
        resize(picture, shrink(picture.width()), shrink(picture.height()))
    });
    let picture = shrunk.as_ref().unwrap_or(picture);
    let (side, [left, top]) = padding(picture.dimensions());
    let mut square = RgbImage::from_pixel(side, side, Rgb(mean.map(|v| (v * 255.0).round() as u8)));
    replace(&mut square, picture, i64::from(left), i64::from(top));
    square
}

/// The side of the square around a picture of `(width, height)`, and where in it the picture begins: left, top.
pub(super) fn padding((width, height): (u32, u32)) -> (u32, [u32; 2]) {
    let side = width.max(height);
    (side, [(side - width) / 2, (side - height) / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thin_picture_is_padded_within_bounds() {
        let white = Rgb([255; 3]);
        let square = pad(&RgbImage::from_pixel(60_000, 100, white), [0.0; 3]);
        assert_eq!(square.dimensions(), (MAX_SIDE, MAX_SIDE));
        // 100 of 60000 are 14 of 8192.
        let rows = (0..MAX_SIDE).filter(|&y| *square.get_pixel(4000, y) == white).count();
        assert_eq!((rows, *square.get_pixel(4000, MAX_SIDE / 2)), (14, white));
        let small = pad(&RgbImage::from_pixel(4, 2, white), [0.0; 3]);
        assert_eq!((small.dimensions(), *small.get_pixel(0, 0)), ((4, 4), Rgb([0; 3])));
    }
}
