//! From a file to RGB pixels: every kind of picture that data sets hold, and a clear error for what is none.

mod jpeg;
mod jpeg_segments;
mod limits;
mod other;
mod tiff;
mod unread;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageFormat, RgbImage};

pub use limits::Limits;
pub(crate) use other::format_name;

use crate::guard::guarded;
use crate::{Error, Result, Sample, Source};

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
    decode_within(sample, Limits::default())
}

/// As [`decode`], with limits of the caller's.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(sample: &Sample, limits: Limits) -> Result<RgbImage> {
    match &sample.source {
        Source::Synthetic { scene, size } => Ok(scene.draw(*size).image),
        Source::Memory { picture } => Ok(RgbImage::clone(picture)),
        Source::Made { make } => guarded(|| make.make()).map_err(|message| picture_error(sample, message)),
        Source::File { .. } | Source::Parquet { .. } | Source::Shard { .. } => {
            Ok(decode_encoded(sample, &encoded(sample, limits)?, limits)?.image)
        }
    }
}

/// The bytes of a sample as they are stored; of one that isn't there are none.
pub(crate) fn encoded(sample: &Sample, limits: Limits) -> Result<Vec<u8>> {
    match &sample.source {
        Source::File { root } => read(&root.join(&*sample.file), limits),
        Source::Parquet { file, row } => file.picture(*row),
        Source::Shard { shard, offset, length } => shard.picture(&sample.file, *offset, *length, limits),
        Source::Synthetic { .. } | Source::Memory { .. } | Source::Made { .. } => Ok(Vec::new()),
    }
}

/// What the bytes of a sample are a picture of.
pub(crate) fn decode_encoded(sample: &Sample, bytes: &[u8], limits: Limits) -> Result<Decoded> {
    decode_bytes(bytes, limits).map_err(|message| picture_error(sample, message))
}

fn picture_error(sample: &Sample, message: String) -> Error {
    match &sample.source {
        Source::Parquet { file, row } => {
            Error::Picture { path: file.path().to_owned(), message: format!("row {row} {message}") }
        }
        Source::File { root } => Error::Picture { path: root.join(&*sample.file), message },
        Source::Shard { shard, .. } => Error::Picture { path: shard.member(&sample.file), message },
        Source::Synthetic { .. } | Source::Memory { .. } | Source::Made { .. } => {
            Error::Picture { path: sample.file.as_ref().into(), message }
        }
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
pub(crate) fn header(sample: &Sample, limits: Limits) -> Result<Header> {
    if !sample.source.is_encoded() {
        let (width, height) = match &sample.source {
            Source::Synthetic { size, .. } => (*size, *size),
            Source::Memory { picture } => picture.dimensions(),
            _ => decode_within(sample, limits)?.dimensions(),
        };
        return Ok(Header { width, height, orientation: Orientation::NoTransforms });
    }
    header_of_bytes(&encoded(sample, limits)?, limits).map_err(|message| picture_error(sample, message))
}

/// Reads a JPEG, PNG, WebP, GIF (its first frame), BMP or TIFF, told apart by their content and not by their names.
///
/// The picture is turned upright as its EXIF orientation says; CMYK, grey-scale, palettes, 16 bits and floating point (0
/// to 1) become 8-bit RGB; what is transparent is laid on white.
///
/// # Errors
/// If the file can't be read, is empty, is no such picture, is damaged or cut off, or is larger than the default of
/// [`Limits`]. The error names the file and says which.
pub fn decode_file(path: &Path) -> Result<RgbImage> {
    decode_file_within(path, Limits::default())
}

/// As [`decode_file`], with limits of the caller's.
///
/// # Errors
/// As [`decode_file`].
pub fn decode_file_within(path: &Path, limits: Limits) -> Result<RgbImage> {
    let decoded = decode_bytes(&read(path, limits)?, limits);
    Ok(decoded.map_err(|message| Error::Picture { path: path.to_owned(), message })?.image)
}

/// As [`decode_file_within`], of a file's content that is in memory already; errors call it `name`.
///
/// # Errors
/// As [`decode_file`], but for reading.
pub fn decode_bytes_within(name: &str, bytes: &[u8], limits: Limits) -> Result<RgbImage> {
    let error = |message: String| Error::Picture { path: name.into(), message };
    if bytes.is_empty() {
        return Err(error("is empty".to_owned()));
    }
    if bytes.len() as u64 > limits.max_bytes() {
        return Err(error(limits.too_many_bytes()));
    }
    Ok(decode_bytes(bytes, limits).map_err(error)?.image)
}

fn read(path: &Path, limits: Limits) -> Result<Vec<u8>> {
    let error = |message: &str| Error::Picture { path: path.to_owned(), message: message.to_owned() };
    let metadata = std::fs::metadata(path).map_err(|e| Error::read(path, e))?;
    // Reading a pipe would wait for ever.
    if !metadata.is_file() {
        return Err(error("is no file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| Error::read(path, e))?;
    file.take(limits.max_bytes() + 1).read_to_end(&mut bytes).map_err(|e| Error::read(path, e))?;
    match bytes.len() as u64 {
        0 => Err(error("is empty")),
        n if n > limits.max_bytes() => Err(error(&limits.too_many_bytes())),
        _ => Ok(bytes),
    }
}

fn decode_bytes(bytes: &[u8], limits: Limits) -> std::result::Result<Decoded, String> {
    guarded(|| upright(bytes, limits))
}

/// The picture as it is to be seen, on white.
fn upright(bytes: &[u8], limits: Limits) -> std::result::Result<Decoded, String> {
    let (picture, format, orientation) = if jpeg::is_jpeg(bytes) {
        jpeg::decode(bytes, limits)?
    } else if tiff::is_tiff(bytes) {
        tiff::decode(bytes, limits)?
    } else {
        other::decode(bytes, limits)?
    };
    let picture = match picture {
        DynamicImage::ImageRgb8(rgb) => rgb,
        other if other.color().has_alpha() => on_white(&other),
        other => other.into_rgb8(),
    };
    // Last, as what is turned is held twice.
    let mut picture = DynamicImage::ImageRgb8(picture);
    picture.apply_orientation(orientation);
    Ok(Decoded { image: picture.into_rgb8(), format, orientation })
}

fn header_of_bytes(bytes: &[u8], limits: Limits) -> std::result::Result<Header, String> {
    guarded(|| read_header(bytes, limits))
}

fn read_header(bytes: &[u8], limits: Limits) -> std::result::Result<Header, String> {
    let ((width, height), orientation) = if jpeg::is_jpeg(bytes) {
        jpeg::header(bytes, limits)?
    } else if tiff::is_tiff(bytes) {
        tiff::header(bytes, limits)?
    } else {
        let (mut decoder, ..) = other::open(bytes, limits)?;
        (decoder.dimensions(), decoder.orientation().unwrap_or(Orientation::NoTransforms))
    };
    Ok(Header { width, height, orientation })
}

fn on_white(picture: &DynamicImage) -> RgbImage {
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0;
        image::Rgb(over_white([r, g, b], alpha))
    })
}

/// A colour of which a share of `alpha` is seen, the rest being white.
fn over_white(colour: [u8; 3], alpha: u8) -> [u8; 3] {
    let alpha = u16::from(alpha);
    colour.map(|v| ((u16::from(v) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
}
