//! Changes of colour and sharpness on bytes, as Pillow's `ImageEnhance` and `ImageOps`.

use image::RgbImage;

/// `factor * picture + (1 - factor) * black`.
pub(super) fn brightness(picture: &mut RgbImage, factor: f32) {
    blend(picture, factor, |_| [0; 3]);
}

/// `factor * picture + (1 - factor) * its mean grey`.
pub(super) fn contrast(picture: &mut RgbImage, factor: f32) {
    let sum: u64 = pixels(picture).iter().map(|&p| u64::from(grey(p))).sum();
    let mean = (sum as f64 / pixels(picture).len().max(1) as f64 + 0.5) as u8;
    blend(picture, factor, |_| [mean; 3]);
}

/// `factor * picture + (1 - factor) * its grey`.
pub(super) fn saturation(picture: &mut RgbImage, factor: f32) {
    blend(picture, factor, |p| [grey(p); 3]);
}

/// `factor * picture + (1 - factor) * a smoother one`, the mean of 3 x 3 pixels of which the middle counts 5 times. The
/// border stays.
pub(super) fn sharpness(picture: &mut RgbImage, factor: f32) {
    let source = picture.clone();
    let (width, height) = (source.width() as usize, source.height() as usize);
    let (old, (new, _)) = (pixels(&source), picture.as_chunks_mut::<3>());
    for y in 1..height.saturating_sub(1) {
        for x in 1..width.saturating_sub(1) {
            let at = y * width + x;
            let smooth = [0, 1, 2].map(|c| {
                let row = |i: usize| u32::from(old[i - 1][c]) + u32::from(old[i][c]) + u32::from(old[i + 1][c]);
                let sum = row(at - width) + row(at) + row(at + width) + 4 * u32::from(old[at][c]);
                (sum as f32 / 13.0 + 0.5) as u8
            });
            new[at] = mix(smooth, old[at], factor);
        }
    }
}

/// Keeps the highest `bits` of each value, 0 to 8.
pub(super) fn posterize(picture: &mut RgbImage, bits: u32) {
    let mask = !(255u16 >> bits) as u8;
    picture.iter_mut().for_each(|v| *v &= mask);
}

/// Inverts the values from `threshold` on.
pub(super) fn solarize(picture: &mut RgbImage, threshold: f32) {
    picture.iter_mut().filter(|v| f32::from(**v) >= threshold).for_each(|v| *v = 255 - *v);
}

/// Stretches each channel's values over 0 to 255.
pub(super) fn auto_contrast(picture: &mut RgbImage) {
    map_channels(picture, |histogram| {
        let lowest = histogram.iter().position(|&n| n > 0)?;
        let highest = histogram.iter().rposition(|&n| n > 0).filter(|&highest| highest > lowest)?;
        let scale = 255.0 / (highest - lowest) as f64;
        let offset = -(lowest as f64) * scale;
        // A cast cuts off, as in Python, and keeps to 0..=255.
        Some(std::array::from_fn(|v| (v as f64 * scale + offset) as u8))
    });
}

/// Spreads each channel's values evenly over 0 to 255.
pub(super) fn equalize(picture: &mut RgbImage) {
    map_channels(picture, |histogram| {
        let highest = histogram.iter().rposition(|&n| n > 0)?;
        let step = histogram[..highest].iter().sum::<usize>() / 255;
        let mut sum = step / 2;
        (step > 0).then(|| {
            histogram.map(|n| {
                let value = (sum / step).min(255) as u8;
                sum += n;
                value
            })
        })
    });
}

/// Replaces each channel's values by the table that `table` makes of their histogram, if it makes one.
fn map_channels(picture: &mut RgbImage, table: impl Fn([usize; 256]) -> Option<[u8; 256]>) {
    for channel in 0..3 {
        let mut histogram = [0; 256];
        for pixel in pixels(picture) {
            histogram[usize::from(pixel[channel])] += 1;
        }
        if let Some(table) = table(histogram) {
            picture.pixels_mut().for_each(|p| p.0[channel] = table[usize::from(p.0[channel])]);
        }
    }
}

fn pixels(picture: &RgbImage) -> &[[u8; 3]] {
    picture.as_raw().as_chunks::<3>().0
}

fn blend(picture: &mut RgbImage, factor: f32, other: impl Fn([u8; 3]) -> [u8; 3]) {
    picture.pixels_mut().for_each(|p| p.0 = mix(other(p.0), p.0, factor));
}

/// Cut off, not rounded, as Pillow's `Image.blend`; a cast keeps to 0..=255.
fn mix(from: [u8; 3], to: [u8; 3], factor: f32) -> [u8; 3] {
    [0, 1, 2].map(|c| {
        let start = f32::from(from[c]);
        (start + factor * (f32::from(to[c]) - start)) as u8
    })
}

/// Pillow's conversion to `L`.
fn grey([r, g, b]: [u8; 3]) -> u8 {
    ((19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 0x8000) >> 16) as u8
}
