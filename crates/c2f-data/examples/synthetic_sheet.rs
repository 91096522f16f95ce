//! Draws a sheet of synthetic pictures: one row of test pictures for every second class.
//!
//! `cargo run -p c2f-data --example synthetic_sheet -- docs/images/synthetic.png` draws the sheet of the documentation.
//! Further arguments: the number of rows (at most 12), of columns, and the seed.

use c2f_data::synthetic::{Scene, Split};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{RgbImage, imageops};
use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};

/// The side of a picture in the sheet, in pixels.
const SIZE: u32 = 96;
/// The gap between pictures, in pixels.
const GAP: u32 = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let file = arguments.first().ok_or("which file shall the sheet be written to?")?;
    let number = |i: usize, default: u64| arguments.get(i).map_or(Ok(default), |a| a.parse());
    let (rows, columns, seed) = (number(1, 5)?, number(2, 6)?, number(3, 0)?);
    let side = |n: u64| n as u32 * (SIZE + GAP) - GAP;
    let mut sheet = RgbImage::from_pixel(side(columns), side(rows), image::Rgb([255; 3]));
    for row in 0..rows {
        for column in 0..columns {
            let scene = Scene { seed, split: Split::Test, index: row + column * rows, class: 2 * row as usize };
            let place = |n: u64| i64::from(n as u32 * (SIZE + GAP));
            // Drawn larger and averaged, in fewer shades: without the grain the file is a quarter as large.
            let mut picture = imageops::thumbnail(&scene.draw(4 * SIZE).image, SIZE, SIZE);
            picture.iter_mut().for_each(|v| *v = *v / 8 * 8 + 4);
            imageops::replace(&mut sheet, &picture, place(column), place(row));
        }
    }
    let mut file = BufWriter::new(File::create(file)?);
    sheet.write_with_encoder(PngEncoder::new_with_quality(&mut file, CompressionType::Best, FilterType::Adaptive))?;
    // What is still in the buffer, and whether it could be written.
    file.flush()?;
    Ok(())
}
