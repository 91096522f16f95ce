//! Initial values of parameters.

use candle_core::{DType, Device, Shape, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// How a parameter starts.
///
/// Fans are PyTorch's: for a weight (O, I, ...) with r = product of the remaining sizes, `fan_in = I * r` and
/// `fan_out = O * r`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every value the same.
    Constant(f64),
    /// N(mean, std^2).
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
    /// U(low, high).
    Uniform {
        /// Smallest value.
        low: f64,
        /// Largest value, not below `low`.
        high: f64,
    },
    /// N(0, 2 / `fan_out`) (He et al. 2015; torchvision's ResNets).
    KaimingNormalFanOut,
    /// U(-b, b) with b = sqrt(6 / ((1 + a^2) `fan_in`)); a = sqrt(5) is PyTorch's default of convolutions and linears.
    KaimingUniform {
        /// Negative slope of the leaky ReLU that follows.
        a: f64,
    },
    /// Orthonormal rows (or columns, where there are more rows than columns) of the weight seen as a matrix
    /// (O, I * r), times `gain`: QR of a Gaussian matrix, with the sign of R's diagonal (Saxe et al. 2014).
    Orthogonal {
        /// Length of each row (or column).
        gain: f64,
    },
}

impl Init {
    /// PyTorch's default for the weights of `nn.Conv2d` and `nn.Linear`.
    pub const TORCH: Self = Self::KaimingUniform { a: 2.236_067_977_499_79 };

    /// Draws a tensor. The values depend on `seed`, `name`, the shape and nothing else: neither on the order in which
    /// parameters are made nor on the device.
    ///
    /// # Errors
    /// If an initialiser with fans is asked for a scalar or vector, the limits of a uniform one are no numbers in that order, or
    /// candle fails.
    pub fn draw(&self, name: &str, shape: &Shape, seed: u64, dtype: DType, device: &Device) -> Result<Tensor> {
        let count = shape.elem_count();
        let dims = shape.dims();
        let mut rng = rng_for(name, seed);
        let values: Vec<f64> = match *self {
            Self::Constant(value) => vec![value; count],
            Self::Normal { mean, std } => (0..count).map(|_| mean + std * normal(&mut rng)).collect(),
            Self::Uniform { low, high } if !(low <= high && (high - low).is_finite()) => {
                let message = format!("{name} can't be drawn between {low} and {high}");
                return Err(Error::Config { op: "init", message });
            }
            Self::Uniform { low, high } => (0..count).map(|_| rng.random_range(low..=high)).collect(),
            Self::KaimingNormalFanOut => {
                let std = (2.0 / matrix_dims(name, dims)?.fan_out).sqrt();
                (0..count).map(|_| std * normal(&mut rng)).collect()
            }
            Self::KaimingUniform { a } => {
                let bound = (6.0 / ((1.0 + a * a) * matrix_dims(name, dims)?.fan_in)).sqrt();
                (0..count).map(|_| rng.random_range(-bound..=bound)).collect()
            }
            Self::Orthogonal { gain } => {
                let matrix = matrix_dims(name, dims)?;
                orthogonal(matrix.rows, matrix.columns, gain, &mut rng)
            }
        };
        Ok(Tensor::from_vec(values, shape.clone(), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)?)
    }
}

struct MatrixDims {
    rows: usize,
    columns: usize,
    fan_in: f64,
    fan_out: f64,
}

fn matrix_dims(name: &str, dims: &[usize]) -> Result<MatrixDims> {
    if dims.len() < 2 {
        return Err(Error::Config {
            op: "init",
            message: format!("{name} has shape {dims:?}; this initialiser needs two dimensions or more"),
        });
    }
    let rest: usize = dims[2..].iter().product();
    Ok(MatrixDims {
        rows: dims[0],
        columns: dims[1] * rest,
        fan_in: (dims[1] * rest) as f64,
        fan_out: (dims[0] * rest) as f64,
    })
}

/// A generator keyed by seed and name (64-bit FNV-1a of the name, mixed with the seed).
fn rng_for(name: &str, seed: u64) -> ChaCha8Rng {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&hash.to_le_bytes());
    ChaCha8Rng::from_seed(key)
}

