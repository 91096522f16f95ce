//! One square of an overlay: the picture with a map on it.

use c2f_engine::Map;
use image::{Rgb, RgbImage};

use crate::heat;

/// Stays visible on foliage, sky and skin, in print and on dark backgrounds.
const BOX: Rgb<u8> = Rgb([255, 214, 10]);

/// The picture under its attention in heat colours. The map's largest value counts as 1, so that the picture shows
/// where the network looks, not how strongly.
pub fn attention_panel(picture: &RgbImage, attention: &Map) -> RgbImage {
    let map = heat::to_unit_maximum(heat::enlarge(attention, picture.width(), picture.height()));
    let mut panel = picture.clone();
    for (pixel, value) in panel.pixels_mut().zip(map.pixels()) {
        let value = value[0].clamp(0.0, 1.0);
        *pixel = heat::blend(*pixel, heat::colour(value), 0.35 + 0.4 * value);
    }
    panel
}

/// What the fine look gets: the picture dimmed where the region map (0..1, not rescaled) is low, and the box of the
/// zoom (x1, y1, x2, y2 in 0..1 of the picture) where there is one.
pub fn region_panel(picture: &RgbImage, region: Option<&Map>, zoom: Option<[f32; 4]>) -> RgbImage {
    let mut panel = picture.clone();
    if let Some(region) = region {
        let map = heat::enlarge(region, picture.width(), picture.height());
        for (pixel, value) in panel.pixels_mut().zip(map.pixels()) {
            *pixel = heat::blend(Rgb([24, 26, 32]), *pixel, 0.12 + 0.88 * value[0].clamp(0.0, 1.0));
        }
    }
    if let Some(corners) = zoom {
        draw_box(&mut panel, corners);
    }
    panel
}

fn draw_box(image: &mut RgbImage, corners: [f32; 4]) {
    let (width, height) = image.dimensions();
    let thickness = (width.min(height) / 90).max(1);
    let place = |share: f32, length: u32| (share.clamp(0.0, 1.0) * length as f32).round() as u32;
    let (left, right) = (place(corners[0], width), place(corners[2], width));
    let (top, bottom) = (place(corners[1], height), place(corners[3], height));
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let inside = (left..right).contains(&x) && (top..bottom).contains(&y);
        let distance = || (x - left).min(right - 1 - x).min(y - top).min(bottom - 1 - y);
        if inside && distance() < thickness {
            *pixel = BOX;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    fn grey() -> RgbImage {
        RgbImage::from_pixel(90, 90, Rgb([128; 3]))
    }

    #[test]
    fn attention_is_brightest_where_the_map_is_largest() {
        let mut map = Map::new(3, 3);
        map.put_pixel(2, 0, Luma([0.01]));
        let panel = attention_panel(&grey(), &map);
        assert!(panel.get_pixel(75, 15)[0] > panel.get_pixel(15, 75)[0] + 100);
    }

    #[test]
    fn region_dims_what_is_outside_and_frames_the_zoom() {
        let map = Map::from_fn(90, 90, |x, _| Luma([if x < 45 { 0.0 } else { 1.0 }]));
        let panel = region_panel(&grey(), Some(&map), Some([0.6, 0.2, 0.9, 0.8]));
        assert_eq!(panel.get_pixel(80, 5), &Rgb([128; 3]));
        assert!(panel.get_pixel(5, 5)[0] < 50);
        assert_eq!(panel.get_pixel(54, 40), &BOX);
        assert_eq!(panel.get_pixel(70, 40), &Rgb([128; 3]));
        // Boxes that reach outside or hold nothing draw what they can.
        region_panel(&grey(), None, Some([-0.5, -0.5, 1.5, 1.5]));
        assert_eq!(region_panel(&grey(), None, Some([0.7, 0.7, 0.2, 0.2])), grey());
    }
}
