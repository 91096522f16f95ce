//! The creature: a body that any class may have, and the parts that tell its class.

use super::canvas::{Canvas, Rgb, bounds, ellipse, hsv, join, path, polygon};
use super::classes::{Attributes, Bars, Beak, BeakColour, Tail};
use super::pose::Pose;
use tiny_skia::{Path, Transform};

/// The boxes of the creature and of its deciding parts: x1, y1, x2, y2 in pixels.
pub struct Bounds {
    pub creature: [f32; 4],
    pub beak: [f32; 4],
    pub bars: [f32; 4],
    pub tail: [f32; 4],
}

/// The width of the dark line around each shape, in the creature's units.
const OUTLINE: f32 = 0.018;

/// Draws the creature and returns where it is.
pub fn draw(canvas: &mut Canvas, pose: &Pose, attributes: Attributes) -> Bounds {
    let plumage = &pose.plumage;
    let line = pose.plumage.outline;
    let shape = |canvas: &mut Canvas, path: &Path, rgb: Rgb, transform: Transform| {
        canvas.stroke(path, line, 2.0 * OUTLINE, transform);
        canvas.fill(path, rgb, transform);
    };
    let legs = legs(pose.plump);
    canvas.stroke(&legs, plumage.leg, 0.026, pose.body);

    let tail = tail(attributes.tail);
    shape(canvas, &tail, plumage.tail, pose.tail);

    let body = body(pose);
    shape(canvas, &body, plumage.body, pose.body);
    canvas.fill(&belly(pose.plump), plumage.belly, pose.body);

    let wing = wing();
    shape(canvas, &wing, plumage.wing, pose.wing);
    for bar in bars(attributes.bars) {
        canvas.stroke(&bar, plumage.bar, BAR_WIDTH, pose.wing);
    }

    let beak = beak(attributes.beak);
    shape(canvas, &beak, beak_rgb(attributes.colour, plumage.beak_shift), pose.head);
    let head = ellipse(0.0, 0.0, 0.125, 0.118);
    canvas.fill(&head, plumage.head, pose.head);
    if let Some(rgb) = plumage.cap {
        canvas.fill(&cap(), rgb, pose.head);
    }
    if let Some(rgb) = plumage.cheek {
        canvas.fill(&ellipse(-0.01, 0.055, 0.05, 0.038), rgb, pose.head);
    }
    canvas.fill(&ellipse(0.035, -0.022, 0.034, 0.034), plumage.iris, pose.head);
    canvas.fill(&ellipse(0.04, -0.022, 0.02, 0.02), [0.04; 3], pose.head);

    let beak = bounds(&beak, pose.head, OUTLINE);
    let tail = bounds(&tail, pose.tail, OUTLINE);
    let bars = bars(Bars::Double)
        .into_iter()
        .map(|bar| bounds(&bar, pose.wing, 0.5 * BAR_WIDTH))
        .fold([f32::MAX, f32::MAX, f32::MIN, f32::MIN], join);
    let rest = [
        bounds(&legs, pose.body, OUTLINE),
        bounds(&body, pose.body, OUTLINE),
        bounds(&wing, pose.wing, OUTLINE),
        bounds(&head, pose.head, OUTLINE),
    ];
    Bounds { creature: rest.into_iter().fold(join(join(beak, tail), bars), join), beak, bars, tail }
}

/// The colour of a beak, shifted a little in hue (turns), saturation and value.
pub fn beak_rgb(colour: BeakColour, [hue, saturation, value]: [f32; 3]) -> Rgb {
    let (h, s, v) = match colour {
        BeakColour::Yellow => (0.135, 0.92, 0.96),
        BeakColour::Red => (0.995, 0.9, 0.86),
        BeakColour::Blue => (0.6, 0.85, 0.92),
    };
    hsv(h + hue, s + saturation, v + value)
}

