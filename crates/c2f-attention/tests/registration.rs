//! Where the region lies in the picture.

mod common;

use c2f_attention::{InverseConfig, InverseMapping, RegionMode};
use c2f_backbone::Endpoint;
use c2f_ops::nn::Pass;
use candle_core::{DType, Tensor, Var};
use common::{config, params, random, values};

const CELLS: usize = 13;

fn mapping(endpoint: &Endpoint, registered: bool) -> InverseMapping {
    let inverse = config(RegionMode::Mask, 3).inverse.unwrap();
    InverseMapping::new(&params(1), 1, endpoint, &InverseConfig { registered, attention_gain: 0.2, ..inverse }).unwrap()
}

/// The middle, down and to the right, of the region that attention in one cell alone makes.
fn middle(endpoint: &Endpoint, registered: bool, (row, column): (usize, usize)) -> (f64, f64) {
    let mut attention = vec![0.0; CELLS * CELLS];
    attention[row * CELLS + column] = 1.0;
    let attention = Tensor::from_vec(attention, (1, 1, CELLS, CELLS), &common::device()).unwrap();
    // Without features the decoder is even: the shortcut from the attention decides.
    let features = Tensor::zeros((1, endpoint.channels, CELLS, CELLS), DType::F64, &common::device()).unwrap();
    let side = CELLS * endpoint.stride;
    let mapping = mapping(endpoint, registered);
    let region = values(&mapping.run(&features, &attention, (side, side), &Pass::eval()).unwrap());
    let ground = region.iter().copied().fold(f64::INFINITY, f64::min);
    let (mut sum, mut y, mut x) = (0.0, 0.0, 0.0);
    for (index, value) in region.iter().enumerate() {
        let above = value - ground;
        sum += above;
        y += above * ((index / side) as f64 + 0.5);
        x += above * ((index % side) as f64 + 0.5);
    }
    (y / sum, x / sum)
}

#[test]
fn the_region_lies_where_the_cell_looks() {
    for (stride, origin) in [(16, 0.5), (16, 15.5), (16, 8.0), (8, 0.5), (8, 13.5)] {
        let endpoint = Endpoint { name: "x", channels: 2, stride, origin };
        for cell in [(5, 7), (6, 6)] {
            let at = |start: f64| (start + (stride * cell.0) as f64, start + (stride * cell.1) as f64);
            let close = |(y, x): (f64, f64), (to_y, to_x): (f64, f64)| (y - to_y).abs() < 0.3 && (x - to_x).abs() < 0.3;
            let (registered, stretched) = (middle(&endpoint, true, cell), middle(&endpoint, false, cell));
            assert!(close(registered, at(origin)), "{endpoint:?} {cell:?}: {registered:?}");
            assert!(close(stretched, at(stride as f64 / 2.0)), "{endpoint:?} {cell:?}: {stretched:?}");
        }
    }
}

#[test]
fn the_gradient_passes_through_the_shift() {
    let endpoint = Endpoint { name: "x", channels: 2, stride: 8, origin: 0.5 };
    let mapping = mapping(&endpoint, true);
    let features = random((1, 2, 3, 3), 1);
    let attention = Var::from_tensor(&random((1, 1, 3, 3), 2).abs().unwrap()).unwrap();
    let (weights, direction) = (random((1, 1, 24, 24), 3), random((1, 1, 3, 3), 4));
    let loss = |attention: &Tensor| {
        let region = mapping.run(&features, attention, (24, 24), &Pass::tracked()).unwrap();
        (region * &weights).unwrap().sum_all().unwrap()
    };
    let gradient = loss(&attention).backward().unwrap().get(&attention).unwrap().clone();
    let slope = values(&(gradient * &direction).unwrap().sum_all().unwrap())[0];
    let moved = |step: f64| values(&loss(&(attention.as_tensor() + direction.affine(step, 0.0).unwrap()).unwrap()))[0];
    let difference = (moved(1e-6) - moved(-1e-6)) / 2e-6;
    assert!((slope - difference).abs() < 1e-6 * difference.abs().max(1.0), "{slope} {difference}");
}
