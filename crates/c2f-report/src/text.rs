//! Text on pictures, in DejaVu Sans (assets/fonts/LICENSE).

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

use crate::heat::blend;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../assets/fonts/DejaVuSans.ttf")).expect("the embedded font is intact")
});

/// The width of a line of text, in pixels, at a size in pixels.
pub fn width(text: &str, size: f32) -> f32 {
    layout(text, size).1
}

/// The text, shortened with an ellipsis where it is wider than `limit` pixels.
pub fn fit(text: &str, size: f32, limit: f32) -> String {
    if width(text, size) <= limit {
        return text.to_owned();
    }
    let mut short: Vec<char> = text.chars().collect();
    while short.pop().is_some() {
        let candidate = format!("{}…", short.iter().collect::<String>().trim_end());
        if width(&candidate, size) <= limit {
            return candidate;
        }
    }
    String::new()
}

/// Draws one line with its top left corner at (x, y); what lies outside of the picture is cut off.
pub fn draw(image: &mut RgbImage, text: &str, x: f32, y: f32, size: f32, colour: Rgb<u8>) {
    for mut glyph in layout(text, size).0 {
        glyph.position.x += x;
        glyph.position.y += y;
        let Some(outline) = FONT.outline_glyph(glyph) else { continue };
        let corner = outline.px_bounds().min;
        outline.draw(|dx, dy, coverage| {
            let (px, py) = (corner.x as i64 + i64::from(dx), corner.y as i64 + i64::from(dy));
            let (Ok(px), Ok(py)) = (u32::try_from(px), u32::try_from(py)) else { return };
            if let Some(pixel) = image.get_pixel_mut_checked(px, py) {
                *pixel = blend(*pixel, colour, coverage.clamp(0.0, 1.0));
            }
        });
    }
}

fn layout(text: &str, size: f32) -> (Vec<Glyph>, f32) {
    let scale = PxScale::from(size);
    let font = FONT.as_scaled(scale);
    let mut x = 0.0;
    let mut glyphs = Vec::new();
    for letter in text.chars() {
        let id = font.glyph_id(letter);
        glyphs.push(id.with_scale_and_position(scale, point(x, font.ascent())));
        x += font.h_advance(id);
    }
    (glyphs, x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_long_names() {
        let name = "017.Cardinal_with_a_rather_long_name";
        let short = fit(name, 14.0, 120.0);
        assert!(width(&short, 14.0) <= 120.0 && short.ends_with('…') && name.starts_with(short.trim_end_matches('…')));
        assert_eq!(fit("Wren", 14.0, 120.0), "Wren");
        assert_eq!(fit("Wren", 14.0, 1.0), "");
    }

    #[test]
    fn draws_ink_inside_its_line_and_survives_the_edge() {
        let mut image = RgbImage::from_pixel(80, 30, Rgb([255; 3]));
        draw(&mut image, "Ågf", 5.0, 5.0, 14.0, Rgb([0; 3]));
        let ink: Vec<_> = image.enumerate_pixels().filter(|(.., p)| p[0] < 128).map(|(x, y, _)| (x, y)).collect();
        assert!(!ink.is_empty() && ink.iter().all(|&(x, y)| (4..40).contains(&x) && (4..21).contains(&y)), "{ink:?}");
        draw(&mut image, "over the edge", 60.0, 25.0, 14.0, Rgb([0; 3]));
        draw(&mut image, "over the edge", -20.0, -8.0, 14.0, Rgb([0; 3]));
    }
}
