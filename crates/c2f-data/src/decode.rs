//! From a file to RGB pixels: every kind of picture that data sets hold, and a clear error for what is none.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::{Error, Result, Sample, Source};

/// The most pixels that a picture may have.
const MAX_PIXELS: u64 = 100_000_000;
/// The most bytes that a decoder may ask for, and the most that a file may have.
const MAX_BYTES: u64 = 512 << 20;

/// A decoded picture, and what its file says of it.
pub(crate) struct Decoded {
    /// Turned upright.
    pub image: RgbImage,
    /// The format of the content, whatever the name says.
    pub format: ImageFormat,
    /// How the picture was turned.
    pub orientation: Orientation,
}

/// The pixels of a sample: a file's, or a drawing.
///
/// # Errors
/// As [`decode_file`].
pub fn decode(sample: &Sample) -> Result<RgbImage> {
    if let Source::Synthetic { scene, size } = &sample.source {
        return Ok(scene.draw(*size).image);
    }
    Ok(decode_encoded(sample, &encoded(sample)?)?.image)
}

/// The bytes of a sample as they are stored; of a drawing there are none.
pub(crate) fn encoded(sample: &Sample) -> Result<Vec<u8>> {
    match &sample.source {
        Source::File { root } => read(&root.join(&*sample.file)),
        Source::Parquet { file, row } => file.picture(*row),
        Source::Synthetic { .. } => Ok(Vec::new()),
    }
}

/// What the bytes of a sample are a picture of.
pub(crate) fn decode_encoded(sample: &Sample, bytes: &[u8]) -> Result<Decoded> {
    decode_bytes(bytes).map_err(|message| picture_error(sample, message))
}

fn picture_error(sample: &Sample, message: String) -> Error {
    match &sample.source {
        Source::Parquet { file, row } => {
            Error::Picture { path: file.path().to_owned(), message: format!("row {row} {message}") }
        }
        Source::File { root } => Error::Picture { path: root.join(&*sample.file), message },
        Source::Synthetic { .. } => Error::Picture { path: sample.file.as_ref().into(), message },
    }
}

/// What a picture says of itself before its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Header {
    /// As the file holds it.
    pub width: u32,
    pub height: u32,
    /// How it is turned upright.
    pub orientation: Orientation,
}

/// The header of a sample. No pixel is decoded.
pub(crate) fn header(sample: &Sample) -> Result<Header> {
    if let Source::Synthetic { size, .. } = sample.source {
        return Ok(Header { width: size, height: size, orientation: Orientation::NoTransforms });
    }
    header_of_bytes(&encoded(sample)?).map_err(|message| picture_error(sample, message))
}

