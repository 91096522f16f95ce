//! Maps of numbers as colours.

use c2f_engine::Map;
use image::Rgb;
use image::imageops::{self, FilterType};

/// Anchors of matplotlib's `inferno` (public domain, CC0), evenly spaced from 0 to 1.
const INFERNO: [[f32; 3]; 9] = [
    [0.0, 0.0, 4.0],
    [31.0, 12.0, 72.0],
    [85.0, 15.0, 109.0],
    [136.0, 34.0, 106.0],
    [186.0, 54.0, 85.0],
    [227.0, 89.0, 51.0],
    [249.0, 140.0, 10.0],
    [249.0, 201.0, 50.0],
    [252.0, 255.0, 164.0],
];

/// The colour of a value in 0..1 (clamped; not a number counts as 0).
pub fn colour(value: f32) -> Rgb<u8> {
    let at = if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) } * (INFERNO.len() - 1) as f32;
    let low = (at as usize).min(INFERNO.len() - 2);
    blend(Rgb(INFERNO[low].map(|v| v as u8)), Rgb(INFERNO[low + 1].map(|v| v as u8)), at - low as f32)
}

/// `share` of `over` on `under`, `share` in 0..1.
pub fn blend(under: Rgb<u8>, over: Rgb<u8>, share: f32) -> Rgb<u8> {
    let mix = |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round() as u8;
    Rgb([mix(under[0], over[0]), mix(under[1], over[1]), mix(under[2], over[2])])
}

/// The map at another size, smooth between its values.
pub fn enlarge(map: &Map, width: u32, height: u32) -> Map {
    imageops::resize(map, width, height, FilterType::CatmullRom)
}

/// The map scaled so that its largest value is 1; a map without a positive value stays as it is.
pub fn to_unit_maximum(mut map: Map) -> Map {
    let maximum = map.iter().copied().fold(0.0, f32::max);
    if maximum > 0.0 && maximum.is_finite() {
        map.iter_mut().for_each(|v| *v /= maximum);
    }
    map
}

#[cfg(test)]
mod tests {
    use image::Luma;

    use super::*;

    #[test]
    fn colours_run_from_dark_to_light_and_clamp() {
        assert_eq!(colour(-3.0), Rgb([0, 0, 4]));
        assert_eq!(colour(f32::NAN), Rgb([0, 0, 4]));
        assert_eq!(colour(0.5), Rgb([186, 54, 85]));
        assert_eq!(colour(7.0), Rgb([252, 255, 164]));
        let light = |v: f32| colour(v).0.iter().map(|&c| u32::from(c)).sum::<u32>();
        assert!((1..=20).all(|i| light(i as f32 / 20.0) > light((i - 1) as f32 / 20.0)));
    }

    #[test]
    fn enlarging_keeps_the_place_of_the_maximum() {
        let mut map = Map::new(7, 7);
        map.put_pixel(5, 1, Luma([2.0]));
        let large = enlarge(&to_unit_maximum(map), 70, 70);
        let (x, y, _) = large.enumerate_pixels().max_by(|a, b| a.2[0].total_cmp(&b.2[0])).unwrap();
        assert!((50..60).contains(&x) && (10..20).contains(&y), "maximum at {x}, {y}");
    }
}
