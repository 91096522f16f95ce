//! A contact sheet: samples of each class, before and after augmentation.

use c2f_data::{Sample, Transform, transform};
use c2f_engine::{Recipe, denormalise, train_transform};
use image::{Rgb, RgbImage, imageops};
use rayon::prelude::*;

use crate::{Result, text};

/// Side of a picture on the sheet, in pixels.
const PICTURE: u32 = 112;
const GAP: u32 = 4;
/// Between two classes.
const MARGIN: u32 = 16;
const NAME: u32 = 22;
/// Names have this much room even where there is one picture a class.
const LEAST_WIDTH: u32 = 2 * PICTURE + GAP;
/// Width of the sheet divided by its height, roughly.
const SHAPE: f64 = 1.4;

const PAPER: Rgb<u8> = Rgb([250, 250, 248]);
const INK: Rgb<u8> = Rgb([28, 30, 36]);
const FAINT: Rgb<u8> = Rgb([110, 114, 124]);
const EMPTY: Rgb<u8> = Rgb([226, 227, 230]);

/// A class on a contact sheet.
#[derive(Debug, Clone)]
pub struct ClassSamples<'a> {
    /// Its name.
    pub class: &'a str,
    /// Samples with their index in the split, which decides how they are augmented.
    pub samples: Vec<(u64, &'a Sample)>,
}

/// A sheet that was made.
#[derive(Debug, Clone)]
pub struct ContactSheet {
    /// The sheet.
    pub image: RgbImage,
    /// What couldn't be read, with the reason; its place on the sheet is empty.
    pub unreadable: Vec<String>,
}

