//! Background and foreground: leaves, twigs and blobs, some in the colours and forms of the deciding parts.

use super::canvas::{Blot, Canvas, Rgb, ellipse, hsv, path, polygon};
use super::classes::BeakColour;
use super::creature::beak_rgb;
use super::pose::Pose;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tiny_skia::{Point, Transform};

/// Draws the background and the branch that the creature stands on.
pub fn behind(canvas: &mut Canvas, pose: &Pose, rng: &mut ChaCha8Rng) {
    let size = canvas.size();
    // Greens, blues and browns more often than not.
    let hue = if rng.random_bool(0.6) { rng.random_range(0.08..0.6) } else { rng.random_range(0.0..1.0) };
    let tone = |rng: &mut ChaCha8Rng| {
        hsv(hue + rng.random_range(-0.12..0.12), rng.random_range(0.1..0.5), rng.random_range(0.38..0.9))
    };
    let palette = Palette::new(rng);
    let blots = [(); 6].map(|()| {
        let p = anywhere(rng, size);
        let rgb = if rng.random_bool(0.3) { part_colour(rng, &palette) } else { tone(rng) };
        Blot { x: p.x, y: p.y, radius: rng.random_range(0.1..0.3) * size, rgb }
    });
    canvas.backdrop(tone(rng), tone(rng), &blots);
    for _ in 0..rng.random_range(2..6) {
        twig(canvas, rng, size);
    }
    for _ in 0..rng.random_range(12..24) {
        let rgb = if rng.random_bool(0.25) { part_colour(rng, &palette) } else { tone(rng) };
        leaf(canvas, rng, size, rgb);
    }
    for _ in 0..rng.random_range(3..9) {
        mimic(canvas, rng, size, &palette);
    }
    branch(canvas, pose, rng);
}

/// Draws a thin twig across the creature in half of the pictures. It touches at most one deciding part.
pub fn in_front(canvas: &mut Canvas, pose: &Pose, rng: &mut ChaCha8Rng) {
    if rng.random_bool(0.5) {
        return;
    }
    let size = canvas.size();
    let rgb = hsv(rng.random_range(0.04..0.3), rng.random_range(0.2..0.5), rng.random_range(0.2..0.5));
    let width = rng.random_range(0.012..0.02) * size;
    // Most lines through a picture miss two of the three parts; a picture in which ten in a row don't stays free.
    for _ in 0..10 {
        let middle = anywhere(rng, size);
        let angle = rng.random_range(0.0..std::f32::consts::TAU);
        let (dx, dy) = (angle.cos(), angle.sin());
        let touched =
            pose.slots.iter().filter(|(p, r)| ((p.x - middle.x) * dy - (p.y - middle.y) * dx).abs() < r + width);
        if touched.count() <= 1 {
            let line = path(|p| {
                p.move_to(middle.x - 2.0 * size * dx, middle.y - 2.0 * size * dy);
                p.line_to(middle.x + 2.0 * size * dx, middle.y + 2.0 * size * dy);
            });
            canvas.stroke(&line, rgb, width, Transform::identity());
            return;
        }
    }
}

fn anywhere(rng: &mut ChaCha8Rng, size: f32) -> Point {
    Point::from_xy(rng.random_range(0.0..size), rng.random_range(0.0..size))
}

/// How much of each colour that a part may have (yellow, red, blue, pale) is among a picture's clutter. It differs
/// so much from picture to picture that what the parts themselves add to a histogram is lost in it.
struct Palette([f32; 4]);

impl Palette {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        Self([(); 4].map(|()| rng.random_range(0.1_f32..1.0).powi(3)))
    }

    fn pick(&self, rng: &mut ChaCha8Rng) -> usize {
        let mut at = rng.random_range(0.0..self.0.iter().sum());
        let past = |weight: &f32| {
            at -= weight;
            at < 0.0
        };
        self.0.iter().position(past).unwrap_or(3)
    }
}

/// A colour that a beak or a bar might have.
fn part_colour(rng: &mut ChaCha8Rng, palette: &Palette) -> Rgb {
    let shift = [rng.random_range(-0.02..0.02), rng.random_range(-0.15..0.02), rng.random_range(-0.2..0.04)];
    match palette.pick(rng) {
        0 => beak_rgb(BeakColour::Yellow, shift),
        1 => beak_rgb(BeakColour::Red, shift),
        2 => beak_rgb(BeakColour::Blue, shift),
        _ => hsv(0.12, rng.random_range(0.02..0.15), rng.random_range(0.85..1.0)),
    }
}

