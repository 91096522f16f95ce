//! The light on a finished scene: its strength, direction and colour, and the grain of the picture.

use super::canvas::Canvas;
use image::RgbImage;
use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;

/// Half the range of the grain, in levels of 0..255.
const GRAIN: f32 = 6.0;

/// Lights the scene. Each pixel's gain depends only on its place.
pub fn illuminate(canvas: &Canvas, rng: &mut ChaCha8Rng) -> RgbImage {
    let size = canvas.size() as u32;
    let strength = rng.random_range(0.82..1.12);
    let angle = rng.random_range(0.0..std::f32::consts::TAU);
    let slope = rng.random_range(0.0..0.3);
    let (dx, dy) = (angle.cos() * slope, angle.sin() * slope);
    let cast = [(); 3].map(|()| rng.random_range(0.93..1.07));
    let mut grain = vec![0; (size * size) as usize];
    rng.fill_bytes(&mut grain);

    let mut picture = RgbImage::new(size, size);
    let pixels = canvas.pixels().chunks_exact(4).zip(&grain);
    for (i, (out, (pixel, &grain))) in picture.pixels_mut().zip(pixels).enumerate() {
        let (x, y) = (i as u32 % size, i as u32 / size);
        let gain = strength + dx * (x as f32 / size as f32 - 0.5) + dy * (y as f32 / size as f32 - 0.5);
        let grain = (grain as f32 / 127.5 - 1.0) * GRAIN;
        for c in 0..3 {
            out.0[c] = (pixel[c] as f32 * gain * cast[c] + grain + 0.5) as u8;
        }
    }
    picture
}
