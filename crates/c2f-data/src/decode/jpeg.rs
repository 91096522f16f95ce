//! JPEG.

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, RgbImage};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::check_size;

type Result<T> = std::result::Result<T, String>;
type JpegDecoder<'a> = zune_jpeg::JpegDecoder<ZCursor<&'a [u8]>>;

pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Width and height as the file holds them, and how the picture is turned upright.
pub(super) fn header(bytes: &[u8]) -> Result<((u32, u32), Orientation)> {
    let (decoder, size) = open(bytes)?;
    Ok((size, orientation(&decoder)))
}

/// zune-jpeg in its strict mode: its lax mode, which `image` uses, fills the rest of a cut-off picture with grey. With
/// its width and height.
fn open(bytes: &[u8]) -> Result<(JpegDecoder<'_>, (u32, u32))> {
    // What is missing from the last row of blocks passes even the strict mode.
    if !has_end_marker(bytes) {
        return Err("is a cut-off JPEG: its end marker is missing".to_owned());
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| damaged(&e))?;
    let (width, height) = decoder.dimensions().ok_or("is a damaged JPEG: it has no dimensions")?;
    let (width, height) = (width as u32, height as u32);
    check_size(width, height)?;
    Ok((decoder, (width, height)))
}

pub(super) fn decode(bytes: &[u8]) -> Result<(DynamicImage, ImageFormat, Orientation)> {
    let (mut decoder, (width, height)) = open(bytes)?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let space = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = *decoder.options();
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(|e| damaged(&e))?;
    let picture = if grey {
        image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
    };
    let picture = picture.ok_or("is a damaged JPEG: fewer pixels than its header says")?;
    Ok((picture, ImageFormat::Jpeg, orientation(&decoder)))
}

fn orientation(decoder: &JpegDecoder<'_>) -> Orientation {
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    orientation.unwrap_or(Orientation::NoTransforms)
}

fn damaged(error: &zune_jpeg::errors::DecodeErrors) -> String {
    format!("is a damaged or cut-off JPEG: {error:?}")
}

/// Whether an end marker follows the last start of a scan. Compressed data holds neither (0xff is followed by 0 there);
/// an embedded thumbnail has its own, but earlier.
fn has_end_marker(bytes: &[u8]) -> bool {
    let last = |marker| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9) > last(0xda)
}