/// A place and a turn for something `scale` pixels long.
fn somewhere(rng: &mut ChaCha8Rng, size: f32, scale: f32) -> Transform {
    let p = anywhere(rng, size);
    Transform::from_translate(p.x, p.y).pre_scale(scale, scale).pre_rotate(rng.random_range(0.0..360.0))
}

fn leaf(canvas: &mut Canvas, rng: &mut ChaCha8Rng, size: f32, rgb: Rgb) {
    let width = rng.random_range(0.15..0.4);
    let outline = path(|p| {
        p.move_to(0.0, 0.0);
        p.quad_to(0.5, width, 1.0, 0.0);
        p.quad_to(0.5, -width, 0.0, 0.0);
        p.close();
    });
    let scale = rng.random_range(0.06..0.2) * size;
    let place = somewhere(rng, size, scale);
    canvas.fill(&outline, rgb, place);
    if rng.random_bool(0.4) {
        let rib = path(|p| {
            p.move_to(0.0, 0.0);
            p.line_to(0.95, 0.0);
        });
        canvas.stroke(&rib, rgb.map(|v| v * 0.7), 0.05, place);
    }
}

fn twig(canvas: &mut Canvas, rng: &mut ChaCha8Rng, size: f32) {
    let rgb = hsv(rng.random_range(0.03..0.15), rng.random_range(0.1..0.5), rng.random_range(0.15..0.55));
    let (a, b, c) = (anywhere(rng, size), anywhere(rng, size), anywhere(rng, size));
    let line = path(|p| {
        p.move_to(a.x, a.y);
        p.quad_to(b.x, b.y, c.x + 1.0, c.y);
    });
    canvas.stroke(&line, rgb, rng.random_range(0.008..0.03) * size, Transform::identity());
}

/// Something with the form of a part: a cone, a thorn, a fork, a pair of bars.
fn mimic(canvas: &mut Canvas, rng: &mut ChaCha8Rng, size: f32, palette: &Palette) {
    let scale = rng.random_range(0.08..0.16) * size;
    let place = somewhere(rng, size, scale);
    let rgb = part_colour(rng, palette);
    match rng.random_range(0..5) {
        0 => canvas.fill(&polygon(&[(0.0, -0.4), (1.0, 0.0), (0.0, 0.4)]), rgb, place),
        1 => canvas.fill(&polygon(&[(0.0, -0.14), (1.4, 0.0), (0.0, 0.14)]), rgb, place),
        2 => {
            let dark = rgb.map(|v| v * 0.45);
            let fork = polygon(&[(0.0, -0.2), (1.1, -0.45), (0.6, 0.0), (1.1, 0.45), (0.0, 0.2)]);
            canvas.fill(&fork, dark, place);
        }
        3 => canvas.fill(&ellipse(0.0, 0.0, 0.35, 0.3), rgb, place),
        _ => {
            let pale = hsv(0.12, rng.random_range(0.02..0.15), rng.random_range(0.85..1.0));
            for &x in [0.0, 0.45].iter().take(rng.random_range(1..3)) {
                let bar = path(|p| {
                    p.move_to(x, -0.4);
                    p.quad_to(x - 0.1, 0.0, x, 0.4);
                });
                canvas.stroke(&bar, pale, 0.22, place);
            }
        }
    }
}

/// The branch under the creature's feet, from one side of the picture to the other.
fn branch(canvas: &mut Canvas, pose: &Pose, rng: &mut ChaCha8Rng) {
    let size = canvas.size();
    let rgb = hsv(rng.random_range(0.03..0.12), rng.random_range(0.2..0.5), rng.random_range(0.2..0.5));
    let slope = rng.random_range(-0.25..0.25);
    let bend = rng.random_range(-0.06..0.06) * size;
    let feet = pose.feet;
    let line = path(|p| {
        p.move_to(-size, feet.y - slope * (feet.x + size));
        p.quad_to(feet.x, feet.y + bend, 2.0 * size, feet.y + slope * (2.0 * size - feet.x));
    });
    canvas.stroke(&line, rgb, rng.random_range(0.025..0.05) * size, Transform::identity());
}
