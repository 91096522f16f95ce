//! What is in a file that isn't read, by its first bytes: people give it the names of pictures all the same.

/// Kinds by how their files start.
const BEGINNINGS: [(&[u8], &str); 22] = [
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"II\xbc\x01", "a JPEG XR picture"),
    (b"8BPS", "a Photoshop picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance picture"),
    (b"qoif", "a QOI picture"),
    (b"DDS ", "a DDS picture"),
    (b"\0\0\x01\0", "an icon"),
    (b"P1\n", "a PNM picture"),
    (b"P2\n", "a PNM picture"),
    (b"P3\n", "a PNM picture"),
    (b"P4\n", "a PNM picture"),
    (b"P5\n", "a PNM picture"),
    (b"P6\n", "a PNM picture"),
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a pointer of Git LFS instead of the file itself (`git lfs pull` gets it)"),
];

/// What the bytes are, with its article.
pub(super) fn kind(bytes: &[u8]) -> Option<&'static str> {
    let by_beginning = BEGINNINGS.iter().find(|(beginning, _)| bytes.starts_with(beginning));
    by_beginning.map(|(_, kind)| *kind).or_else(|| media(bytes)).or_else(|| markup(bytes))
}

/// HEIC, AVIF and films: a box `ftyp` that names what the file conforms to.
fn media(bytes: &[u8]) -> Option<&'static str> {
    if bytes.get(4..8)? != b"ftyp" {
        return None;
    }
    let length = u32::from_be_bytes(bytes[..4].try_into().ok()?) as usize;
    let brands = bytes.get(8..length.min(bytes.len()).min(128))?;
    let has = |names: &[&[u8; 4]]| brands.chunks_exact(4).any(|brand| names.iter().any(|name| *name == brand));
    Some(if has(&[b"avif", b"avis"]) {
        "an AVIF picture"
    } else if has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"]) {
        "a HEIC picture"
    } else if has(&[b"mif1", b"msf1", b"miaf"]) {
        "a HEIF picture"
    } else if has(&[b"crx "]) {
        "a raw photograph (CR3)"
    } else {
        "a film"
    })
}

/// Drawings and pages that are text.
fn markup(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let start = start[..start.len().min(1024)].to_ascii_lowercase();
    let has = |text: &[u8]| start.windows(text.len()).any(|part| part == text);
    match () {
        () if !start.starts_with(b"<") => None,
        () if start.starts_with(b"<!doctype html") || start.starts_with(b"<html") => {
            Some("an HTML page (an error that was saved as a picture?)")
        }
        () if has(b"<svg") => Some("an SVG drawing"),
        () if has(b"<html") => Some("an HTML page (an error that was saved as a picture?)"),
        () if start.starts_with(b"<?xml") => Some("an XML document"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::kind;

    #[test]
    fn kinds_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"[..], "a HEIC picture"),
            (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "a HEIC picture"),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "an AVIF picture"),
            (b"\0\0\0\x14ftypisom\0\0\0\0isom", "a film"),
            (b"\xff\x0a\xfa\x1f", "a JPEG XL picture"),
            (b"\0\0\0\x0cjP  \r\n\x87\n\0\0", "a JPEG 2000 picture"),
            (b"%PDF-1.7", "a PDF document"),
            (b"<?xml version='1.0'?>\n<svg xmlns='...'>", "an SVG drawing"),
            (b"\n<!DOCTYPE html><html><svg>", "an HTML page (an error that was saved as a picture?)"),
        ] {
            assert_eq!(kind(bytes), Some(expected));
        }
        for bytes in [&b""[..], b"hello", b"\0\0\0\x18ft", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n"] {
            assert_eq!(kind(bytes), None);
        }
    }
}
