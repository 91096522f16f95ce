//! Every picture that is no JPEG, by the crate `image`.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{MAX_BYTES, check_size};

/// A picture that is no JPEG, its format, and what that is called.
pub(super) fn open(bytes: &[u8]) -> std::result::Result<(impl ImageDecoder + '_, ImageFormat, &'static str), String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let known = reader.format().and_then(|format| Some((format, format_name(format)?)));
    let (format, name) =
        known.ok_or_else(|| format!("is no JPEG, PNG, WebP, GIF, BMP or TIFF: it starts with {}", beginning(bytes)))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|e| damaged(name, &e))?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    Ok((decoder, format, name))
}

pub(super) fn decode(bytes: &[u8]) -> std::result::Result<(DynamicImage, ImageFormat, Orientation), String> {
    let (mut decoder, format, name) = open(bytes)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((DynamicImage::from_decoder(decoder).map_err(|e| damaged(name, &e))?, format, orientation))
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

fn damaged(name: &str, error: &image::ImageError) -> String {
    match error {
        image::ImageError::Limits(_) => format!("is a {name} that needs more than 512 MiB to decode"),
        error => format!("is a damaged or cut-off {name}: {error}"),
    }
}

/// The first bytes, as text if they are.
fn beginning(bytes: &[u8]) -> String {
    let first = &bytes[..bytes.len().min(12)];
    match std::str::from_utf8(first) {
        Ok(text) if !text.chars().any(char::is_control) => format!("`{text}`"),
        _ => first.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "),
    }
}
