//! Where the cells of the feature maps lie in the picture.

use c2f_backbone::{FeatureConfig, build, info};
use c2f_ops::nn::{Params, Pass};
use candle_core::{DType, Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The middle of what one cell near the picture's middle depends on: the centroid of its gradient's size, with all weights
/// equal, so that only the layout counts. Gives the cell's index, too.
fn middle(name: &str, endpoint: &str, side: usize) -> (usize, f64) {
    let params = Params::new(&Device::Cpu, DType::F32, 0);
    let features = FeatureConfig { endpoint: Some(endpoint.to_owned()), freeze: None };
    let backbone = build(name, &params, &features).unwrap();
    for entry in params.entries() {
        if let [_, inputs, height, width] = *entry.var.dims() {
            // Small enough that sums of branches never reach the limit of ReLU6.
            let value = 0.5 / (inputs * height * width) as f64;
            entry.var.set(&entry.var.ones_like().unwrap().affine(value, 0.0).unwrap()).unwrap();
        }
    }
    // Noise, since a maximum of equal values would always be the first.
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let pixels: Vec<f32> = (0..4 * 3 * side * side).map(|_| rng.random_range(0.5..1.5)).collect();
    let x = Var::from_tensor(&Tensor::from_vec(pixels, (4, 3, side, side), &Device::Cpu).unwrap()).unwrap();
    let maps = backbone.run(&x, &Pass::tracked()).unwrap();
    let cell = maps.dim(2).unwrap() / 2;
    let seen = maps.narrow(2, cell, 1).unwrap().narrow(3, cell, 1).unwrap().sum_all().unwrap();
    let gradient = seen.backward().unwrap().get(&x).unwrap().abs().unwrap();
    let along: Vec<f32> = gradient.sum((0, 1, 2)).unwrap().to_vec1().unwrap();
    let sum: f64 = along.iter().map(|value| f64::from(*value)).sum();
    let moment: f64 = along.iter().enumerate().map(|(i, value)| (i as f64 + 0.5) * f64::from(*value)).sum();
    (cell, moment / sum)
}

fn check(name: &str, endpoints: &[&str], side: usize) {
    for endpoint in info(name).unwrap().endpoints.iter().filter(|endpoint| endpoints.contains(&endpoint.name)) {
        let (cell, measured) = middle(name, endpoint.name, side);
        let expected = endpoint.origin + (endpoint.stride * cell) as f64;
        // The conventions lie half a stride apart.
        let tolerance = (endpoint.stride as f64 / 6.0).max(0.25);
        assert!(
            (measured - expected).abs() < tolerance,
            "{name}, {}: cell {cell} looks at {measured:.2}, expected {expected}",
            endpoint.name
        );
    }
}

#[test]
fn symmetric_padding_looks_at_the_first_pixel() {
    check("c2f_tiny", &["layer1", "layer2", "layer3"], 96);
    check("resnet18", &["layer1", "layer2", "layer3", "layer4"], 416);
}

#[test]
fn tensorflows_padding_moves_the_cells() {
    check("tf_efficientnet_lite0", &["blocks.0", "blocks.1", "blocks.2", "blocks.4", "blocks.6", "conv_head"], 416);
}

#[test]
fn inception_leaves_the_edge_out() {
    check("inception_v3", &["Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"], 443);
}

#[test]
fn windows_that_do_not_overlap_are_looked_at_in_the_middle() {
    check("vgg16_bn", &["relu1_2", "relu2_2", "relu3_3", "relu4_3"], 160);
    check("vgg19_bn", &["relu3_4"], 96);
}
