//! Turning, shearing and shifting a picture within its frame: each pixel is the nearest of the source, and what comes from
//! outside is black. As Pillow's `Image.transform(size, AFFINE, matrix)`.

use image::{Rgb, RgbImage};

/// Turns a picture around its centre by `degrees`, against the clock.
pub(super) fn rotate(picture: &RgbImage, degrees: f64) -> RgbImage {
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    let center = [f64::from(picture.width()) / 2.0, f64::from(picture.height()) / 2.0];
    let shift_x = center[0] - cos * center[0] - sin * center[1];
    let shift_y = center[1] + sin * center[0] - cos * center[1];
    transform(picture, [cos, sin, shift_x, -sin, cos, shift_y])
}

/// The pixel at (x, y) comes from (a x + b y + c, d x + e y + f), for the matrix `[a, b, c, d, e, f]`.
pub(super) fn transform(picture: &RgbImage, matrix: [f64; 6]) -> RgbImage {
    // Pillow's fixed-point numbers: which pixel is the nearest is a matter of rounding at multiples of 45 degrees.
    let fixed = |v: f64| (v * 65536.0 + 0.5).floor() as i64;
    let [a, b, c, d, e, f] = matrix;
    let (across_x, down_x, start_x) = (fixed(a), fixed(b), fixed(c + f64::midpoint(a, b)));
    let (across_y, down_y, start_y) = (fixed(d), fixed(e), fixed(f + f64::midpoint(d, e)));
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let (x, y) = (i64::from(x), i64::from(y));
        let from_x = (start_x + across_x * x + down_x * y) >> 16;
        let from_y = (start_y + across_y * x + down_y * y) >> 16;
        let pixel = u32::try_from(from_x).ok().zip(u32::try_from(from_y).ok());
        pixel.and_then(|(x, y)| picture.get_pixel_checked(x, y)).copied().unwrap_or(Rgb([0; 3]))
    })
}
