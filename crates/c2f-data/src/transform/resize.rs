//! Resizing as Pillow does it.

use fast_image_resize::images::{TypedCroppedImage, TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

use super::CropBox;

/// Resizes a picture of at least one pixel to `width` x `height` (at least 1) with Pillow's `BILINEAR`: a triangle
/// filter that widens when the picture shrinks, so that nothing aliases.
pub fn resize(picture: &RgbImage, width: usize, height: usize) -> RgbImage {
    resize_crop(picture, whole(picture), width, height)
}

/// Resizes a part of a picture as if it were a picture of its own: nothing around it enters.
pub(super) fn resize_crop(picture: &RgbImage, crop: CropBox, width: usize, height: usize) -> RgbImage {
    resize_within(picture, crop, [0.0, 0.0, f64::from(crop.width), f64::from(crop.height)], width, height)
}

/// Resizes the part of a picture in `[left, top, width, height]`, in its pixels. As with Pillow's `box`, pixels around
/// the part enter where the filter reaches out of it.
pub(super) fn resize_box(picture: &RgbImage, part: [f64; 4], width: usize, height: usize) -> RgbImage {
    resize_within(picture, whole(picture), part, width, height)
}

fn whole(picture: &RgbImage) -> CropBox {
    CropBox { left: 0, top: 0, width: picture.width(), height: picture.height() }
}

/// Resizes `part` of what is in `crop`.
fn resize_within(picture: &RgbImage, crop: CropBox, part: [f64; 4], width: usize, height: usize) -> RgbImage {
    let (width, height) = (width.max(1) as u32, height.max(1) as u32);
    let mut resized = RgbImage::new(width, height);
    let done = try_resize(picture, crop, part, &mut resized);
    debug_assert!(done.is_ok(), "{done:?}");
    resized
}

/// The calls are typed, as they compile for this one kind of pixel; the others compile for all there are.
fn try_resize(picture: &RgbImage, crop: CropBox, part: [f64; 4], resized: &mut RgbImage) -> Result<(), String> {
    let [left, top, part_width, part_height] = part;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
        left,
        top,
        part_width,
        part_height,
    );
    let (width, height) = resized.dimensions();
    let source = TypedImageRef::<U8x3>::from_buffer(picture.width(), picture.height(), picture.as_raw())
        .map_err(|e| e.to_string())?;
    let source =
        TypedCroppedImage::new(source, crop.left, crop.top, crop.width, crop.height).map_err(|e| e.to_string())?;
    let mut target = TypedImage::<U8x3>::from_buffer(width, height, resized).map_err(|e| e.to_string())?;
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| e.to_string())
}

/// What [`resize`] makes of a row or column of `from` pixels: `to` rows of `from` weights, all of them multiples of 2^-15 or
/// larger powers of two, so that sums of their products with bytes have no rounding in f32. After each of its two passes, down
/// the columns first, a value v becomes floor(v + 1/2).
pub fn resize_weights(from: usize, to: usize) -> Vec<f32> {
    let scale = from as f64 / to as f64;
    let reach = scale.max(1.0);
    let rows: Vec<Vec<f64>> = (0..to)
        .map(|output| {
            let centre = (output as f64 + 0.5) * scale - 0.5;
            let triangle = |input: usize| (1.0 - ((input as f64 - centre) / reach).abs()).max(0.0);
            let weights: Vec<f64> = (0..from).map(triangle).collect();
            let sum: f64 = weights.iter().sum();
            weights.iter().map(|weight| weight / sum).collect()
        })
        .collect();
    // fast_image_resize's `Normalizer16`: as many binary places as the largest weight leaves of 15.
    let largest = rows.iter().flatten().fold(0.0_f64, |largest, weight| largest.max(*weight));
    let fits = |places: &i32| (largest * f64::from(1 << places)).round() < f64::from(1 << 15);
    let places = (1..22).take_while(fits).last().unwrap_or_default();
    let unit = f64::from(1 << places);
    rows.iter().flatten().map(|weight| ((weight * unit).round() / unit) as f32).collect()
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn products_with_the_weights_are_the_resized_picture() {
        for (from, to) in [(128, 64), (96, 64), (50, 37), (20, 30), (448, 224)] {
            let noise = |i: u32| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8;
            let picture = RgbImage::from_fn(from, from, |x, y| Rgb([0, 1, 2].map(|c| noise(3 * (y * from + x) + c))));
            let (n, m) = (from as usize, to as usize);
            let weights = resize_weights(n, m);
            let round = |sum: f32| (sum + 0.5).floor();
            let value = |y: usize, x: usize, c: usize| f32::from(picture.get_pixel(x as u32, y as u32)[c]);
            let products = |c: usize| -> Vec<f32> {
                let column = |y: usize, x: usize| round((0..n).map(|i| weights[y * n + i] * value(i, x, c)).sum());
                let rows: Vec<f32> = (0..m * n).map(|i| column(i / n, i % n)).collect();
                let pixel = |y: usize, x: usize| round((0..n).map(|i| weights[x * n + i] * rows[y * n + i]).sum());
                (0..m * m).map(|i| pixel(i / m, i % m)).collect()
            };
            let resized = resize(&picture, m, m);
            for c in 0..3 {
                let expected: Vec<f32> = resized.pixels().map(|pixel| f32::from(pixel[c])).collect();
                assert_eq!(products(c), expected, "{from} to {to}");
            }
        }
    }
}
