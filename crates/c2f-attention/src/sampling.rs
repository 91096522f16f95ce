//! Where the fine look samples a picture: the maker of its grid.

use c2f_ops::{Format, GridPadding, affine_grid, grid_sample};
use candle_core::{D, DType, Device, Tensor};

use crate::{Error, Result, warp};

/// Which points of a picture the fine look reads.
#[derive(Clone, Debug)]
pub enum Sampling {
    /// Those of a box, evenly: (B, 4), x1, y1, x2, y2 in 0..=1 of the picture, (0, 0) being the outer corner of the first pixel.
    Boxes(Tensor),
    /// Those of the whole picture, closer to each other where these maps (B, 1, h, w), which aren't negative, are high: the saliency
    /// sampler of Recasens et al. 2018 (arXiv 1809.03355), section 3.1.
    Warp(Tensor),
}

impl Sampling {
    /// The points (B, H, W, 2), x then y, -1 and 1 being the outer edges of the picture; `size` is (H, W). Differentiable.
    ///
    /// # Errors
    /// If the boxes or maps don't have their shape.
    pub fn grid(&self, size: (usize, usize)) -> Result<Tensor> {
        match self {
            Self::Boxes(boxes) => grid_of_boxes(boxes, size),
            Self::Warp(density) => warp::grid(density, size),
        }
    }

    /// Pictures (B, C, H', W') read there bilinearly, the edge repeated outside: (B, C, H, W). Differentiable in both.
    ///
    /// # Errors
    /// If the shapes don't fit each other.
    pub fn sample(&self, pictures: &Tensor, size: (usize, usize)) -> Result<Tensor> {
        let &[batch, _, _, _] = pictures.dims() else {
            return Err(Error::shape("sample", "pictures", pictures, "(B, C, H, W)"));
        };
        let grid = self.grid(size)?;
        if grid.dim(0)? != batch {
            let expected = format!("({batch}, {}, {}, 2)", size.0, size.1);
            return Err(Error::shape("sample", "grid", &grid, expected));
        }
        Ok(grid_sample(pictures, &grid, GridPadding::Border, false, Format::ChannelsFirst)?)
    }

    /// The boxes (B, 4), if it is boxes.
    pub fn boxes(&self) -> Option<&Tensor> {
        match self {
            Self::Boxes(boxes) => Some(boxes),
            Self::Warp(_) => None,
        }
    }

    /// The same with `f` applied to what the grid is made of.
    pub(crate) fn map(&self, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(match self {
            Self::Boxes(boxes) => Self::Boxes(f(boxes)?),
            Self::Warp(density) => Self::Warp(f(density)?),
        })
    }
}

fn grid_of_boxes(boxes: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let &[_, 4] = boxes.dims() else {
        return Err(Error::shape("sample", "boxes", boxes, "(B, 4)"));
    };
    let (from, to) = (boxes.narrow(D::Minus1, 0, 2)?, boxes.narrow(D::Minus1, 2, 2)?);
    // In affine_grid's -1..1: scale x2 - x1, centre x1 + x2 - 1.
    let scale = (&to - &from)?.unsqueeze(2)?.broadcast_mul(&identity(boxes.dtype(), boxes.device())?)?;
    let centre = (from + to)?.affine(1.0, -1.0)?.unsqueeze(2)?;
    Ok(affine_grid(&Tensor::cat(&[scale, centre], 2)?, size, false)?)
}

/// (1, 2, 2)
fn identity(dtype: DType, device: &Device) -> Result<Tensor> {
    Ok(Tensor::eye(2, dtype, device)?.unsqueeze(0)?)
}