/// Shows samples of classes: each class has its name, a row of its pictures as their files hold them, and below them what the
/// network sees of them in the first epoch of a training with that recipe. mixup and CutMix, which take several pictures, are
/// left out. Classes stand side by side, in as many columns as make a sheet that is somewhat wider than high.
///
/// # Errors
/// If the recipe's backbone is unknown.
pub fn contact_sheet(recipe: &Recipe, title: &str, classes: &[ClassSamples<'_>]) -> Result<ContactSheet> {
    let info = c2f_backbone::info(&recipe.backbone)?;
    let augment = train_transform(recipe, info);
    let both = |&(id, sample): &(u64, &Sample)| -> c2f_data::Result<[RgbImage; 2]> {
        let picture = c2f_data::decode_within(sample, recipe.loader.limits())?;
        let views = augment.apply(&picture, recipe.seed, 0, id);
        let after = denormalise(&views.coarse, Transform::size(&augment), info);
        Ok([fit(&picture), fit(&after)])
    };
    let per_class = classes.iter().map(|class| class.samples.len()).max().unwrap_or(0).max(1) as u32;
    let grid = Grid::new(classes.len() as u32, per_class);
    let mut image = RgbImage::from_pixel(grid.width(), grid.height(), PAPER);
    let room = (grid.width() - 2 * MARGIN) as f32;
    text::draw(&mut image, &text::fit(title, 14.0, room), MARGIN as f32, 10.0, 14.0, FAINT);
    let mut unreadable = Vec::new();
    for (index, class) in (0..).zip(classes) {
        let (x, y) = grid.place(index);
        let name = text::fit(class.class, 14.0, grid.class_width as f32);
        text::draw(&mut image, &name, x as f32, y as f32, 14.0, INK);
        let pairs: Vec<_> = class.samples.par_iter().map(both).collect();
        for (column, pair) in (0..).zip(pairs) {
            let x = x + column * (PICTURE + GAP);
            let pair = pair.unwrap_or_else(|error| {
                unreadable.push(error.to_string());
                [(); 2].map(|()| RgbImage::from_pixel(PICTURE, PICTURE, EMPTY))
            });
            for (row, picture) in (0..).zip(&pair) {
                let (left, top) = (x + (PICTURE - picture.width()) / 2, (PICTURE - picture.height()) / 2);
                let top = y + NAME + row * (PICTURE + GAP) + top;
                imageops::replace(&mut image, picture, left.into(), top.into());
            }
        }
    }
    Ok(ContactSheet { image, unreadable })
}

/// The whole picture, made as large as its place.
fn fit(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let scale = f64::from(PICTURE) / f64::from(width.max(height));
    let side = |length: u32| ((f64::from(length) * scale).round() as usize).clamp(1, PICTURE as usize);
    transform::resize(picture, side(width), side(height))
}

/// Where the classes stand.
struct Grid {
    columns: u32,
    rows: u32,
    class_width: u32,
}

impl Grid {
    const CLASS_HEIGHT: u32 = NAME + 2 * PICTURE + GAP;
    const TITLE: u32 = 36;

    fn new(classes: u32, per_class: u32) -> Self {
        let class_width = (per_class * (PICTURE + GAP) - GAP).max(LEAST_WIDTH);
        let (wide, high) = (f64::from(class_width + MARGIN), f64::from(Self::CLASS_HEIGHT + MARGIN));
        let columns = (f64::from(classes) * SHAPE * high / wide).sqrt().round() as u32;
        let columns = columns.clamp(1, classes.max(1));
        Self { columns, rows: classes.div_ceil(columns), class_width }
    }

    fn width(&self) -> u32 {
        MARGIN + self.columns * (self.class_width + MARGIN)
    }

    fn height(&self) -> u32 {
        Self::TITLE + self.rows * (Self::CLASS_HEIGHT + MARGIN)
    }

    /// The upper left corner of a class: they run from left to right.
    fn place(&self, index: u32) -> (u32, u32) {
        let (column, row) = (index % self.columns, index / self.columns);
        (MARGIN + column * (self.class_width + MARGIN), Self::TITLE + row * (Self::CLASS_HEIGHT + MARGIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use c2f_data::Source;

    #[test]
    fn classes_do_not_overlap_and_fill_the_sheet() {
        for (classes, per_class) in [(1, 1), (1, 16), (10, 4), (60, 4), (60, 16), (3, 1), (7, 2)] {
            let grid = Grid::new(classes, per_class);
            assert!(grid.columns * grid.rows >= classes && grid.columns * (grid.rows - 1) < classes);
            let (x, y) = grid.place(classes - 1);
            assert!(x + grid.class_width + MARGIN <= grid.width());
            assert_eq!(y + Grid::CLASS_HEIGHT + MARGIN, grid.height());
        }
        let grid = Grid::new(60, 4);
        let shape = f64::from(grid.width()) / f64::from(grid.height());
        assert!((1.0..2.0).contains(&shape), "{shape}");
    }

    #[test]
    fn pictures_stand_above_what_the_recipe_makes_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, left: u8, right: u8| {
            let picture = RgbImage::from_fn(200, 100, |x, _| Rgb([if x < 100 { left } else { right }, 0, 0]));
            picture.save(folder.path().join(name)).unwrap();
            Sample::new(name, 0, Source::File { root: folder.path().into() })
        };
        let samples = [save("a.png", 255, 0), Sample::new("gone.png", 0, Source::File { root: folder.path().into() })];
        let mut recipe = Recipe::builtin("default").unwrap();
        for assignment in
            ["augment.flip=1", "augment.fit=squash", "augment.crop_scale=[1, 1]", "augment.crop_ratio=[1, 1]"]
        {
            recipe.set(assignment).unwrap();
        }
        let class = ClassSamples { class: "a", samples: (0..).zip(&samples).collect() };
        let sheet = contact_sheet(&recipe, "title", &[class]).unwrap();
        assert_eq!(sheet.unreadable.len(), 1);
        assert!(sheet.unreadable[0].contains("gone.png"), "{:?}", sheet.unreadable);
        let (x, y) = Grid::new(1, 2).place(0);
        let red = |dx: u32, dy: u32| sheet.image.get_pixel(x + dx, y + NAME + dy);
        // Above: the whole picture, twice as wide as high, red at its left. Below: squashed to a square, and mirrored.
        assert_eq!((red(10, 10), red(10, 56), red(100, 56)), (&PAPER, &Rgb([255, 0, 0]), &Rgb([0, 0, 0])));
        let below = PICTURE + GAP;
        assert_eq!((red(10, below + 10), red(100, below + 10)), (&Rgb([0, 0, 0]), &Rgb([255, 0, 0])));
        assert_eq!(red(PICTURE + GAP + 5, 5), &EMPTY);
    }
}
