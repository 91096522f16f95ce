//! From places in a picture to places in what is seen of it.

use super::{EvalTransform, Fit, fit};

impl EvalTransform {
    /// Where the view of a picture of `size` (width, height) has what the picture has in `bounds`: x1, y1, x2, y2, in pixels
    /// of the picture as it was decoded, become x1, y1, x2, y2 in 0..=1 of the view. What lies outside of the view is cut off;
    /// `None` where nothing is left.
    pub fn to_view(&self, size: (u32, u32), bounds: [f32; 4]) -> Option<[f32; 4]> {
        let [x1, y1] = self.place(size, [bounds[0], bounds[1]]);
        let [x2, y2] = self.place(size, [bounds[2], bounds[3]]);
        let [x1, y1, x2, y2] = [x1, y1, x2, y2].map(|place| place.clamp(0.0, 1.0));
        let [x1, x2] = if self.flip { [x2, x1] } else { [x1, x2] };
        (x1 < x2 && y1 < y2).then_some([x1, y1, x2, y2])
    }

    /// As [`to_view`](Self::to_view), where the view has a point: x and y in pixels become x and y in 0..=1 of the view; `None` for one
    /// outside.
    pub fn point_to_view(&self, size: (u32, u32), point: [f32; 2]) -> Option<[f32; 2]> {
        let place = self.place(size, point);
        place.iter().all(|place| (0.0..=1.0).contains(place)).then_some(place)
    }

    /// The point, of the view, which may be outside.
    fn place(&self, size: (u32, u32), point: [f32; 2]) -> [f32; 2] {
        let (size, offset) = match self.fit {
            Fit::Pad => {
                let (side, offset) = fit::padding(size);
                ((side, side), offset.map(f64::from))
            }
            Fit::Crop | Fit::Squash => (size, [0.0; 2]),
        };
        let [left, top, width, height] = self.part(size);
        let x = ((f64::from(point[0]) + offset[0] - left) / width) as f32;
        let y = ((f64::from(point[1]) + offset[1] - top) / height) as f32;
        [if self.flip { 1.0 - x } else { x }, y]
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::super::{Place, Transform};
    use super::*;

    /// A white box on black is in the view where the mapping says, whatever the transform, to within one of its pixels.
    #[test]
    fn a_box_is_found_where_the_mapping_says() {
        let (size, bounds) = ((150, 90), [30_u32, 20, 110, 70]);
        let picture = RgbImage::from_fn(size.0, size.1, |x, y| {
            let inside = (bounds[0]..bounds[2]).contains(&x) && (bounds[1]..bounds[3]).contains(&y);
            Rgb([if inside { 255 } else { 0 }; 3])
        });
        for fit in [Fit::Crop, Fit::Squash, Fit::Pad] {
            for place in Place::ALL {
                for flip in [false, true] {
                    let (mean, std) = ([0.0; 3], [1.0; 3]);
                    let transform =
                        EvalTransform { fit, place, flip, resize: 80, size: 64, source_size: 64, mean, std };
                    let expected = transform.to_view(size, bounds.map(|v| v as f32)).unwrap();
                    let view = Transform::Eval(transform).apply(&picture, 0, 0, 0).coarse;
                    let white = (0..64 * 64).filter(|&i| view[i] > 0.5).map(|i| (i % 64, i / 64));
                    let found = white.fold([64, 64, 0, 0], |[x1, y1, x2, y2], (x, y)| {
                        [x1.min(x), y1.min(y), x2.max(x + 1), y2.max(y + 1)]
                    });
                    for (found, expected) in found.iter().zip(expected) {
                        let difference = (*found as f32 - 64.0 * expected).abs();
                        assert!(difference <= 1.0, "{fit:?} {place:?} {flip}: {found:?} {expected:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_the_crop_cuts_off_is_cut_off() {
        // Of 200 x 100 pixels the middle 100 x 100 are seen.
        let transform = EvalTransform { resize: 50, size: 50, source_size: 50, ..EvalTransform::default() };
        let view = |bounds| transform.to_view((200, 100), bounds);
        assert_eq!(view([0.0, 0.0, 200.0, 100.0]), Some([0.0, 0.0, 1.0, 1.0]));
        assert_eq!(view([25.0, 25.0, 100.0, 75.0]), Some([0.0, 0.25, 0.5, 0.75]));
        assert_eq!(view([0.0, 0.0, 50.0, 100.0]), None);
        let mirrored = EvalTransform { flip: true, ..transform };
        assert_eq!(mirrored.to_view((200, 100), [25.0, 25.0, 100.0, 75.0]), Some([0.5, 0.25, 1.0, 0.75]));
    }
}
