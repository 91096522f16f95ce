//! What is kept of a picture that was decoded.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::metadata::Orientation;
use image::{ImageFormat, RgbImage};
use sha2::{Digest, Sha256};

use crate::decode::{Limits, decode_encoded, encoded};
use crate::{Error, Result, Sample, decode};

/// The first half of a SHA-256.
pub(super) type Hash = [u8; 16];

/// A picture after it was looked at.
pub(super) enum Seen {
    Missing,
    Unreadable(String),
    Picture(Look),
}

pub(super) struct Look {
    /// Of the file's bytes.
    pub file: Hash,
    /// Of width, height and pixels.
    pub pixels: Hash,
    /// Width and height as the file holds the picture, before it is turned upright.
    pub stored: (u32, u32),
    pub is_turned: bool,
    pub is_grey: bool,
    /// None where the picture is drawn.
    pub format: Option<ImageFormat>,
}

/// Reads and decodes a sample.
pub(super) fn look(sample: &Sample) -> Seen {
    // A picture that makes a decoder panic is one more unreadable picture.
    let seen = catch_unwind(AssertUnwindSafe(|| try_look(sample)));
    match seen {
        Ok(Ok(look)) => Seen::Picture(look),
        Ok(Err(Error::Read { source, .. })) if source.kind() == std::io::ErrorKind::NotFound => Seen::Missing,
        Ok(Err(Error::Read { source, .. })) => Seen::Unreadable(source.to_string()),
        Ok(Err(Error::Picture { message, .. })) => Seen::Unreadable(message),
        Ok(Err(error)) => Seen::Unreadable(error.to_string()),
        Err(_) => Seen::Unreadable("the decoder panicked".to_owned()),
    }
}

fn try_look(sample: &Sample) -> Result<Look> {
    if !sample.source.is_encoded() {
        let image = decode(sample)?;
        let pixels = hash_pixels(&image);
        let (stored, is_grey) = (image.dimensions(), is_grey(&image));
        return Ok(Look { file: pixels, pixels, stored, is_turned: false, is_grey, format: None });
    }
    let limits = Limits::default();
    let bytes = encoded(sample, limits)?;
    let decoded = decode_encoded(sample, &bytes, limits)?;
    let (width, height) = decoded.image.dimensions();
    Ok(Look {
        file: hash(&[&bytes]),
        pixels: hash_pixels(&decoded.image),
        stored: if swaps_sides(decoded.orientation) { (height, width) } else { (width, height) },
        is_turned: decoded.orientation != Orientation::NoTransforms,
        is_grey: is_grey(&decoded.image),
        format: Some(decoded.format),
    })
}

fn hash_pixels(image: &RgbImage) -> Hash {
    let (width, height) = image.dimensions();
    hash(&[&width.to_le_bytes(), &height.to_le_bytes(), image.as_raw()])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update(part);
    }
    let mut half = Hash::default();
    half.copy_from_slice(&sha.finalize()[..size_of::<Hash>()]);
    half
}

fn is_grey(image: &RgbImage) -> bool {
    image.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2])
}

fn swaps_sides(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}
