//! The last step: pixels to the normalised planes that a network takes.

use image::RgbImage;

/// (3, H, W) of a picture: a plane for each channel, `(value / 255 - mean) / std`.
pub(super) fn of_bytes(picture: &RgbImage, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    // There are only 256 values for each channel.
    let table: [[f32; 256]; 3] = [0, 1, 2].map(|c| std::array::from_fn(|v| (v as f32 / 255.0 - mean[c]) / std[c]));
    let (pixels, _) = picture.as_raw().as_chunks::<3>();
    of_pixels(pixels, |pixel| [0, 1, 2].map(|c| table[c][usize::from(pixel[c])]))
}

/// (3, H, W) of pixels with channels in 0..1: a plane for each channel, `(value - mean) / std`.
pub(super) fn of_units(pixels: &[[f32; 3]], mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    of_pixels(pixels, |pixel| [0, 1, 2].map(|c| (pixel[c] - mean[c]) / std[c]))
}

/// The pixels of a picture with channels in 0..1.
pub(super) fn unit_pixels(picture: &RgbImage) -> Vec<[f32; 3]> {
    let (pixels, _) = picture.as_raw().as_chunks::<3>();
    pixels.iter().map(|pixel| pixel.map(|v| f32::from(v) / 255.0)).collect()
}

fn of_pixels<T>(pixels: &[[T; 3]], value: impl Fn(&[T; 3]) -> [f32; 3]) -> Vec<f32> {
    let mut planes = vec![0.0; 3 * pixels.len()];
    let (red, rest) = planes.split_at_mut(pixels.len());
    let (green, blue) = rest.split_at_mut(pixels.len());
    for (((pixel, r), g), b) in pixels.iter().zip(red).zip(green).zip(blue) {
        [*r, *g, *b] = value(pixel);
    }
    planes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_bits_of_the_formula() {
        let picture = RgbImage::from_fn(16, 16, |x, y| image::Rgb([0, 1, 2].map(|c| (16 * y + x + 85 * c) as u8)));
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        assert_eq!(of_bytes(&picture, mean, std), of_units(&unit_pixels(&picture), mean, std));
    }
}
