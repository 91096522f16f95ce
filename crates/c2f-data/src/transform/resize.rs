//! Resizing as Pillow does it.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::RgbImage;

/// Resizes a picture of at least one pixel to `width` x `height` (at least 1) with Pillow's `BILINEAR`: a triangle
/// filter that widens when the picture shrinks, so that nothing aliases.
pub fn resize(picture: &RgbImage, width: usize, height: usize) -> RgbImage {
    let (w, h) = picture.dimensions();
    resize_box(picture, [0.0, 0.0, f64::from(w), f64::from(h)], width, height)
}

/// Resizes the part of a picture in `[left, top, width, height]`, in its pixels. As with Pillow's `box`, pixels around
/// the part enter where the filter reaches out of it.
pub(super) fn resize_box(picture: &RgbImage, part: [f64; 4], width: usize, height: usize) -> RgbImage {
    let (width, height) = (width.max(1) as u32, height.max(1) as u32);
    let (w, h) = (picture.width(), picture.height());
    let [left, top, part_width, part_height] = part;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
        left,
        top,
        part_width,
        part_height,
    );
    let mut resized = RgbImage::new(width, height);
    // The typed call compiles for this one kind of pixel; the other compiles for all there are.
    let done =
        TypedImageRef::<U8x3>::from_buffer(w, h, picture.as_raw()).map_err(|e| e.to_string()).and_then(|source| {
            let mut target = TypedImage::<U8x3>::from_buffer(width, height, &mut resized).map_err(|e| e.to_string())?;
            Resizer::new().resize_typed(&source, &mut target, &options).map_err(|e| e.to_string())
        });
    debug_assert!(done.is_ok(), "{done:?}");
    resized
}
