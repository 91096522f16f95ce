//! Bilinear attention pooling.

use c2f_ops::graph::{Graph, Value};
use candle_core::{D, Tensor};

use crate::{Error, Result};

/// Part features f_k = mean over the places of A_k . F: from `features` (B, C, h, w) and `attention` (B, M, h, w) to
/// (B, M * C), part by part (WS-DAN, Hu et al. 2019). One matrix product per picture: the attended feature
/// maps, M * C of them, never exist.
///
/// # Errors
/// If the shapes don't fit each other.
pub fn bilinear_attention_pooling(features: &Tensor, attention: &Tensor) -> Result<Tensor> {
    let &[batch, channels, h, w] = features.dims() else {
        return Err(Error::shape("bilinear_attention_pooling", "features", features, "(B, C, h, w)"));
    };
    let maps = match *attention.dims() {
        [b, maps, ah, aw] if (b, ah, aw) == (batch, h, w) => maps,
        _ => {
            let expected = format!("({batch}, M, {h}, {w})");
            return Err(Error::shape("bilinear_attention_pooling", "attention", attention, expected));
        }
    };
    let features = features.reshape((batch, channels, h * w))?;
    let attention = attention.reshape((batch, maps, h * w))?;
    let sums = attention.matmul(&features.t()?)?;
    Ok(sums.affine(1.0 / (h * w) as f64, 0.0)?.reshape((batch, maps * channels))?)
}

/// sign(f) sqrt(|f| + 1e-12), then division by the Euclidean length (Lin et al. 2015; the constant is
/// WS-DAN's): (B, M * C) to (B, M * C) of length 1. Zero features stay zero and have a finite gradient.
///
/// # Errors
/// If candle fails.
pub fn normalise_parts(raw: &Tensor) -> Result<Tensor> {
    let root = (raw.sign()?.detach() * raw.abs()?.affine(1.0, 1e-12)?.sqrt()?)?;
    // 1e-24 is the square of F.normalize's 1e-12; as any root is 0 or at least 1e-6, it matters for all zeros only.
    let length = root.sqr()?.sum_keepdim(D::Minus1)?.affine(1.0, 1e-24)?.sqrt()?;
    Ok(root.broadcast_div(&length)?)
}

/// Describes [`bilinear_attention_pooling`].
pub(crate) fn describe_pooling(graph: &mut Graph, features: Value, attention: Value) -> Value {
    let size = graph.shape(features, 2..4);
    let places = graph.product(size);
    let [features, attention] = [features, attention].map(|maps| graph.reshape(maps, &[0, 0, -1]));
    let features = graph.transpose(features, &[0, 2, 1]);
    let sums = graph.op("MatMul", &[attention, features]);
    let means = graph.op("Div", &[sums, places]);
    graph.reshape(means, &[0, -1])
}

/// Describes [`normalise_parts`].
pub(crate) fn describe_normalising(graph: &mut Graph, raw: Value) -> Value {
    let (sign, size) = (graph.op("Sign", &[raw]), graph.op("Abs", &[raw]));
    let size = graph.affine(size, 1.0, 1e-12);
    let size = graph.op("Sqrt", &[size]);
    let root = graph.op("Mul", &[sign, size]);
    let square = graph.op("Mul", &[root, root]);
    let square = graph.sum(square, &[1]);
    let square = graph.affine(square, 1.0, 1e-24);
    let length = graph.op("Sqrt", &[square]);
    graph.op("Div", &[root, length])
}
