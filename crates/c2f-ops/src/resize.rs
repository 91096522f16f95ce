//! Bilinear and bicubic resizing: separable maps, whose forms for the CPU and for other devices `separable` has.

use candle_core::Tensor;

use crate::graph::{Attribute, Graph, Value};
use crate::kernel::expect_values;
use crate::separable::{Separable, Taps};
use crate::{Error, Format, Result};

const NAME: &str = "resize";

/// Bilinear resize of maps to `size` = (height, width).
///
/// As PyTorch's `F.interpolate(mode="bilinear", antialias=False)`: every output is a mean of at most four inputs, also
/// where the map shrinks. With `align_corners` the centres of the corner pixels stay where they are; without, the
/// outer edges of the picture do.
///
/// # Errors
/// If `x` doesn't have four dimensions or is empty, or a size is 0.
pub fn resize_bilinear(x: &Tensor, size: (usize, usize), align_corners: bool, format: Format) -> Result<Tensor> {
    bilinear(x, size, align_corners, format)?.apply(x, format)
}

/// Bicubic resize of maps to `size` = (height, width); where the map shrinks, the kernel widens with it.
///
/// As Pillow's, and as PyTorch's `F.interpolate(mode="bicubic", antialias=True)`: Keys's kernel with a = -0.5, cut off and
/// normalised at the edges.
///
/// # Errors
/// If `x` doesn't have four dimensions or is empty, or a size is 0.
pub fn resize_bicubic(x: &Tensor, size: (usize, usize), format: Format) -> Result<Tensor> {
    separable(x, size, format, cubic_taps)?.apply(x, format)
}

impl Graph {
    /// Describes what [`resize_bilinear`] computes of maps (B, C, h, w), for a `size` of two whole numbers, height and width.
    pub fn resize_bilinear(&mut self, x: Value, size: Value, align_corners: bool) -> Value {
        let rest = self.shape(x, 0..2);
        let sizes = self.concat(&[rest, size], 0);
        let centres = if align_corners { "align_corners" } else { "half_pixel" };
        let attributes =
            [("mode", Attribute::Text("linear")), ("coordinate_transformation_mode", Attribute::Text(centres))];
        self.op_with("Resize", &[x, Value::ABSENT, Value::ABSENT, sizes], &attributes)
    }
}

fn bilinear(x: &Tensor, size: (usize, usize), align_corners: bool, format: Format) -> Result<Separable> {
    separable(x, size, format, |inputs, outputs| linear_taps(inputs, outputs, align_corners))
}

fn separable(
    x: &Tensor,
    size: (usize, usize),
    format: Format,
    taps: impl Fn(usize, usize) -> Taps,
) -> Result<Separable> {
    let (_, _, h, w) = format.dims(x)?;
    if h == 0 || w == 0 || size.0 == 0 || size.1 == 0 {
        let message = format!("can't resize {h} x {w} to {} x {}", size.0, size.1);
        return Err(Error::Config { op: NAME, message });
    }
    expect_values(NAME, "input", x)?;
    Ok(Separable { name: NAME, rows: taps(h, size.0), columns: taps(w, size.1) })
}

fn linear_taps(inputs: usize, outputs: usize, align_corners: bool) -> Taps {
    let position = |output: usize| {
        if align_corners {
            output as f64 * (inputs - 1) as f64 / (outputs.max(2) - 1) as f64
        } else {
            ((output as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5).max(0.0)
        }
    };
    let pair = |output: usize| {
        let position = position(output).min((inputs - 1) as f64);
        let low = position.floor();
        let high_weight = position - low;
        let pair = [(low as usize, 1.0 - high_weight), (low as usize + 1, high_weight)];
        pair.into_iter().filter(|&(_, weight)| weight != 0.0).collect()
    };
    Taps::new(inputs, (0..outputs).map(pair).collect())
}

fn cubic_taps(inputs: usize, outputs: usize) -> Taps {
    let step = inputs as f64 / outputs as f64;
    let scale = step.max(1.0);
    let window = |output: usize| {
        let centre = (output as f64 + 0.5) * step;
        let first = (centre - 2.0 * scale + 0.5).max(0.0) as usize;
        let past = ((centre + 2.0 * scale + 0.5) as usize).min(inputs);
        let weights: Vec<f64> = (first..past).map(|input| cubic((input as f64 + 0.5 - centre) / scale)).collect();
        let sum: f64 = weights.iter().sum();
        (first..past).zip(weights).map(|(input, weight)| (input, weight / sum)).collect()
    };
    Taps::new(inputs, (0..outputs).map(window).collect())
}

/// Keys's kernel (1981) with a = -0.5.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};
    use crate::separable::composed;

    #[test]
    fn matrix_products_give_the_same_values_and_gradients() {
        let x = var((2, 3, 4, 3));
        for (align_corners, size) in [(false, (7, 2)), (true, (3, 9)), (false, (1, 1)), (true, (1, 5))] {
            for format in [Format::ChannelsFirst, Format::ChannelsLast] {
                let kernel = bilinear(&x, size, align_corners, format).unwrap();
                assert_same(
                    &[&x],
                    &kernel.apply(&x, format).unwrap(),
                    &composed::separable(&kernel, &x, format).unwrap(),
                );
            }
        }
    }
}
