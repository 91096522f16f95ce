//! Where the object is in a picture, and the parts that tell its class.

use image::metadata::Orientation;

use crate::decode::{Header, Limits, header};
use crate::{Point, Result, Sample, Source};

/// Where things are in a picture as it is decoded, upright.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// Width and height of the decoded picture.
    pub size: (u32, u32),
    /// The object's box: x1, y1, x2, y2 in pixels.
    pub object: [f32; 4],
    /// The boxes of the deciding parts, as `object`; empty where they aren't known (the parts of archives are points).
    pub parts: Vec<[f32; 4]>,
    /// Where each of [`Dataset::parts`](crate::Dataset::parts) is, as x and y in pixels, `None` for one that can't be seen; empty where the
    /// archive has no parts.
    pub points: Vec<Option<[f32; 2]>>,
}

impl Sample {
    /// Where the object is; `None` where the archive doesn't say. A drawing knows it of itself and is drawn for it; of a file
    /// only the header is decoded, for boxes are in the picture's pixels before any EXIF orientation.
    ///
    /// # Errors
    /// If the picture has a box and its header can't be read, or says that it is larger than `limits`.
    pub fn annotation(&self, limits: Limits) -> Result<Option<Annotation>> {
        if let Source::Synthetic { scene, size } = &self.source {
            let drawing = scene.draw(*size);
            let parts = drawing.parts.iter().map(|part| part.bounds).collect();
            return Ok(Some(Annotation { size: (*size, *size), object: drawing.creature, parts, points: Vec::new() }));
        }
        let Some(b) = self.bounding_box else { return Ok(None) };
        let header = header(self, limits)?;
        let (size, object) = upright(header, [b.left, b.top, b.left + b.width, b.top + b.height]);
        let point = |part: &Option<Point>| {
            let (_, [x, y, _, _]) = part.map(|Point { x, y }| upright(header, [x, y, x, y]))?;
            Some([x, y])
        };
        let points = self.parts.iter().map(point).collect();
        Ok(Some(Annotation { size, object, parts: Vec::new(), points }))
    }
}

/// The size of the upright picture, and where the box is there.
fn upright(Header { width, height, orientation }: Header, [x1, y1, x2, y2]: [f32; 4]) -> ((u32, u32), [f32; 4]) {
    let (x, y) = ([x1, x2], [y1, y2]);
    let (from_right, from_bottom) = ([x2, x1].map(|x| width as f32 - x), [y2, y1].map(|y| height as f32 - y));
    let (x, y, turned) = match orientation {
        Orientation::NoTransforms => (x, y, false),
        Orientation::FlipHorizontal => (from_right, y, false),
        Orientation::FlipVertical => (x, from_bottom, false),
        Orientation::Rotate180 => (from_right, from_bottom, false),
        Orientation::Rotate90 => (from_bottom, x, true),
        Orientation::Rotate270 => (y, from_right, true),
        Orientation::Rotate90FlipH => (y, x, true),
        Orientation::Rotate270FlipH => (from_bottom, from_right, true),
    };
    let size = if turned { (height, width) } else { (width, height) };
    (size, [x[0], y[0], x[1], y[1]])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use image::{DynamicImage, Rgb, RgbImage};

    use super::*;
    use crate::synthetic::{Scene, Split};
    use crate::{BoundingBox, decode};

    #[test]
    fn boxes_turn_with_the_picture() {
        let inside = |x, y| (2..5).contains(&x) && (1..7).contains(&y);
        let file = RgbImage::from_fn(11, 9, |x, y| Rgb([u8::from(inside(x, y)); 3]));
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let mut picture = DynamicImage::ImageRgb8(file.clone());
            picture.apply_orientation(orientation);
            let picture = picture.into_rgb8();
            let (size, b) = upright(Header { width: 11, height: 9, orientation }, [2.0, 1.0, 5.0, 7.0]);
            assert_eq!(size, picture.dimensions(), "{orientation:?}");
            for (x, y, pixel) in picture.enumerate_pixels() {
                let (cx, cy) = (x as f32 + 0.5, y as f32 + 0.5);
                let in_box = b[0] < cx && cx < b[2] && b[1] < cy && cy < b[3];
                assert_eq!(pixel.0[0] == 1, in_box, "{orientation:?}: ({x}, {y}), {b:?}");
            }
        }
    }

    #[test]
    fn headers_say_what_decoding_gives() {
        let root: std::sync::Arc<Path> = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").into();
        for name in ["plain.jpg", "progressive.jpg", "exif_rotated.jpg", "grey.jpg", "rgba16.png", "palette.gif"] {
            let mut sample = Sample::new(name, 0, Source::File { root: root.clone() });
            assert_eq!(sample.annotation(Limits::default()).unwrap(), None);
            sample.bounding_box = Some(BoundingBox { left: 1.0, top: 2.0, width: 3.0, height: 4.0 });
            sample.parts = [None, Some(Point { x: 1.0, y: 2.0 })].into();
            let annotation = sample.annotation(Limits::default()).unwrap().unwrap();
            assert_eq!(annotation.size, decode(&sample).unwrap().dimensions(), "{name}");
            let turned = header(&sample, Limits::default()).unwrap().orientation != Orientation::NoTransforms;
            assert_eq!(turned, name == "exif_rotated.jpg");
            assert_eq!(annotation.object == [1.0, 2.0, 4.0, 6.0], !turned, "{name}: {:?}", annotation.object);
            assert_eq!(annotation.points[0], None);
            assert_eq!(annotation.points[1] == Some([1.0, 2.0]), !turned, "{name}: {:?}", annotation.points);
        }
        let mut sample = Sample::new("gone.jpg", 0, Source::File { root });
        sample.bounding_box = Some(BoundingBox { left: 0.0, top: 0.0, width: 1.0, height: 1.0 });
        assert!(sample.annotation(Limits::default()).unwrap_err().to_string().contains("gone.jpg"));
    }

    #[test]
    fn drawings_know_their_parts() {
        let scene = Scene::new(2, Split::Test, 7, 10);
        let sample = Sample::new("drawing", scene.class, Source::Synthetic { scene, size: 64 });
        let annotation = sample.annotation(Limits::default()).unwrap().unwrap();
        let drawing = scene.draw(64);
        assert_eq!((annotation.size, annotation.object), ((64, 64), drawing.creature));
        assert_eq!(annotation.parts.len(), 3);
        assert_eq!(annotation.parts[2], drawing.parts[2].bounds);
    }
}
