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
