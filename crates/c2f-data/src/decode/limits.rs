//! How much a picture may take, checked before it takes it.

/// The most pixels that a picture may have: photographs of 108 megapixels are read.
const MAX_MEGAPIXELS: u64 = 120;

/// The most bytes that a file may have, and that a decoder may take for its output and what it needs on the way there.
pub(super) const MAX_BYTES: u64 = 512 << 20;

pub(super) fn check_size(width: u32, height: u32) -> Result<(), String> {
    if width == 0 || height == 0 {
        return Err(format!("has {width} x {height} pixels, expected at least one"));
    }
    if u64::from(width) * u64::from(height) > MAX_MEGAPIXELS * 1_000_000 {
        return Err(format!("has {width} x {height} pixels, expected at most {MAX_MEGAPIXELS} megapixels"));
    }
    Ok(())
}

/// Checks what a decoder will allocate for a picture of this kind.
pub(super) fn check_bytes(kind: &str, bytes: u64) -> Result<(), String> {
    if bytes > MAX_BYTES { Err(too_large(kind)) } else { Ok(()) }
}

pub(super) fn too_large(kind: &str) -> String {
    format!("is a {kind} that needs more than 512 MiB to decode")
}
