//! Bilinear resizing.

use candle_core::Tensor;

use crate::separable::{Separable, Taps};
use crate::{Error, Format, Result};

/// Bilinear resize of maps to `size` = (height, width).
///
/// As PyTorch's `F.interpolate(mode="bilinear", antialias=False)`: every output is a mean of at most four inputs, also
/// where the map shrinks. With `align_corners` the centres of the corner pixels stay where they are; without, the
/// outer edges of the picture do.
///
/// # Errors
/// If `x` doesn't have four dimensions, or a size is 0.
pub fn resize_bilinear(x: &Tensor, size: (usize, usize), align_corners: bool, format: Format) -> Result<Tensor> {
    resize(x, size, align_corners, format)?.apply(x, format)
}

fn resize(x: &Tensor, size: (usize, usize), align_corners: bool, format: Format) -> Result<Separable> {
    let (_, _, h, w) = format.dims(x)?;
    if h == 0 || w == 0 || size.0 == 0 || size.1 == 0 {
        let message = format!("can't resize {h} x {w} to {} x {}", size.0, size.1);
        return Err(Error::Config { op: NAME, message });
    }
    Ok(Separable { name: NAME, rows: taps(h, size.0, align_corners), columns: taps(w, size.1, align_corners) })
}

const NAME: &str = "resize_bilinear";

fn taps(inputs: usize, outputs: usize, align_corners: bool) -> Taps {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::{assert_same, var};

    #[test]
    fn matrix_products_give_the_same_values_and_gradients() {
        let x = var((2, 3, 4, 3));
        for (align_corners, size) in [(false, (7, 2)), (true, (3, 9)), (false, (1, 1)), (true, (1, 5))] {
            for format in [Format::ChannelsFirst, Format::ChannelsLast] {
                let kernel = resize(&x, size, align_corners, format).unwrap();
                assert_same(&[&x], &kernel.clone().apply(&x, format).unwrap(), &kernel.compose(&x, format).unwrap());
            }
        }
    }
}
