//! The segments of a JPEG, one after another: what its headers say, and where the picture ends.

/// What the headers of a JPEG say of how it is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The number N of the frame's marker `SOFN`: 0 and 1 for sequential, 2 for progressive Huffman coding.
    pub frame: u8,
    /// Bits of a sample.
    pub precision: u8,
    /// Channels in the frame, and in its first scan.
    pub components: u8,
    pub scan_components: u8,
    /// The length of the picture in bytes, its end marker included: another may follow, such as the film of a motion photo.
    pub length: usize,
}

const RESTART: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

/// Walks the segments to the end marker. A thumbnail or anything else within a segment is passed over with it.
pub(super) fn walk(bytes: &[u8]) -> Result<Layout, String> {
    let mut layout = Layout { frame: 0, precision: 8, components: 0, scan_components: 0, length: 0 };
    // Behind the start marker.
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at).ok_or("is a cut-off JPEG: its end marker is missing")?;
        match marker {
            END => return Ok(Layout { length: at, ..layout }),
            // They have no segment; the second one of a start is a stray.
            0x01 | 0xd8 => continue,
            marker if RESTART.contains(&marker) => continue,
            _ => {}
        }
        let length = bytes.get(at..at + 2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]])));
        let length =
            length.filter(|length| *length >= 2).ok_or("is a damaged or cut-off JPEG: a segment has no length")?;
        let segment = bytes.get(at + 2..at + length).ok_or("is a cut-off JPEG: it ends within a segment")?;
        at += length;
        match marker {
            // SOF0 to SOF15, but for the tables (DHT, JPG, DAC) that have a number among them.
            0xc0..=0xcf if ![0xc4, 0xc8, 0xcc].contains(&marker) => {
                layout.frame = marker - 0xc0;
                layout.precision = segment.first().copied().unwrap_or(0);
                layout.components = segment.get(5).copied().unwrap_or(0);
            }
            SCAN => {
                if layout.scan_components == 0 {
                    layout.scan_components = segment.first().copied().unwrap_or(0);
                }
                skip_scan(bytes, &mut at);
            }
            _ => {}
        }
    }
}

/// The marker at or behind `at`, which is then behind it. Any number of fill bytes may stand before one.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    *at += bytes.get(*at..)?.iter().position(|byte| *byte == 0xff)?;
    *at += bytes.get(*at..)?.iter().position(|byte| *byte != 0xff)?;
    let marker = bytes[*at];
    *at += 1;
    Some(marker)
}

/// Moves `at` over the compressed data of a scan, to the next marker that is no restart. In the data 0xff is followed by 0.
fn skip_scan(bytes: &[u8], at: &mut usize) {
    while let Some(next) = bytes.get(*at..).and_then(|rest| rest.iter().position(|byte| *byte == 0xff)) {
        *at += next;
        match bytes.get(*at + 1) {
            Some(0) => *at += 2,
            Some(0xff) => *at += 1,
            Some(marker) if RESTART.contains(marker) => *at += 2,
            _ => return,
        }
    }
    *at = bytes.len();
}
