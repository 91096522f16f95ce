//! JPEG: by zune-jpeg, and what that can't do by jpeg-decoder.

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use jpeg_decoder::PixelFormat;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::jpeg_segments::{Layout, walk};
use super::limits::Limits;

type Result<T> = std::result::Result<T, String>;
type JpegDecoder<'a> = zune_jpeg::JpegDecoder<ZCursor<&'a [u8]>>;

pub(super) fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

/// Width and height as the file holds them, and how the picture is turned upright.
pub(super) fn header(bytes: &[u8], limits: Limits) -> Result<((u32, u32), Orientation)> {
    let (_, bytes) = readable(bytes)?;
    let (decoder, size) = open(bytes, limits)?;
    Ok((size, orientation(&decoder)))
}

pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<(DynamicImage, ImageFormat, Orientation)> {
    let (layout, bytes) = readable(bytes)?;
    let (mut decoder, size) = open(bytes, limits)?;
    let orientation = orientation(&decoder);
    // zune-jpeg takes the scans of single channels for those of all channels, unless they are progressive.
    let is_apart = layout.frame < 2 && layout.scan_components < layout.components;
    let picture = if is_apart { decode_apart(bytes, size)? } else { decode_together(&mut decoder, size)? };
    Ok((picture, ImageFormat::Jpeg, orientation))
}

/// The part of the bytes that is the picture, if it is of a kind that is read.
fn readable(bytes: &[u8]) -> Result<(Layout, &[u8])> {
    let layout = walk(bytes)?;
    let unsupported = |what: &str| Err(format!("is a {what} JPEG, which is unsupported"));
    match layout.frame {
        3 => return unsupported("lossless"),
        5..=7 => return unsupported("hierarchical"),
        9..=15 => return unsupported("arithmetically coded"),
        _ => {}
    }
    if layout.precision != 8 {
        return unsupported(&format!("{}-bit", layout.precision));
    }
    Ok((layout, &bytes[..layout.length]))
}

/// zune-jpeg in its strict mode: its lax mode, which `image` uses, fills the rest of a cut-off picture with grey. With
/// its width and height.
fn open(bytes: &[u8], limits: Limits) -> Result<(JpegDecoder<'_>, (u32, u32))> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| damaged(&e))?;
    let (width, height) = decoder.dimensions().ok_or("is a damaged JPEG: it has no dimensions")?;
    let (width, height) = (width as u32, height as u32);
    limits.check_size(width, height)?;
    Ok((decoder, (width, height)))
}

fn decode_together(decoder: &mut JpegDecoder<'_>, (width, height): (u32, u32)) -> Result<DynamicImage> {
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let space = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = *decoder.options();
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(|e| damaged(&e))?;
    let picture = if grey { grey_picture(width, height, pixels) } else { rgb_picture(width, height, pixels) };
    picture.ok_or_else(too_few_pixels)
}

/// A baseline picture whose channels are scans of their own.
fn decode_apart(bytes: &[u8], (width, height): (u32, u32)) -> Result<DynamicImage> {
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    let pixels = decoder.decode().map_err(|e| damaged(&e))?;
    let picture = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::L8) => grey_picture(width, height, pixels),
        Some(PixelFormat::RGB24) => rgb_picture(width, height, pixels),
        _ => return Err("is a JPEG of four channels in scans of their own, which is unsupported".to_owned()),
    };
    picture.ok_or_else(too_few_pixels)
}

fn grey_picture(width: u32, height: u32, pixels: Vec<u8>) -> Option<DynamicImage> {
    GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
}

fn rgb_picture(width: u32, height: u32, pixels: Vec<u8>) -> Option<DynamicImage> {
    RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
}

fn orientation(decoder: &JpegDecoder<'_>) -> Orientation {
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    orientation.unwrap_or(Orientation::NoTransforms)
}

fn too_few_pixels() -> String {
    "is a damaged JPEG: fewer pixels than its header says".to_owned()
}

fn damaged(error: &impl std::fmt::Debug) -> String {
    format!("is a damaged or cut-off JPEG: {error:?}")
}
