//! What the class doesn't decide about a creature: pose, scale, side, position and plumage.

use super::canvas::{Rgb, hsv};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tiny_skia::{Point, Transform};

/// One creature's pose and plumage. Its own units: facing right, y down, the body's middle at (0, 0), about 1 long.
pub struct Pose {
    /// From the creature's units to pixels.
    pub body: Transform,
    /// From the head's units (its middle at (0, 0), the beak towards +x) to pixels.
    pub head: Transform,
    /// From the wing's units (the shoulder at (0, 0), the wing's tip towards -x) to pixels.
    pub wing: Transform,
    /// From the tail's units (its root at (0, 0), its end towards -x) to pixels.
    pub tail: Transform,
    /// A factor on the body's height.
    pub plump: f32,
    /// Where the head's middle is, in the creature's units.
    pub neck: Point,
    /// Circles that hold the beak, the wing bars and the tail's end of every class, in pixels: middle and radius.
    pub slots: [(Point, f32); 3],
    /// Where the feet stand, in pixels.
    pub feet: Point,
    pub plumage: Plumage,
}

/// Colours that say nothing about the class.
pub struct Plumage {
    pub body: Rgb,
    pub wing: Rgb,
    pub tail: Rgb,
    pub belly: Rgb,
    pub head: Rgb,
    pub cap: Option<Rgb>,
    pub cheek: Option<Rgb>,
    pub iris: Rgb,
    pub leg: Rgb,
    /// Small shifts of the beak's hue (in turns), saturation and value.
    pub beak_shift: [f32; 3],
    /// The bars' shade.
    pub bar: Rgb,
    pub outline: Rgb,
}

impl Plumage {
    fn new(rng: &mut ChaCha8Rng) -> Self {
        let hue: f32 = rng.random();
        let saturation = rng.random_range(0.12..0.62);
        let value = rng.random_range(0.42..0.82);
        let other: f32 = rng.random();
        let patch = |rng: &mut ChaCha8Rng| hsv(rng.random(), rng.random_range(0.1..0.6), rng.random_range(0.3..0.85));
        Self {
            body: hsv(hue, saturation, value),
            wing: hsv(hue + rng.random_range(-0.06..0.06), saturation * 0.9 + 0.1, rng.random_range(0.26..0.5)),
            tail: hsv(hue + rng.random_range(-0.1..0.1), saturation * 0.8 + 0.1, rng.random_range(0.32..0.72)),
            belly: hsv(other, rng.random_range(0.1..0.95), rng.random_range(0.55..0.95)),
            head: if rng.random_bool(0.5) { hsv(hue, saturation, value * 0.92) } else { patch(rng) },
            cap: rng.random_bool(0.4).then(|| patch(rng)),
            cheek: rng.random_bool(0.35).then(|| patch(rng)),
            iris: hsv(rng.random(), 0.5, 0.9),
            leg: hsv(rng.random_range(0.03..0.12), 0.45, rng.random_range(0.3..0.65)),
            beak_shift: [rng.random_range(-0.015..0.015), rng.random_range(-0.08..0.02), rng.random_range(-0.1..0.04)],
            bar: hsv(rng.random_range(0.08..0.17), rng.random_range(0.02..0.14), rng.random_range(0.9..1.0)),
            outline: hsv(hue, 0.35, 0.13),
        }
    }
}

impl Pose {
    /// Draws a pose for a picture of `size` pixels: the creature lies inside it whatever its class.
    pub fn new(rng: &mut ChaCha8Rng, size: f32) -> Self {
        let plump = rng.random_range(0.88..1.18);
        let neck = Point::from_xy(rng.random_range(0.19..0.26), rng.random_range(-0.24..-0.13) * plump);
        let head =
            Transform::from_translate(neck.x, neck.y).pre_rotate(rng.random_range(-20.0..20.0)).pre_scale(1.25, 1.25);
        let wing = Transform::from_translate(0.13, -0.05 * plump)
            .pre_rotate(rng.random_range(-10.0..18.0))
            .pre_scale(1.15, 1.15);
        let tail =
            Transform::from_translate(-0.25, 0.0).pre_rotate(rng.random_range(-20.0..16.0)).pre_scale(1.15, 1.15);

        let side = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        let tilted = Transform::from_scale(side, 1.0).pre_rotate(rng.random_range(-18.0..14.0));
        // The outermost points of any class, to place the creature.
        let reach = [
            (head, [(0.36, 0.0), (0.2, 0.2), (0.0, -0.13)]),
            (tail, [(-0.34, -0.13), (-0.34, 0.13), (0.0, 0.0)]),
            (wing, [(-0.44, 0.02), (-0.3, -0.1), (0.0, -0.1)]),
            (Transform::identity(), [(0.0, 0.33 * plump), (0.08, 0.33 * plump), (0.25, 0.05)]),
        ];
        let mut outline = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
        for (frame, points) in reach {
            for (x, y) in points {
                let p = map(tilted.pre_concat(frame), x, y);
                outline = super::canvas::join(outline, [p.x, p.y, p.x, p.y]);
            }
        }
        let [left, top, right, bottom] = outline;
        let (width, height) = (right - left, bottom - top);
        let scale = rng.random_range(0.74..0.93) * size / width.max(height);
        let margin = 0.03 * size;
        let x = rng.random_range(margin..size - margin - width * scale + 0.01) - left * scale;
        let y = rng.random_range(margin..size - margin - height * scale + 0.01) - top * scale;

        let body = Transform::from_translate(x, y).pre_scale(scale, scale).pre_concat(tilted);
        let [head, wing, tail] = [head, wing, tail].map(|frame| body.pre_concat(frame));
        Self {
            body,
            head,
            wing,
            tail,
            plump,
            neck,
            slots: [
                (map(head, 0.2, 0.02), 0.2 * scale),
                (map(wing, -0.2, 0.0), 0.16 * scale),
                (map(tail, -0.2, 0.0), 0.18 * scale),
            ],
            feet: map(body, 0.03, 0.31 * plump),
            plumage: Plumage::new(rng),
        }
    }
}

/// Where a transform takes a point.
pub fn map(transform: Transform, x: f32, y: f32) -> Point {
    let mut point = Point::from_xy(x, y);
    transform.map_point(&mut point);
    point
}