/// A standard normal value (Box-Muller).
fn normal(rng: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

/// Takes from `vector` what lies along the orthonormal vectors of `basis`, and makes its length 1: modified Gram-Schmidt, applied
/// twice for full precision. A vector that lies in their span is left as next to nothing.
pub fn orthonormalise(vector: &mut [f64], basis: &[Vec<f64>]) {
    for _ in 0..2 {
        for other in basis {
            let along: f64 = vector.iter().zip(other).map(|(a, b)| a * b).sum();
            vector.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
    }
    let length = vector.iter().map(|a| a * a).sum::<f64>().sqrt().max(1e-150);
    for a in vector {
        *a /= length;
    }
}

/// A (rows, columns) matrix, row-major, with orthogonal rows or columns of length `gain`.
///
/// [`orthonormalise`] gives the Q of the QR factorisation whose R has a positive
/// diagonal: the one that is uniform over the orthogonal matrices.
fn orthogonal(rows: usize, columns: usize, gain: f64, rng: &mut impl Rng) -> Vec<f64> {
    let (vectors, length) = (rows.min(columns), rows.max(columns));
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(vectors);
    while basis.len() < vectors {
        let mut vector: Vec<f64> = (0..length).map(|_| normal(rng)).collect();
        orthonormalise(&mut vector, &basis);
        basis.push(vector);
    }
    let mut matrix = vec![0.0; rows * columns];
    for (v, vector) in basis.iter().enumerate() {
        for (i, value) in vector.iter().enumerate() {
            let (row, column) = if rows <= columns { (v, i) } else { (i, v) };
            matrix[row * columns + column] = gain * value;
        }
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(rows: usize, columns: usize, gain: f64) -> Tensor {
        Init::Orthogonal { gain }
            .draw("attention.conv.weight", &Shape::from((rows, columns, 1, 1)), 7, DType::F64, &Device::Cpu)
            .unwrap()
            .reshape((rows, columns))
            .unwrap()
    }

    fn largest_difference_from_identity(product: &Tensor, scale: f64) -> f64 {
        let rows = product.to_vec2::<f64>().unwrap();
        let mut worst: f64 = 0.0;
        for (i, row) in rows.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                worst = worst.max((value - if i == j { scale } else { 0.0 }).abs());
            }
        }
        worst
    }

    #[test]
    fn rows_are_orthonormal_when_there_are_fewer_than_columns() {
        let w = matrix(16, 1280, 1.0);
        assert!(largest_difference_from_identity(&w.matmul(&w.t().unwrap()).unwrap(), 1.0) < 1e-12);
    }

    #[test]
    fn columns_are_orthogonal_when_there_are_more_rows() {
        let w = matrix(40, 8, 2.0);
        assert!(largest_difference_from_identity(&w.t().unwrap().matmul(&w).unwrap(), 4.0) < 1e-12);
    }

    #[test]
    fn values_depend_on_seed_and_name_only() {
        let shape = Shape::from((3, 4));
        let draw = |name: &str, seed| {
            let t = Init::Normal { mean: 0.0, std: 1.0 }.draw(name, &shape, seed, DType::F64, &Device::Cpu).unwrap();
            t.flatten_all().unwrap().to_vec1::<f64>().unwrap()
        };
        assert_eq!(draw("a", 1), draw("a", 1));
        assert_ne!(draw("a", 1), draw("b", 1));
        assert_ne!(draw("a", 1), draw("a", 2));
    }

    #[test]
    fn kaiming_has_the_stated_spread() {
        let shape = Shape::from((64, 32, 3, 3));
        let std = |init: Init| {
            let t = init.draw("w", &shape, 0, DType::F64, &Device::Cpu).unwrap();
            t.sqr().unwrap().mean_all().unwrap().to_scalar::<f64>().unwrap().sqrt()
        };
        assert!((std(Init::KaimingNormalFanOut) / (2.0f64 / (64.0 * 9.0)).sqrt() - 1.0).abs() < 0.02);
        // Uniform on (-b, b) has standard deviation b / sqrt(3).
        let bound = (1.0f64 / (32.0 * 9.0)).sqrt();
        assert!((std(Init::TORCH) / (bound / 3f64.sqrt()) - 1.0).abs() < 0.02);
    }

    #[test]
    fn limits_of_a_uniform_distribution_are_numbers_in_order() {
        for (low, high) in [(1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
            let drawn = Init::Uniform { low, high }.draw("w", &Shape::from(4), 0, DType::F32, &Device::Cpu);
            assert!(drawn.unwrap_err().to_string().contains("w can't be drawn between"), "{low} {high}");
        }
        Init::Uniform { low: 1.0, high: 1.0 }.draw("w", &Shape::from(4), 0, DType::F32, &Device::Cpu).unwrap();
    }

    #[test]
    fn fans_of_a_vector_are_an_error() {
        let error = Init::TORCH.draw("bias", &Shape::from(4), 0, DType::F32, &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("bias"), "{error}");
    }
}