/// The beak in the head's units; its root is hidden by the head.
fn beak(form: Beak) -> Path {
    match form {
        Beak::Cone => path(|p| {
            p.move_to(0.085, -0.085);
            p.quad_to(0.17, -0.07, 0.25, 0.015);
            p.quad_to(0.16, 0.075, 0.085, 0.09);
            p.close();
        }),
        Beak::Dagger => polygon(&[(0.1, -0.042), (0.37, 0.006), (0.1, 0.048)]),
        Beak::Hooked => path(|p| {
            p.move_to(0.085, -0.085);
            p.cubic_to(0.16, -0.11, 0.27, -0.04, 0.225, 0.15);
            p.cubic_to(0.2, 0.07, 0.16, 0.06, 0.085, 0.078);
            p.close();
        }),
    }
}

/// The tail in its own units; its root is hidden by the body.
fn tail(form: Tail) -> Path {
    match form {
        Tail::Forked => polygon(&[
            (0.03, -0.05),
            (-0.2, -0.08),
            (-0.34, -0.12),
            (-0.16, 0.0),
            (-0.34, 0.12),
            (-0.2, 0.08),
            (0.03, 0.05),
        ]),
        Tail::Square => polygon(&[(0.03, -0.05), (-0.29, -0.09), (-0.29, 0.09), (0.03, 0.05)]),
        Tail::Pointed => polygon(&[(0.03, -0.05), (-0.15, -0.085), (-0.34, 0.0), (-0.15, 0.085), (0.03, 0.05)]),
    }
}

/// The bars' width in the creature's units.
const BAR_WIDTH: f32 = 0.056;

/// The bars in the wing's units, as lines to draw along.
fn bars(bars: Bars) -> Vec<Path> {
    let places: &[f32] = match bars {
        Bars::None => &[],
        Bars::Single => &[-0.19],
        Bars::Double => &[-0.135, -0.245],
    };
    places
        .iter()
        .map(|&x| {
            path(|p| {
                p.move_to(x + 0.025, -0.075);
                p.quad_to(x - 0.015, 0.0, x + 0.01, 0.07 + 0.12 * (x + 0.2));
            })
        })
        .collect()
}

fn body(pose: &Pose) -> Path {
    let k = pose.plump;
    let (x, y) = (pose.neck.x, pose.neck.y);
    path(|p| {
        p.move_to(-0.3, 0.02 * k);
        p.cubic_to(-0.22, -0.13 * k, -0.08, -0.19 * k, 0.06, -0.16 * k);
        p.quad_to(x - 0.13, y + 0.04, x - 0.09, y - 0.09);
        p.cubic_to(x + 0.02, y - 0.155, x + 0.15, y - 0.1, x + 0.118, y + 0.04);
        p.quad_to(0.29, 0.0, 0.24, 0.07 * k);
        p.cubic_to(0.15, 0.21 * k, -0.12, 0.19 * k, -0.3, 0.02 * k);
        p.close();
    })
}

fn belly(k: f32) -> Path {
    path(|p| {
        p.move_to(0.22, 0.08 * k);
        p.cubic_to(0.13, 0.195 * k, -0.1, 0.165 * k, -0.22, 0.06 * k);
        p.quad_to(0.02, 0.11 * k, 0.22, 0.08 * k);
        p.close();
    })
}

fn wing() -> Path {
    path(|p| {
        p.move_to(0.02, -0.01);
        p.cubic_to(-0.03, -0.13, -0.2, -0.12, -0.44, 0.02);
        p.cubic_to(-0.3, 0.1, -0.06, 0.17, 0.02, -0.01);
        p.close();
    })
}

fn cap() -> Path {
    path(|p| {
        p.move_to(0.11, -0.055);
        p.cubic_to(0.06, -0.14, -0.09, -0.14, -0.123, -0.02);
        p.quad_to(0.0, -0.07, 0.11, -0.055);
        p.close();
    })
}

fn legs(k: f32) -> Path {
    path(|p| {
        for x in [0.0, 0.07] {
            p.move_to(x, 0.13 * k);
            p.line_to(x + 0.005, 0.31 * k);
            p.line_to(x + 0.045, 0.32 * k);
        }
    })
}
