//! Pictures that can be read, but that somebody should look at.

use std::path::Path;

use image::ImageFormat;

use super::look::Look;
use super::{Entry, Finding, Problem};
use crate::decode::format_name;
use crate::{BoundingBox, Source};

/// Shorter sides, in pixels, show next to nothing.
const SHORT_SIDE: u32 = 32;
/// The longer side divided by the shorter one from which a centre crop loses most of the picture.
const LONG: u32 = 4;
/// Archives differ by a pixel in where a box ends.
const TOLERANCE: f32 = 1.0;

/// Adds what is odd about one picture.
pub(super) fn findings(entry: Entry<'_>, look: &Look, findings: &mut Vec<Finding>) {
    let mut add = |problem, what: String| findings.push(entry.finding(problem, &what));
    let (width, height) = look.stored;
    if let Some(wrong) = entry.sample.bounding_box.and_then(|b| wrong_box(b, width as f32, height as f32)) {
        add(Problem::Box, format!("{wrong} of {width} x {height} pixels"));
    }
    if let (Some(format), Source::File { .. }) = (look.format, &entry.sample.source)
        && let Some(named) =
            ImageFormat::from_path(Path::new(&*entry.sample.file)).ok().filter(|named| *named != format)
    {
        let name = |format| format_name(format).unwrap_or("another format");
        add(Problem::Misnamed, format!("holds a {}, the name says {}", name(format), name(named)));
    }
    if look.is_turned {
        add(
            Problem::Turned,
            "its EXIF orientation turns it (boxes and parts are those of the unturned picture)".into(),
        );
    }
    if look.is_grey {
        add(Problem::Grey, "has no colour".to_owned());
    }
    let (short, long) = (width.min(height), width.max(height));
    if short < SHORT_SIDE {
        add(Problem::Tiny, format!("has {width} x {height} pixels"));
    }
    if long > short.saturating_mul(LONG) {
        add(Problem::Narrow, format!("has {width} x {height} pixels"));
    }
}

/// What is wrong with a box in a picture of that size, if anything is.
fn wrong_box(BoundingBox { left, top, width, height }: BoundingBox, across: f32, down: f32) -> Option<String> {
    let described = format!("the box from {left}, {top} with {width} x {height} pixels");
    // A number that is none is in no range.
    if !(width > 0.0 && height > 0.0) {
        return Some(format!("{described} is empty, in a picture"));
    }
    let inside = |from: f32, length: f32, all: f32| from >= -TOLERANCE && from + length <= all + TOLERANCE;
    (!inside(left, width, across) || !inside(top, height, down))
        .then(|| format!("{described} reaches out of the picture"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_lie_in_their_picture_up_to_a_pixel() {
        let wrong = |left, top, width, height| wrong_box(BoundingBox { left, top, width, height }, 40.0, 30.0);
        for inside in [[0.0, 0.0, 40.0, 30.0], [1.0, 1.0, 40.0, 30.0], [39.0, 29.0, 0.5, 0.5]] {
            let [left, top, width, height] = inside;
            assert_eq!(wrong(left, top, width, height), None, "{inside:?}");
        }
        for outside in [[2.0, 0.0, 40.0, 30.0], [0.0, 20.0, 10.0, 12.0], [-2.0, 0.0, 5.0, 5.0], [50.0, 5.0, 1.0, 1.0]] {
            let [left, top, width, height] = outside;
            assert!(wrong(left, top, width, height).unwrap().contains("reaches out"), "{outside:?}");
        }
        assert!(wrong(3.0, 3.0, 0.0, 5.0).unwrap().contains("is empty"));
        assert!(wrong(3.0, 3.0, f32::NAN, 5.0).unwrap().contains("is empty"));
        assert!(wrong(f32::NAN, 3.0, 5.0, 5.0).unwrap().contains("reaches out"));
    }
}
