//! Which views of a picture a prediction is averaged over.

use c2f_engine::TestViews;

#[derive(clap::Args)]
pub struct ViewOptions {
    /// Average over the crops in the centre and in the four corners
    #[arg(long)]
    five_crop: bool,
    /// Average over each crop and its mirror image
    #[arg(long)]
    flip: bool,
}

impl ViewOptions {
    pub fn views(&self) -> TestViews {
        TestViews { five_crop: self.five_crop, flip: self.flip }
    }
}
