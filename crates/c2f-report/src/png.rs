//! PNGs that say who made them.

use std::path::Path;

use c2f_files::{Mark, Output};
use image::RgbImage;

use crate::{Error, Result};

/// In every PNG that [`save_png`] writes.
pub const PNG_MARK: Mark = "tEXtSoftware\0c2f-train";

/// Writes a PNG, whole or not at all; replaces nothing but an older one of ours.
///
/// # Errors
/// If the file can't be written, or is there and isn't ours.
pub fn save_png(image: &RgbImage, path: &Path) -> Result<()> {
    write_png(image, Output::create(path, PNG_MARK)?)
}

/// Writes a PNG to what was opened before the picture was made, with [`PNG_MARK`].
///
/// # Errors
/// If it can't be written.
pub fn write_png(image: &RgbImage, output: Output) -> Result<()> {
    let bytes = encode(image).map_err(|e| output.error(e.into()))?;
    Ok(output.finish_with(&bytes)?)
}

/// The bytes of a PNG, with [`PNG_MARK`].
///
/// # Errors
/// If the picture has no pixels.
pub fn encode_png(image: &RgbImage) -> Result<Vec<u8>> {
    encode(image).map_err(|error| Error::Png(error.to_string()))
}

fn encode(image: &RgbImage) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.add_text_chunk("Software".to_owned(), "c2f-train".to_owned())?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(image)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_ours_is_replaced_and_a_photograph_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, photograph) = (folder.path().join("a.png"), folder.path().join("bird.png"));
        let image = RgbImage::from_fn(5, 3, |x, y| image::Rgb([x as u8, y as u8, 9]));
        save_png(&RgbImage::new(4, 4), &ours).unwrap();
        save_png(&image, &ours).unwrap();
        assert_eq!(std::fs::read(&ours).unwrap(), encode_png(&image).unwrap());
        assert!(encode_png(&RgbImage::new(0, 0)).is_err());
        assert_eq!(image::open(&ours).unwrap().into_rgb8(), image);

        image.save(&photograph).unwrap();
        let before = std::fs::read(&photograph).unwrap();
        assert!(matches!(save_png(&image, &photograph), Err(crate::Error::Files(c2f_files::Error::Refused { .. }))));
        assert_eq!(std::fs::read(&photograph).unwrap(), before);
    }
}
