//! Pictures that show what the network looked at: the picture, its attention, the region of the second look and the
//! most probable classes. And a contact sheet of what it will look at.

mod contact;
mod explain;
mod heat;
mod panel;
mod png;
mod sheet;
mod text;

pub use contact::{ClassSamples, ContactSheet, contact_sheet};
pub(crate) use explain::Maps;
pub use explain::{Picture, explain, guess};
pub use heat::Map;
pub use panel::{attention_panel, region_panel};
pub use png::{PNG_MARK, save_png, write_png};
pub use sheet::sheet;

use image::RgbImage;

/// One picture with what the network made of it.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The picture's file or its number in a drawn set.
    pub name: String,
    /// The square that the network saw.
    pub view: RgbImage,
    /// The true class, where it is known.
    pub truth: Option<String>,
    /// The mean of the attention maps; none for a method without attention.
    pub attention: Option<Map>,
    /// The region map, 0..1; none for a method without inverse mapping, and in the coarse stage.
    pub region: Option<Map>,
    /// The box of the second look (x1, y1, x2, y2 in 0..1 of the view); none where it doesn't zoom.
    pub zoom: Option<[f32; 4]>,
    /// The most probable classes, most probable first.
    pub guesses: Vec<Guess>,
}

impl Explanation {
    /// Whether the network looked twice.
    pub fn has_second_look(&self) -> bool {
        self.region.is_some() || self.zoom.is_some()
    }
}

/// A class and its probability in 0..1.
#[derive(Debug, Clone, PartialEq)]
pub struct Guess {
    /// The class's name.
    pub class: String,
    /// Its index in the checkpoint's list of classes.
    pub index: usize,
    /// Its probability by the combined prediction.
    pub probability: f32,
}
