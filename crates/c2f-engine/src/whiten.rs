//! Attention weights whose responses to pictures, not whose rows, are orthogonal.
//!
//! In 1280 dimensions random rows are orthogonal anyway, and their responses to features that vary in some 60 directions aren't:
//! two maps of rows drawn at random correlate by chance. Rows that are orthonormal in the whitened space of the features give maps
//! that don't (ours).

use c2f_data::Loader;
use c2f_ops::nn::{Init, Pass, Weights, orthonormalise};
use candle_core::{DType, Device, Shape, Tensor};

use crate::{Error, Inputs, Network, Result};

/// Directions of the features, those of largest variance, in which the rows lie; or as many as there are maps.
const DIRECTIONS: usize = 64;
/// Pictures that the features are taken from: each gives as many as the maps have cells.
const PICTURES: usize = 512;
/// Steps of the subspace iteration. Directions whose variances are alike needn't be told apart.
const ITERATIONS: usize = 20;
/// What BatchNorm adds to the attention's responses, which have variance 1: a cell is seen where its response is above 1, by a
/// sixth of the cells, so that two maps seldom see the same.
const BIAS: f64 = -1.0;

/// Starts the attention's weights so that the responses to the loader's pictures are uncorrelated.
pub(crate) fn whiten(network: &Network, loader: &Loader) -> Result<()> {
    let Some(weight) = network.params.get("attention.conv.weight") else { return Ok(()) };
    let (maps, channels, _, _) = weight.var.dims4()?;
    let covariance = covariance(network, loader)?;
    let count = DIRECTIONS.max(maps).min(channels);
    let rows = rows(&covariance, maps, count, network.recipe.seed)?;
    let lengths = rows.sqr()?.sum_keepdim(1)?.sqrt()?;
    let rows = rows.broadcast_div(&lengths)?.affine(network.recipe.attention.gain, 0.0)?;
    let var = weight.var.as_tensor();
    weight.var.set(&rows.reshape((maps, channels, 1, 1))?.to_dtype(var.dtype())?.to_device(var.device())?)?;
    if let Some(bias) = network.params.get("attention.bn.bias") {
        bias.var.set(&bias.var.as_tensor().zeros_like()?.affine(1.0, BIAS)?)?;
    }
    Ok(())
}

/// The covariance (C, C), in f64, of the feature maps' cells, BatchNorm going by each batch as it does in training.
fn covariance(network: &Network, loader: &Loader) -> Result<Tensor> {
    let pass = Pass::train().with_weights(Weights::Detached);
    let device = network.params.device().clone();
    let (mut sum, mut products, mut cells, mut pictures) = (None::<Tensor>, None::<Tensor>, 0, 0);
    // The running statistics stay as they are.
    let (seen, _) = network.params.deferred(|| -> Result<()> {
        for batch in loader.epoch(0, 0) {
            let batch = batch?;
            if batch.labels.is_empty() {
                continue;
            }
            let inputs = Inputs::new(batch, &device)?;
            let features = network.model.backbone().run(&inputs.images, &pass)?.detach();
            let rows = features.permute((0, 2, 3, 1))?.flatten_to(2)?.contiguous()?;
            let add = |total: &Option<Tensor>, more: Tensor| -> Result<Tensor> {
                let more = more.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
                Ok(match total {
                    Some(total) => (total + more)?,
                    None => more,
                })
            };
            sum = Some(add(&sum, rows.sum(0)?)?);
            products = Some(add(&products, rows.t()?.contiguous()?.matmul(&rows)?)?);
            cells += rows.dim(0)?;
            pictures += inputs.labels.dim(0)?;
            if pictures >= PICTURES {
                break;
            }
        }
        Ok(())
    });
    seen?;
    let (Some(sum), Some(products)) = (sum, products) else {
        return Err(Error::field("attention.whitened", true, "a training picture to see"));
    };
    let mean = sum.affine(1.0 / cells as f64, 0.0)?;
    let outer = mean.unsqueeze(1)?.matmul(&mean.unsqueeze(0)?)?;
    Ok((products.affine(1.0 / cells as f64, 0.0)? - outer)?)
}

