//! The saliency sampler: a picture stretched where a map is high.
//!
//! Recasens, Kellnhofer, Stent, Matusik, Torralba, "Learning to Zoom: a Saliency-Based Sampling Layer for Neural Networks", ECCV 2018
//! (arXiv 1809.03355), equations 2 and 3: each point of the grid is drawn towards what is salient around it. It reads
//! u(x, y) = sum S(x', y') k((x, y), (x', y')) x' / sum S(x', y') k((x, y), (x', y')), and likewise v, with a Gaussian k.

use c2f_ops::graph::{Attribute, Graph, Value};
use c2f_ops::{Format, resize_bilinear};
use candle_core::{DType, Device, Tensor};

use crate::region::describe_centres;
use crate::{Error, Result};

/// Cells a side on which saliency is seen, as in the authors' code.
const CELLS: usize = 31;
/// Standard deviation of the Gaussian, in cells: a width of 13 at half of its height, as in the authors' code.
const DEVIATION: f64 = 13.0 / 2.354_82;
/// Cells that are added on each side, with the edge's saliency: without them all points would be drawn to the middle.
const BORDER: usize = CELLS - 1;

/// The points (B, H, W, 2), x then y in -1..=1, at which a picture is read so that places of high `density` (B, 1, h, w) become
/// large; `size` is (H, W). An even density gives even points.
pub(crate) fn grid(density: &Tensor, size: (usize, usize)) -> Result<Tensor> {
    let &[_, 1, _, _] = density.dims() else {
        return Err(Error::shape("warp", "density", density, "(B, 1, H, W)"));
    };
    let cells = resize_bilinear(density, (CELLS, CELLS), false, Format::ChannelsFirst)?.squeeze(1)?;
    // The small constant decides only where nothing was found.
    let cells = cells.affine(1.0, 1e-6)?.pad_with_same(1, BORDER, BORDER)?.pad_with_same(2, BORDER, BORDER)?;
    let (height, width) = size;
    let [rows, columns] = [height, width].map(|points| kernel(points, density.dtype(), density.device()));
    let (rows, columns) = (rows?, columns?.t()?);
    let places = places(density.dtype(), density.device())?;
    // The Gaussian is one of x times one of y, and so is each sum over the cells.
    let weight = between(&rows, &cells, &columns)?;
    let x = between(&rows, &cells, &columns.broadcast_mul(&places.unsqueeze(1)?)?)?;
    let y = between(&rows.broadcast_mul(&places.unsqueeze(0)?)?, &cells, &columns)?;
    let points = Tensor::stack(&[(x / &weight)?, (y / weight)?], 3)?;
    Ok(points.clamp(-1.0, 1.0)?)
}

/// Describes the points of [`grid`]: x and y, each (B, H, W, 1).
pub(crate) fn describe(graph: &mut Graph, density: Value, size: Value) -> [Value; 2] {
    let side = graph.ints(&[CELLS as i64; 2]);
    let cells = graph.resize_bilinear(density, side, false);
    let cells = graph.affine(cells, 1.0, 1e-6);
    let (none, border) = (0, BORDER as i64);
    let pads = graph.ints(&[none, none, border, border, none, none, border, border]);
    let cells = graph.op_with("Pad", &[cells, pads], &[("mode", Attribute::Text("edge"))]);
    let count = CELLS + 2 * BORDER;
    let places: Vec<f32> = (0..count).map(|cell| place(cell) as f32).collect();
    let [rows, columns] = [0, 1].map(|axis| {
        let points = graph.narrow(size, 0, axis);
        let points = describe_centres(graph, points);
        let points = graph.reshape(points, &[-1, 1]);
        let points = graph.affine(points, 2.0, -1.0);
        let places = graph.floats(&places, &[1, count]);
        let distance = graph.op("Sub", &[points, places]);
        let square = graph.op("Mul", &[distance, distance]);
        let exponent = graph.affine(square, -0.5 * (CELLS as f64 / 2.0 / DEVIATION).powi(2), 0.0);
        graph.op("Exp", &[exponent])
    });
    let columns = graph.transpose(columns, &[1, 0]);
    let (across, down) = (graph.floats(&places, &[count, 1]), graph.floats(&places, &[1, count]));
    let (far, deep) = (graph.op("Mul", &[columns, across]), graph.op("Mul", &[rows, down]));
    let [weight, x, y] = [(rows, columns), (rows, far), (deep, columns)].map(|(rows, columns)| {
        let product = graph.op("MatMul", &[cells, columns]);
        graph.op("MatMul", &[rows, product])
    });
    [x, y].map(|sum| {
        let point = graph.op("Div", &[sum, weight]);
        graph.transpose(point, &[0, 2, 3, 1])
    })
}

/// `rows` (H, n) times `cells` (B, n, n) times `columns` (n, W): (B, H, W).
fn between(rows: &Tensor, cells: &Tensor, columns: &Tensor) -> Result<Tensor> {
    Ok(rows.broadcast_matmul(&cells.broadcast_matmul(columns)?)?)
}

/// Middles (n) of the cells and of those around them, -1 and 1 being the edges of the picture.
fn places(dtype: DType, device: &Device) -> Result<Tensor> {
    let places: Vec<f64> = (0..CELLS + 2 * BORDER).map(place).collect();
    Ok(Tensor::new(places, device)?.to_dtype(dtype)?)
}

fn place(cell: usize) -> f64 {
    (2.0 * (cell as f64 - BORDER as f64) + 1.0) / CELLS as f64 - 1.0
}

/// The Gaussian (`points`, n) between points, evenly over the picture, and cells.
fn kernel(points: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    let cells = CELLS + 2 * BORDER;
    let value = |point: usize, cell: usize| {
        let distance = ((2 * point + 1) as f64 / points as f64 - 1.0 - place(cell)) * CELLS as f64 / 2.0;
        (-0.5 * (distance / DEVIATION).powi(2)).exp()
    };
    let values: Vec<f64> = (0..points * cells).map(|i| value(i / cells, i % cells)).collect();
    Ok(Tensor::from_vec(values, (points, cells), device)?.to_dtype(dtype)?)
}
