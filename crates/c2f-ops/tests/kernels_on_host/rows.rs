//! Softmax and layer normalisation.

use c2f_ops::{Result, layer_norm, log_softmax, softmax};
use candle_core::Tensor;

use crate::host::{Host, on_host, put};
use crate::launch::{self, Machine, Values};
use crate::{Real, assert_near, numbers, on_cpu};

/// (rows, width): one value, rows shorter than the shortest block, longer than the longest, and more rows than a part of a sum.
const SHAPES: [(usize, usize); 5] = [(1, 1), (3, 5), (2, 257), (7, 1000), (200, 33)];

type Forward<T> = fn(&Host, &Values<T>, usize) -> candle_core::Result<Vec<T>>;
type Backward<T> = fn(&Host, &Values<T>, &Values<T>, usize) -> candle_core::Result<Vec<T>>;

fn softmaxes<T: Real>() {
    type Operation = fn(&Tensor) -> Result<Tensor>;
    let operations: [(Operation, Forward<T>, Backward<T>); 2] = [
        (softmax, launch::softmax, launch::softmax_gradient),
        (log_softmax, launch::log_softmax, launch::log_softmax_gradient),
    ];
    for (shape, (operation, forward, backward)) in SHAPES.iter().flat_map(|&shape| operations.map(|o| (shape, o))) {
        let x = numbers::<T>(shape, 20.0, 1);
        let (y, dx, g) = on_cpu::<T>(&[&x], |t| operation(&t[0]));
        let got = on_host::<T>(|m| {
            let (x, g) = (put(&x)?, put(&g)?);
            let y = forward(m, &m.input(&x), shape.1)?;
            let dx = backward(m, &m.input(&y), &m.input(&g), shape.1)?;
            Ok(vec![y, dx])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        assert_near("dx", &got[1], &dx[0]);
    }
}

fn layer_norms<T: Real>() {
    for shape in SHAPES {
        // The mean isn't 0.
        let x = (numbers::<T>(shape, 2.0, 1) + 0.7).unwrap();
        let (gamma, beta) = (numbers::<T>(shape.1, 2.0, 2), numbers::<T>(shape.1, 1.0, 3));
        let (y, gradients, g) = on_cpu::<T>(&[&x, &gamma, &beta], |t| layer_norm(&t[0], &t[1], &t[2], 1e-3));
        let got = on_host::<T>(|m| {
            let (x, gamma, beta, g) = (put(&x)?, put(&gamma)?, put(&beta)?, put(&g)?);
            let (x, gamma) = (m.input(&x), m.input(&gamma));
            let (y, mean, rstd) = launch::layer_norm::<_, T>(m, &x, &gamma, &m.input(&beta), 1e-3)?;
            let moments = (&m.input(&mean), &m.input(&rstd));
            let (dx, affine) = launch::layer_norm_gradients(m, &x, &m.input(&g), &gamma, moments, (true, true))?;
            let (dx, mut dgamma) = (dx.unwrap(), affine.unwrap());
            let dbeta = dgamma.split_off(shape.1);
            Ok(vec![y, dx, dgamma, dbeta])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        for (got, (expected, name)) in got[1..].iter().zip(gradients.iter().zip(["dx", "dgamma", "dbeta"])) {
            assert_near(name, got, expected);
        }
    }
}

#[test]
fn softmax_is_the_cpus() {
    softmaxes::<f32>();
    softmaxes::<f64>();
}

#[test]
fn layer_norm_is_the_cpus() {
    layer_norms::<f32>();
    layer_norms::<f64>();
}

#[test]
fn a_row_with_nan_becomes_nan_and_a_large_one_stays_finite() {
    for place in [0, 1, 299] {
        let mut x = vec![1e30f32; 600];
        x[place] = f32::NAN;
        let got = on_host::<f32>(|m| {
            let x = m.upload(&x)?;
            let x = m.input(&x);
            Ok(vec![launch::softmax(m, &x, 300)?, launch::log_softmax(m, &x, 300)?])
        });
        for y in got.unwrap_or_default() {
            assert!(y[..300].iter().all(|y| y.is_nan()), "{place}");
            assert!(y[300..].iter().all(|y| y.is_finite()), "{place}");
        }
    }
}
