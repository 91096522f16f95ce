//! Random erasing (Zhong et al. 2017, <https://arxiv.org/abs/1708.04896>).

use rand::Rng;

use super::CropBox;
use super::crop::uniform;

/// Least and most share of the view that is erased, as in torchvision.
const SCALE: (f64, f64) = (0.02, 0.33);
/// Least and most height divided by width, as in torchvision.
const RATIO: (f64, f64) = (0.3, 3.3);

/// Draws what to erase of a view of `size` x `size` pixels; after ten boxes that don't fit, nothing. As
/// `RandomErasing.get_params` of torchvision.
pub(super) fn draw(size: usize, rng: &mut impl Rng) -> Option<CropBox> {
    let size = size as u32;
    for _ in 0..10 {
        let area = f64::from(size) * f64::from(size) * uniform(SCALE.0, SCALE.1, rng);
        let ratio = uniform(RATIO.0.ln(), RATIO.1.ln(), rng).exp();
        let height = (area * ratio).sqrt().round() as u32;
        let width = (area / ratio).sqrt().round() as u32;
        if (1..size).contains(&height) && (1..size).contains(&width) {
            let top = rng.random_range(0..=size - height);
            let left = rng.random_range(0..=size - width);
            return Some(CropBox { left, top, width, height });
        }
    }
    None
}

/// Sets a box to 0, the mean colour. `planes` are (3, size, size) and show what the box was drawn for `zoom` times as large.
pub(super) fn apply(planes: &mut [f32], size: usize, part: CropBox, zoom: f64) {
    let scaled = |edge: u32| ((f64::from(edge) * zoom).round() as usize).min(size);
    let columns = scaled(part.left)..scaled(part.left + part.width);
    for plane in planes.chunks_exact_mut(size * size) {
        for row in plane.chunks_exact_mut(size).take(scaled(part.top + part.height)).skip(scaled(part.top)) {
            row[columns.clone()].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn boxes_keep_to_the_view_and_to_their_range() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut shares = Vec::new();
        for _ in 0..1000 {
            let part = draw(100, &mut rng).unwrap();
            assert!(part.left + part.width <= 100 && part.top + part.height <= 100);
            shares.push(f64::from(part.width * part.height) / 1e4);
        }
        assert!(shares.iter().all(|share| (0.015..0.345).contains(share)));
        let mean = shares.iter().sum::<f64>() / 1000.0;
        // Uniform in 0.02..0.33: 0.175, with a standard error of 0.003.
        assert!((0.16..0.19).contains(&mean), "mean share {mean}");
        assert_eq!(draw(1, &mut rng), None);
    }

    #[test]
    fn the_box_is_zero_in_every_plane_and_view() {
        let part = CropBox { left: 1, top: 2, width: 2, height: 1 };
        for (size, zoom) in [(4, 1.0), (8, 2.0)] {
            let mut planes = vec![1.0; 3 * size * size];
            apply(&mut planes, size, part, zoom);
            for (i, value) in planes.iter().enumerate() {
                let (x, y) = ((i % size) as f64 / zoom, (i / size % size) as f64 / zoom);
                let inside = (1.0..3.0).contains(&x) && (2.0..3.0).contains(&y);
                assert_eq!(*value, if inside { 0.0 } else { 1.0 }, "at {x}, {y}");
            }
        }
    }
}
