//! The panels of one picture beside its most probable classes, as one image.

use c2f_engine::Explanation;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::{attention_panel, region_panel, text};

const PANEL: u32 = 256;
const GAP: u32 = 12;
const CAPTION: u32 = 24;
const LIST: u32 = 288;
/// Beside it there is room for the per cent.
const TRACK_WIDTH: u32 = LIST - 60;

const PAPER: Rgb<u8> = Rgb([250, 250, 248]);
const INK: Rgb<u8> = Rgb([28, 30, 36]);
const FAINT: Rgb<u8> = Rgb([110, 114, 124]);
const TRACK: Rgb<u8> = Rgb([226, 227, 230]);
const BAR: Rgb<u8> = Rgb([52, 101, 164]);
const RIGHT: Rgb<u8> = Rgb([46, 125, 78]);
const WRONG: Rgb<u8> = Rgb([190, 55, 45]);

/// One image of a picture as the network saw it: the picture, its attention, the region of its fine look (where
/// the method has them) and the most probable classes with their probabilities. Where the true class is known the
/// bar of the first guess is green or red.
pub fn sheet(explanation: &Explanation) -> RgbImage {
    let mut panels = vec![("picture", explanation.view.clone())];
    if let Some(attention) = &explanation.attention {
        panels.push(("attention", attention_panel(&explanation.view, attention)));
    }
    if explanation.has_fine_look() {
        let panel = region_panel(&explanation.view, explanation.region.as_ref(), explanation.zoom);
        panels.push(("fine look", panel));
    }
    let width = panels.len() as u32 * (PANEL + GAP) + GAP + LIST + GAP;
    let mut image = RgbImage::from_pixel(width, PANEL + CAPTION + 2 * GAP, PAPER);
    let mut x = GAP;
    for (caption, panel) in &panels {
        text::draw(&mut image, caption, x as f32, (GAP - 2) as f32, 14.0, FAINT);
        let panel = imageops::resize(panel, PANEL, PANEL, FilterType::CatmullRom);
        imageops::replace(&mut image, &panel, i64::from(x), i64::from(GAP + CAPTION));
        x += PANEL + GAP;
    }
    draw_list(&mut image, explanation, x);
    image
}

fn draw_list(image: &mut RgbImage, explanation: &Explanation, x: u32) {
    let line = |text: &str, size: f32| text::fit(text, size, LIST as f32);
    let name = explanation.name.rsplit('/').next().unwrap_or_default();
    text::draw(image, &line(name, 14.0), x as f32, (GAP - 2) as f32, 14.0, FAINT);
    let mut y = GAP + CAPTION;
    if let Some(truth) = &explanation.truth {
        text::draw(image, &line(&format!("true: {truth}"), 14.0), x as f32, y as f32, 14.0, INK);
        y += 28;
    }
    for (rank, guess) in explanation.guesses.classes.iter().take(5).enumerate() {
        text::draw(image, &line(&guess.class, 13.0), x as f32, y as f32, 13.0, INK);
        let percent = format!("{:.1} %", guess.probability * 100.0);
        let right = (x + LIST) as f32 - text::width(&percent, 13.0);
        text::draw(image, &percent, right, (y + 17) as f32, 13.0, INK);
        let bar = match &explanation.truth {
            Some(truth) if rank == 0 => [WRONG, RIGHT][usize::from(*truth == guess.class)],
            _ => BAR,
        };
        fill(image, x, y + 22, TRACK_WIDTH, TRACK);
        fill(image, x, y + 22, (guess.probability.clamp(0.0, 1.0) * TRACK_WIDTH as f32).round() as u32, bar);
        y += 44;
    }
}

fn fill(image: &mut RgbImage, x: u32, y: u32, width: u32, colour: Rgb<u8>) {
    let bar = RgbImage::from_pixel(width, 6, colour);
    imageops::replace(image, &bar, i64::from(x), i64::from(y));
}
