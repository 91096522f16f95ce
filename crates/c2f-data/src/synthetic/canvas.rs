//! A square pixmap with the few strokes that the drawings need.

use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Shader, Stroke, Transform};

/// Red, green and blue in 0..1.
pub type Rgb = [f32; 3];

/// A round patch of the backdrop, out of focus; in pixels.
pub struct Blot {
    pub x: f32,
    pub y: f32,
    pub radius: f32,
    pub rgb: Rgb,
}

/// A picture in the making. Coordinates are pixels, y down.
pub struct Canvas {
    pixmap: Pixmap,
}

impl Canvas {
    pub fn new(size: u32) -> Self {
        Self { pixmap: Pixmap::new(size, size).expect("a picture's size lies between 1 and some thousand pixels") }
    }

    pub fn size(&self) -> f32 {
        self.pixmap.width() as f32
    }

    /// The pixels, row by row, as R, G, B, A. Everything is opaque once the background is drawn.
    pub fn pixels(&self) -> &[u8] {
        self.pixmap.data()
    }

    /// Fills the whole picture with a gradient from the top's colour to the bottom's, under soft round blots.
    pub fn backdrop(&mut self, top: Rgb, bottom: Rgb, blots: &[Blot]) {
        let size = self.pixmap.width() as usize;
        let mut row = vec![top; size];
        for (y, pixels) in self.pixmap.data_mut().chunks_exact_mut(4 * size).enumerate() {
            row.fill(mix(top, bottom, y as f32 / size as f32));
            for blot in blots {
                let dy = (y as f32 - blot.y) / blot.radius;
                if dy.abs() < 1.0 {
                    let step = 1.0 / blot.radius;
                    for (x, rgb) in row.iter_mut().enumerate() {
                        let dx = (x as f32 - blot.x) * step;
                        let inside = (1.0 - dx * dx - dy * dy).max(0.0);
                        *rgb = mix(*rgb, blot.rgb, (3.0 * inside).min(0.8));
                    }
                }
            }
            for (pixel, rgb) in pixels.chunks_exact_mut(4).zip(&row) {
                let [r, g, b] = rgb.map(|v| (v * 255.0 + 0.5) as u8);
                pixel.copy_from_slice(&[r, g, b, 255]);
            }
        }
    }

    pub fn fill(&mut self, path: &Path, rgb: Rgb, transform: Transform) {
        self.pixmap.fill_path(path, &paint(rgb), FillRule::Winding, transform, None);
    }

    /// Draws along a path, `width` wide in the path's own units, with round ends and corners.
    pub fn stroke(&mut self, path: &Path, rgb: Rgb, width: f32, transform: Transform) {
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        self.pixmap.stroke_path(path, &paint(rgb), &stroke, transform, None);
    }
}

fn paint(rgb: Rgb) -> Paint<'static> {
    let [r, g, b] = rgb.map(|v| (v * 255.0 + 0.5) as u8);
    Paint { shader: Shader::SolidColor(Color::from_rgba8(r, g, b, 255)), anti_alias: true, ..Paint::default() }
}

fn mix(a: Rgb, b: Rgb, share: f32) -> Rgb {
    [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * share)
}

/// A path from its strokes: at least two different points.
pub fn path(strokes: impl FnOnce(&mut PathBuilder)) -> Path {
    let mut builder = PathBuilder::new();
    strokes(&mut builder);
    builder.finish().expect("a path has at least two finite points")
}

/// A polygon.
pub fn polygon(points: &[(f32, f32)]) -> Path {
    path(|p| {
        p.move_to(points[0].0, points[0].1);
        for &(x, y) in &points[1..] {
            p.line_to(x, y);
        }
        p.close();
    })
}

/// An ellipse around a centre.
pub fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Path {
    // The four cubic arcs of a circle: https://spencermortensen.com/articles/bezier-circle/
    const K: f32 = 0.551_915;
    path(|p| {
        p.move_to(x + rx, y);
        p.cubic_to(x + rx, y + K * ry, x + K * rx, y + ry, x, y + ry);
        p.cubic_to(x - K * rx, y + ry, x - rx, y + K * ry, x - rx, y);
        p.cubic_to(x - rx, y - K * ry, x - K * rx, y - ry, x, y - ry);
        p.cubic_to(x + K * rx, y - ry, x + rx, y - K * ry, x + rx, y);
        p.close();
    })
}

/// The box of a path's points after a transform, grown by `margin` in the path's own units: x1, y1, x2, y2 in pixels.
pub fn bounds(path: &Path, transform: Transform, margin: f32) -> [f32; 4] {
    let tight = path.clone().transform(transform).and_then(|p| p.compute_tight_bounds());
    let rect = tight.expect("a finite path stays finite under a pose");
    let margin = margin * transform.get_scale().0;
    [rect.left() - margin, rect.top() - margin, rect.right() + margin, rect.bottom() + margin]
}

/// The smallest box around both.
pub fn join(a: [f32; 4], b: [f32; 4]) -> [f32; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}

/// Hue (in turns), saturation and value to red, green and blue.
pub fn hsv(hue: f32, saturation: f32, value: f32) -> Rgb {
    [5.0, 3.0, 1.0].map(|n| {
        let k = (n + hue.rem_euclid(1.0) * 6.0) % 6.0;
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}
