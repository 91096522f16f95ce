//! Affine grids and sampling.

mod common;

use std::slice::from_ref;

use c2f_ops::{Format, GridPadding, affine_grid, grid_sample};
use candle_core::{DType, Tensor};
use common::{assert_close, check_gradient, device, fixture, gradients, random, sum_gradients, values};

const LAST: Format = Format::ChannelsLast;
const FIRST: Format = Format::ChannelsFirst;
const PADDINGS: [(GridPadding, &str); 2] = [(GridPadding::Zeros, "zeros"), (GridPadding::Border, "border")];

#[test]
fn gradients_match_differences() {
    // (maps, points): odd sizes, one picture, one pixel, one point; points reach beyond the edges.
    for (shape, points) in [((2, 5, 3, 2), (4, 7)), ((1, 1, 1, 3), (3, 2)), ((3, 2, 4, 1), (1, 1))] {
        let x = random(shape, 1);
        let grid = (random((shape.0, points.0, points.1, 2), 2) * 1.5).unwrap();
        for (padding, _) in PADDINGS {
            for align_corners in [false, true] {
                let run = |t: &[Tensor]| grid_sample(&t[0], &t[1], padding, align_corners, LAST);
                check_gradient(&[x.clone(), grid.clone()], run, 1e-6);
                let run = |t: &[Tensor]| {
                    grid_sample(&t[0].transpose(2, 3)?, &t[1].transpose(1, 2)?, padding, align_corners, FIRST)
                };
                check_gradient(&[x.clone(), grid.clone()], run, 1e-6);
            }
        }
    }
}

#[test]
fn gradients_of_affine_maps_match_differences() {
    for (batch, size) in [(3, (4, 3)), (1, (1, 1)), (2, (1, 5))] {
        for align_corners in [false, true] {
            check_gradient(&[random((batch, 2, 3), 1)], |t| affine_grid(&t[0], size, align_corners), 1e-6);
        }
    }
}

#[test]
fn arguments_used_twice_get_their_whole_gradient() {
    let (x, theta) = (random((2, 4, 4, 2), 1), random((2, 2, 3), 2));
    check_gradient(
        &[x, theta],
        |t| {
            let grid = affine_grid(&t[1].sqr()?, (4, 4), false)?;
            let y = grid_sample(&t[0].sqr()?, &grid, GridPadding::Border, false, LAST)?;
            grid_sample(&(y + &t[0])?, &grid, GridPadding::Zeros, false, LAST)
        },
        1e-6,
    );
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let expected = fixture("grid_sample");
    let (x, theta) = (expected["x"].clone(), expected["theta"].clone());
    let project = |y: Tensor| Ok((y * &expected["direction"])?);
    for align_corners in [false, true] {
        let grid = expected[&format!("{align_corners}.grid")].clone();
        assert_close("grid", &affine_grid(&theta, (4, 6), align_corners).unwrap(), &grid, 1e-5);
        for (padding, name) in PADDINGS {
            let get = |what: &str| expected[&format!("{align_corners}.{name}.{what}")].clone();
            let run = |x: &Tensor, grid: &Tensor| grid_sample(x, grid, padding, align_corners, FIRST);
            assert_close(name, &run(&x, &grid).unwrap(), &get("y"), 1e-5);
            let got = sum_gradients(&[x.clone(), grid.clone()], |t| project(run(&t[0], &t[1])?));
            assert_close("dx", &got[0], &get("dx"), 1e-5);
            assert_close("dgrid", &got[1], &get("dgrid"), 1e-5);
            let got =
                sum_gradients(from_ref(&theta), |t| project(run(&x, &affine_grid(&t[0], (4, 6), align_corners)?)?));
            assert_close("dtheta", &got[0], &get("dtheta"), 1e-5);
        }
    }
}

#[test]
fn an_untracked_picture_changes_no_gradient_of_the_grid() {
    let (x, grid) = (random((2, 4, 3, 2), 1), random((2, 3, 3, 2), 2));
    let run = |x: &Tensor, grid: &Tensor| grid_sample(x, grid, GridPadding::Zeros, false, LAST);
    let both = gradients(&[x.clone(), grid.clone()], |t| run(&t[0], &t[1]));
    let one = gradients(&[grid], |t| run(&x, &t[0]));
    assert_eq!(values(&both[1]), values(&one[0]));
}

#[test]
fn the_identity_gives_the_picture() {
    let x = random((2, 3, 5, 4), 1);
    let theta = Tensor::new(&[[[1.0f64, 0.0, 0.0], [0.0, 1.0, 0.0]]], &device()).unwrap().repeat((2, 1, 1)).unwrap();
    for align_corners in [false, true] {
        let grid = affine_grid(&theta, (3, 5), align_corners).unwrap();
        assert_close("picture", &grid_sample(&x, &grid, GridPadding::Border, align_corners, LAST).unwrap(), &x, 1e-14);
    }
}

#[test]
fn points_far_outside_or_not_a_number_are_outside() {
    let x = Tensor::new(&[[[[1.0f32], [2.0]], [[3.0], [4.0]]]], &device()).unwrap();
    let far = [f32::INFINITY, f32::NEG_INFINITY, 1e30, f32::MIN, f32::NAN];
    let points: Vec<f32> = far.iter().flat_map(|&far| [far, 0.9]).collect();
    let grid = Tensor::from_vec(points, (1, 1, 5, 2), &device()).unwrap();
    let sample = |padding| values(&grid_sample(&x, &grid, padding, false, LAST).unwrap());
    assert_eq!(sample(GridPadding::Zeros), [0.0; 5]);
    assert_eq!(sample(GridPadding::Border), [4.0, 3.0, 4.0, 3.0, 3.0]);
    for (padding, _) in PADDINGS {
        let got = gradients(&[x.clone(), grid.clone()], |t| grid_sample(&t[0], &t[1], padding, false, LAST));
        let along_x: Vec<f64> = values(&got[1]).into_iter().step_by(2).collect();
        assert_eq!(along_x, [0.0; 5]);
        assert!(values(&got[0]).iter().all(|value| value.is_finite()));
    }
}

#[test]
fn wrong_shapes_are_errors() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &device()).unwrap();
    let run = |x: &[usize], grid: &[usize]| grid_sample(&zeros(x), &zeros(grid), GridPadding::Zeros, false, LAST);
    let error = run(&[2, 3, 3, 1], &[1, 4, 4, 2]).unwrap_err();
    assert!(error.to_string().contains("grid has shape [1, 4, 4, 2], expected (2, H, W, 2)"), "{error}");
    assert!(run(&[2, 3, 3, 1], &[2, 4, 4, 3]).is_err());
    assert!(run(&[2, 0, 3, 1], &[2, 4, 4, 2]).is_err());
    assert!(affine_grid(&zeros(&[2, 3, 3]), (2, 2), false).is_err());
}