/// Reads a JPEG, PNG, WebP, GIF (its first frame), BMP or TIFF, told apart by their content and not by their names.
///
/// The picture is turned upright as its EXIF orientation says; CMYK, grey-scale, palettes and 16 bits become 8-bit RGB;
/// what is transparent is laid on white.
///
/// # Errors
/// If the file can't be read, is empty, is no such picture, is damaged or cut off, or is larger than 100 megapixels or
/// 512 MiB. The error names the file and says which.
pub fn decode_file(path: &Path) -> Result<RgbImage> {
    let decoded = decode_bytes(&read(path)?);
    Ok(decoded.map_err(|message| Error::Picture { path: path.to_owned(), message })?.image)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let error = |message: &str| Error::Picture { path: path.to_owned(), message: message.to_owned() };
    let metadata = std::fs::metadata(path).map_err(|e| Error::read(path, e))?;
    // Reading a pipe would wait for ever.
    if !metadata.is_file() {
        return Err(error("is no file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| Error::read(path, e))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Error::read(path, e))?;
    match bytes.len() as u64 {
        0 => Err(error("is empty")),
        n if n > MAX_BYTES => Err(error("is larger than 512 MiB")),
        _ => Ok(bytes),
    }
}

fn decode_bytes(bytes: &[u8]) -> std::result::Result<Decoded, String> {
    let (mut picture, format, orientation) = if is_jpeg(bytes) { decode_jpeg(bytes)? } else { decode_other(bytes)? };
    picture.apply_orientation(orientation);
    let image = match picture {
        DynamicImage::ImageRgb8(rgb) => rgb,
        other if other.color().has_alpha() => on_white(&other),
        other => other.into_rgb8(),
    };
    Ok(Decoded { image, format, orientation })
}

fn header_of_bytes(bytes: &[u8]) -> std::result::Result<Header, String> {
    let ((width, height), orientation) = if is_jpeg(bytes) {
        let (decoder, size) = open_jpeg(bytes)?;
        (size, jpeg_orientation(&decoder))
    } else {
        let (mut decoder, ..) = open_other(bytes)?;
        (decoder.dimensions(), decoder.orientation().unwrap_or(Orientation::NoTransforms))
    };
    Ok(Header { width, height, orientation })
}

fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

type JpegDecoder<'a> = zune_jpeg::JpegDecoder<ZCursor<&'a [u8]>>;

/// JPEG in zune-jpeg's strict mode: its lax mode, which `image` uses, fills the rest of a cut-off picture with grey. With
/// its width and height.
fn open_jpeg(bytes: &[u8]) -> std::result::Result<(JpegDecoder<'_>, (u32, u32)), String> {
    // What is missing from the last row of blocks passes even the strict mode.
    if !has_end_marker(bytes) {
        return Err("is a cut-off JPEG: its end marker is missing".to_owned());
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| damaged_jpeg(&e))?;
    let (width, height) = decoder.dimensions().ok_or("is a damaged JPEG: it has no dimensions")?;
    let (width, height) = (width as u32, height as u32);
    check_size(width, height)?;
    Ok((decoder, (width, height)))
}

fn decode_jpeg(bytes: &[u8]) -> std::result::Result<(DynamicImage, ImageFormat, Orientation), String> {
    let (mut decoder, (width, height)) = open_jpeg(bytes)?;
    let grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let space = if grey { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = *decoder.options();
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(|e| damaged_jpeg(&e))?;
    let picture = if grey {
        image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::ImageLuma8)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::ImageRgb8)
    };
    let picture = picture.ok_or("is a damaged JPEG: fewer pixels than its header says")?;
    Ok((picture, ImageFormat::Jpeg, jpeg_orientation(&decoder)))
}

fn jpeg_orientation(decoder: &JpegDecoder<'_>) -> Orientation {
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    orientation.unwrap_or(Orientation::NoTransforms)
}

fn damaged_jpeg(error: &zune_jpeg::errors::DecodeErrors) -> String {
    format!("is a damaged or cut-off JPEG: {error:?}")
}

/// Whether an end marker follows the last start of a scan. Compressed data holds neither (0xff is followed by 0 there);
/// an embedded thumbnail has its own, but earlier.
fn has_end_marker(bytes: &[u8]) -> bool {
    let last = |marker| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    last(0xd9) > last(0xda)
}

/// A picture that is no JPEG, its format, and what that is called.
fn open_other(bytes: &[u8]) -> std::result::Result<(impl ImageDecoder + '_, ImageFormat, &'static str), String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let known = reader.format().and_then(|format| Some((format, format_name(format)?)));
    let (format, name) =
        known.ok_or_else(|| format!("is no JPEG, PNG, WebP, GIF, BMP or TIFF: it starts with {}", beginning(bytes)))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|e| damaged_other(name, &e))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    Ok((decoder, format, name))
}

fn decode_other(bytes: &[u8]) -> std::result::Result<(DynamicImage, ImageFormat, Orientation), String> {
    let (mut decoder, format, name) = open_other(bytes)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(|e| damaged_other(name, &e))?, format, orientation))
}

/// The name of a format, if it is one of those that are read.
pub(crate) fn format_name(format: ImageFormat) -> Option<&'static str> {
    match format {
        ImageFormat::Jpeg => Some("JPEG"),
        ImageFormat::Png => Some("PNG"),
        ImageFormat::WebP => Some("WebP"),
        ImageFormat::Gif => Some("GIF"),
        ImageFormat::Bmp => Some("BMP"),
        ImageFormat::Tiff => Some("TIFF"),
        _ => None,
    }
}

fn damaged_other(name: &str, error: &image::ImageError) -> String {
    match error {
        image::ImageError::Limits(_) => format!("is a {name} that needs more than 512 MiB to decode"),
        error => format!("is a damaged or cut-off {name}: {error}"),
    }
}

fn check_size(width: u32, height: u32) -> std::result::Result<(), String> {
    if width == 0 || height == 0 {
        return Err(format!("has {width} x {height} pixels, expected at least one"));
    }
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(format!("has {width} x {height} pixels, expected at most 100 megapixels"));
    }
    Ok(())
}

/// The first bytes, as text if they are.
fn beginning(bytes: &[u8]) -> String {
    let first = &bytes[..bytes.len().min(12)];
    match std::str::from_utf8(first) {
        Ok(text) if !text.chars().any(char::is_control) => format!("`{text}`"),
        _ => first.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "),
    }
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    let rgba = picture.to_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0;
        let alpha = u16::from(alpha);
        image::Rgb([r, g, b].map(|v| ((u16::from(v) * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}
