//! The saliency sampler.

mod common;

use c2f_attention::Sampling;
use candle_core::{IndexOp, Tensor, Var};
use common::{assert_close, random, values};

fn density(values: Vec<f64>, side: usize) -> Tensor {
    Tensor::from_vec(values, (1, 1, side, side), &common::device()).unwrap()
}

/// One value beside 0.1 everywhere else.
fn peak(side: usize, x: usize, y: usize) -> Tensor {
    density((0..side * side).map(|i| if i == y * side + x { 1.0 } else { 0.1 }).collect(), side)
}

#[test]
fn an_even_map_leaves_the_picture_as_it_is() {
    let picture = random((2, 3, 20, 28), 1);
    let even = Tensor::full(0.3, (2, 1, 9, 9), &common::device()).unwrap();
    assert_close("sampled", &Sampling::Warp(even).sample(&picture, (20, 28)).unwrap(), &picture, 1e-3);
}

/// Equation 2 of the paper, summed as it is written, over a map of 31 x 31 cells whose edge goes on for 30 more.
#[test]
fn points_are_means_of_what_is_salient_around_them() {
    let side = 31i64;
    let map = random((1, 1, 31, 31), 5).sqr().unwrap();
    let salience = map.i((0, 0)).unwrap().to_vec2::<f64>().unwrap();
    let at = |i: i64| i.clamp(0, side - 1) as usize;
    let (height, width) = (5, 7);
    let grid = Sampling::Warp(map).grid((height, width)).unwrap();
    assert_eq!(grid.dims(), [1, height, width, 2]);
    let deviation = 13.0 / (8.0 * 2f64.ln()).sqrt();
    for row in 0..height {
        for column in 0..width {
            let place = |index: usize, count: usize| (index as f64 + 0.5) / count as f64 * side as f64 - 0.5;
            let (x, y) = (place(column, width), place(row, height));
            let mut sums = [0.0; 3];
            for j in -30..side + 30 {
                for i in -30..side + 30 {
                    let distance = (i as f64 - x).powi(2) + (j as f64 - y).powi(2);
                    let weight = (salience[at(j)][at(i)] + 1e-6) * (-distance / (2.0 * deviation * deviation)).exp();
                    for (sum, value) in sums.iter_mut().zip([weight, weight * i as f64, weight * j as f64]) {
                        *sum += value;
                    }
                }
            }
            let found = grid.i((0, row, column)).unwrap().to_vec1::<f64>().unwrap();
            for (found, sum) in found.into_iter().zip([sums[1], sums[2]]) {
                let expected = ((2.0 * sum / sums[0] + 1.0) / side as f64 - 1.0).clamp(-1.0, 1.0);
                assert!((found - expected).abs() < 1e-5, "{row}, {column}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn what_is_salient_becomes_large() {
    let grid = Sampling::Warp(peak(8, 2, 4)).grid((64, 64)).unwrap().i(0).unwrap();
    let x = values(&grid.i((36, .., 0)).unwrap());
    let step = |i: usize| x[i + 1] - x[i];
    // The peak is at 2.5 of 8 cells, so at 20 of 64 points.
    assert!(step(20) < 0.75 * step(50), "{} and {}", step(20), step(50));
    assert!(x.windows(2).all(|pair| pair[0] <= pair[1]) && x[0] >= -1.0 && x[63] <= 1.0);
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let weights = random((1, 6, 5, 2), 3);
    let loss =
        |map: &Tensor| (Sampling::Warp(map.clone()).grid((6, 5)).unwrap() * &weights).unwrap().sum_all().unwrap();
    let start = random((1, 1, 7, 7), 2).sqr().unwrap();
    let map = Var::from_tensor(&start).unwrap();
    let gradient = values(loss(&map).backward().unwrap().get(&map).unwrap());
    let start = values(&start);
    let step = 1e-6;
    for element in 0..start.len() {
        let moved = |by: f64| {
            let mut values = start.clone();
            values[element] += by;
            loss(&density(values, 7)).to_scalar::<f64>().unwrap()
        };
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((gradient[element] - difference).abs() < 1e-7, "{element}: {} and {difference}", gradient[element]);
    }
}

#[test]
fn a_map_of_zeros_gives_even_points_and_a_finite_gradient() {
    let map = Var::zeros((1, 1, 8, 8), candle_core::DType::F32, &common::device()).unwrap();
    let grid = Sampling::Warp(map.as_tensor().clone()).grid((4, 4)).unwrap();
    assert!((values(&grid)[0] + 0.75).abs() < 0.02);
    let gradients = grid.sum_all().unwrap().backward().unwrap();
    assert!(values(gradients.get(&map).unwrap()).iter().all(|value| value.is_finite()));
}