/// U L^-1 Q^T (M, C): Q (C, `count`) spans the directions of largest variance, L L^T is the covariance in them, and U has orthonormal
/// rows. The covariance of the responses is U U^T.
fn rows(covariance: &Tensor, maps: usize, count: usize, seed: u64) -> Result<Tensor> {
    let channels = covariance.dim(0)?;
    let draw = |name: &str, shape: (usize, usize)| -> Result<Tensor> {
        Ok(Init::Orthogonal { gain: 1.0 }.draw(name, &Shape::from(shape), seed, DType::F64, &Device::Cpu)?)
    };
    let mut basis = draw("attention.directions", (channels, count))?;
    for _ in 0..ITERATIONS {
        basis = orthonormal_columns(&covariance.matmul(&basis)?)?;
    }
    let inner = basis.t()?.matmul(&covariance.matmul(&basis)?)?;
    let lower = cholesky(inner.to_vec2()?)?;
    let rotation = draw("attention.rotation", (maps, count))?;
    // Solved for each row x of U: y L = x.
    let mut solved = rotation.to_vec2::<f64>()?;
    for row in &mut solved {
        for i in (0..count).rev() {
            row[i] /= lower[i][i];
            for j in 0..i {
                row[j] -= row[i] * lower[i][j];
            }
        }
    }
    let solved = Tensor::from_vec(solved.concat(), (maps, count), &Device::Cpu)?;
    Ok(solved.matmul(&basis.t()?.contiguous()?)?)
}

/// The columns, each made orthonormal to those before it.
fn orthonormal_columns(matrix: &Tensor) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    let mut basis: Vec<Vec<f64>> = matrix.t()?.contiguous()?.to_vec2()?;
    for index in 0..columns {
        let (before, rest) = basis.split_at_mut(index);
        orthonormalise(&mut rest[0], before);
    }
    Ok(Tensor::from_vec(basis.concat(), (columns, rows), &Device::Cpu)?.t()?.contiguous()?)
}

/// The lower L of L L^T, with a millionth of the mean variance added: features may vary in fewer directions.
fn cholesky(mut matrix: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>> {
    let count = matrix.len();
    let variance = (0..count).map(|i| matrix[i][i]).sum::<f64>() / count as f64;
    if !(variance.is_finite() && variance > 0.0) {
        return Err(Error::field("attention.whitened", true, "features that vary from place to place"));
    }
    for j in 0..count {
        matrix[j][j] += 1e-6 * variance;
        for i in j..count {
            let known: f64 = (0..j).map(|k| matrix[i][k] * matrix[j][k]).sum();
            matrix[i][j] -= known;
            if i == j {
                matrix[j][j] = matrix[j][j].max(1e-12 * variance).sqrt();
            } else {
                matrix[i][j] /= matrix[j][j];
            }
        }
    }
    Ok(matrix)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of features that vary along few directions, and by very different amounts.
    fn covariance_of(channels: usize, directions: usize) -> Tensor {
        let shape = Shape::from((channels, directions));
        let mixing = Init::Normal { mean: 0.0, std: 1.0 }.draw("mixing", &shape, 5, DType::F64, &Device::Cpu).unwrap();
        let scale: Vec<f64> = (0..directions).map(|i| 10.0 / (1.0 + i as f64)).collect();
        let mixing = mixing.broadcast_mul(&Tensor::new(scale, &Device::Cpu).unwrap()).unwrap();
        mixing.matmul(&mixing.t().unwrap()).unwrap()
    }

    #[test]
    fn responses_are_uncorrelated() {
        let covariance = covariance_of(80, 40);
        let rows = rows(&covariance, 12, 20, 1).unwrap();
        let responses = rows.matmul(&covariance).unwrap().matmul(&rows.t().unwrap()).unwrap();
        for (i, row) in responses.to_vec2::<f64>().unwrap().iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((value - expected).abs() < 1e-4, "{i} {j}: {value}");
            }
        }
    }

    #[test]
    fn rows_lie_where_the_variance_is() {
        // With as many directions as the features have, all of each row lies in them.
        let covariance = covariance_of(60, 10);
        let rows = rows(&covariance, 4, 10, 1).unwrap();
        let inside = rows.matmul(&covariance).unwrap().matmul(&rows.t().unwrap()).unwrap();
        assert!((inside.to_vec2::<f64>().unwrap()[2][2] - 1.0).abs() < 1e-4);
        let features_without_variance = Tensor::zeros((6, 6), DType::F64, &Device::Cpu).unwrap();
        assert!(
            super::rows(&features_without_variance, 2, 3, 1).unwrap_err().to_string().contains("attention.whitened")
        );
    }
}
