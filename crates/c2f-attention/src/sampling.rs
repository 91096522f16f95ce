//! Where the fine look samples a picture: the maker of its grid.

use c2f_ops::graph::{Attribute, Graph, Value};
use c2f_ops::{Format, GridPadding, affine_grid, grid_sample};
use candle_core::{D, DType, Device, Tensor};

use crate::region::describe_centres;
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

/// A [`Sampling`] in a graph.
#[derive(Clone, Copy, Debug)]
pub enum SamplingValues {
    /// [`Sampling::Boxes`]
    Boxes(Value),
    /// [`Sampling::Warp`]
    Warp(Value),
}

impl SamplingValues {
    /// Describes [`Sampling::sample`] of `pictures` at `size`, height and width. What lies beyond the middles of the outermost pixels is
    /// moved there, which is the same as repeating them.
    pub(crate) fn describe(self, graph: &mut Graph, pictures: Value, size: Value) -> Value {
        let [x, y] = match self {
            Self::Boxes(boxes) => describe_points(graph, boxes, size),
            Self::Warp(density) => warp::describe(graph, density, size),
        };
        let [x, y] = [(x, 3), (y, 2)].map(|(point, axis)| {
            let pixels = graph.shape(pictures, axis..axis + 1);
            let pixels = graph.to_float(pixels);
            let one = graph.scalar(1.0);
            let pixel = graph.op("Div", &[one, pixels]);
            let last = graph.op("Sub", &[one, pixel]);
            let first = graph.op("Neg", &[last]);
            let point = graph.op("Max", &[point, first]);
            graph.op("Min", &[point, last])
        });
        let one = graph.ints(&[1]);
        let whole = graph.concat(&[one, size, one], 0);
        let [x, y] = [x, y].map(|points| graph.op("Expand", &[points, whole]));
        let grid = graph.concat(&[x, y], 3);
        graph.op_with("GridSample", &[pictures, grid], &[("align_corners", Attribute::Int(0))])
    }
}

/// Describes the points of [`grid_of_boxes`]: x (B, 1, W, 1) and y (B, H, 1, 1).
fn describe_points(graph: &mut Graph, boxes: Value, size: Value) -> [Value; 2] {
    let [x, y] = [(0, 1), (1, 0)].map(|(corner, place)| {
        let (from, to) = (graph.narrow(boxes, 1, corner), graph.narrow(boxes, 1, corner + 2));
        let size = graph.narrow(size, 0, place);
        let centres = describe_centres(graph, size);
        let side = graph.op("Sub", &[to, from]);
        let offset = graph.op("Mul", &[side, centres]);
        let share = graph.op("Add", &[from, offset]);
        graph.affine(share, 2.0, -1.0)
    });
    [graph.unsqueeze(x, &[1, 3]), graph.unsqueeze(y, &[2, 3])]
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
