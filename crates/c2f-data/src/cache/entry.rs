//! One decoded picture in a file: what it was decoded from, its size, a checksum, its pixels.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use image::RgbImage;

use crate::stamp::Stamp;

/// The beginning of every file; its number changes with the format, and with what decoding gives.
const MAGIC: [u8; 8] = *b"c2frgb1\n";
/// Magic, stamp, width, height, checksum.
const HEADER: usize = 44;

/// How many bytes the file of a picture has.
pub(super) fn size(picture: &RgbImage) -> u64 {
    (HEADER + picture.as_raw().len()) as u64
}

/// Writes the picture that was decoded from a file with that stamp.
pub(super) fn write(to: &mut impl Write, stamp: Stamp, picture: &RgbImage) -> std::io::Result<()> {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..32].copy_from_slice(&stamp.to_bytes());
    header[32..36].copy_from_slice(&picture.width().to_le_bytes());
    header[36..40].copy_from_slice(&picture.height().to_le_bytes());
    let checksum = checksum(&header, picture.as_raw());
    header[40..].copy_from_slice(&checksum.to_le_bytes());
    to.write_all(&header)?;
    to.write_all(picture.as_raw())
}

/// The picture in a file, if it is whole and was decoded from a file with that stamp.
pub(super) fn read(path: &Path, stamp: Stamp) -> Option<RgbImage> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let mut header = [0; HEADER];
    file.read_exact(&mut header).ok()?;
    if header[..8] != MAGIC || header[8..32] != stamp.to_bytes() {
        return None;
    }
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (width, height) = (number(32), number(36));
    let pixels = (u64::from(width) * u64::from(height)).checked_mul(3)?;
    // What a damaged header says must not decide how much memory is asked for.
    if pixels == 0 || pixels.checked_add(HEADER as u64) != Some(length) {
        return None;
    }
    let mut raw = Vec::with_capacity(usize::try_from(pixels).ok()?);
    file.take(pixels).read_to_end(&mut raw).ok()?;
    (checksum(&header, &raw) == number(40)).then(|| RgbImage::from_raw(width, height, raw)).flatten()
}

/// CRC-32 of what stands before the checksum, and of the pixels.
fn checksum(header: &[u8; HEADER], pixels: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header[..40]);
    crc.update(pixels);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use image::Rgb;

    use super::*;

    #[test]
    fn damage_anywhere_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entry");
        let picture = RgbImage::from_fn(7, 5, |x, y| Rgb([x as u8, y as u8, 200]));
        let stamp = Stamp { bytes: 1234, modified: UNIX_EPOCH - Duration::from_nanos(5) };
        let mut whole = Vec::new();
        write(&mut whole, stamp, &picture).unwrap();
        assert_eq!(whole.len() as u64, size(&picture));
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read(&path, stamp), Some(picture));
        assert_eq!(read(&path, Stamp { bytes: 1235, ..stamp }), None);
        assert_eq!(read(&path, Stamp { modified: UNIX_EPOCH, ..stamp }), None);
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x40;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(read(&path, stamp), None, "byte {place}");
            std::fs::write(&path, &whole[..place]).unwrap();
            assert_eq!(read(&path, stamp), None, "{place} bytes");
        }
        whole.push(0);
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read(&path, stamp), None);
    }
}
