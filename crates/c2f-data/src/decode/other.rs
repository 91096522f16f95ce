//! Every picture that is neither JPEG nor TIFF, by the crate `image`.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::limits::{Limits, too_large};
use super::unread;

/// A picture that is neither JPEG nor TIFF, its format, and what that is called.
pub(super) fn open(
    bytes: &[u8],
    limits: Limits,
) -> std::result::Result<(impl ImageDecoder + '_, ImageFormat, &'static str), String> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| e.to_string())?;
    let known = reader.format().and_then(|format| Some((format, format_name(format)?)));
    let (format, name) = known.ok_or_else(|| match unread::kind(bytes) {
        Some(kind) => format!("is {kind}, which isn't read; JPEG, PNG, WebP, GIF, BMP and TIFF are"),
        None => format!("is no JPEG, PNG, WebP, GIF, BMP or TIFF: it starts with {}", beginning(bytes)),
    })?;
    if format == ImageFormat::WebP {
        check_webp(bytes)?;
    }
    let mut of_image = image::Limits::default();
    of_image.max_alloc = Some(limits.max_bytes());
    reader.limits(of_image);
    let decoder = reader.into_decoder().map_err(|e| damaged(name, &e))?;
    let (width, height) = decoder.dimensions();
    limits.check_size(width, height)?;
    limits.check_bytes(name, decoder.total_bytes() + scratch(format, bytes) * u64::from(width) * u64::from(height))?;
    Ok((decoder, format, name))
}

/// The bytes a pixel that a decoder takes beside its output, at most.
fn scratch(format: ImageFormat, bytes: &[u8]) -> u64 {
    const LOSSY: &[u8] = b"VP8 ";
    match format {
        // Brightness and half as many colours.
        ImageFormat::WebP if bytes.get(12..16) == Some(LOSSY) => 2,
        // Lossless pixels are made with an alpha, and so are those of a frame.
        ImageFormat::WebP => 4,
        // Their palettes, rows and windows are small.
        _ => 0,
    }
}

/// Checks that the chunks of a WebP are in it: its decoder allocates what they say.
fn check_webp(bytes: &[u8]) -> Result<(), String> {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    let end = number(4).unwrap_or(0).saturating_add(8);
    let mut at = 12;
    while let Some(size) = number(at + 4).filter(|_| at < end) {
        let next = at + 8 + size;
        if next > bytes.len() {
            return Err("is a damaged or cut-off WebP: a part of it is longer than the file".to_owned());
        }
        // An odd size is followed by a byte that isn't counted.
        at = next + size % 2;
    }
    Ok(())
}

pub(super) fn decode(
    bytes: &[u8],
    limits: Limits,
) -> std::result::Result<(DynamicImage, ImageFormat, Orientation), String> {
    let (mut decoder, format, name) = open(bytes, limits)?;
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
        image::ImageError::Limits(_) => too_large(name),
        image::ImageError::Unsupported(what) => format!("is a {name} of a kind that isn't read: {what}"),
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
