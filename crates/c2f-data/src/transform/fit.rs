//! How a picture that isn't square becomes one.

use image::imageops::replace;
use image::{Rgb, RgbImage};

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

/// Lays a picture in the middle of a square of the colour `mean`, in 0..1.
pub(super) fn pad(picture: &RgbImage, mean: [f32; 3]) -> RgbImage {
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
