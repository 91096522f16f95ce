//! The mutual-channel loss, alone and against a PyTorch implementation of its definition (fixtures/mutual_channel.py).

mod common;

use c2f_losses::{ChannelGroups, cross_entropy};
use candle_core::{Tensor, Var};
use common::{assert_close, check_gradient, device, fixture_file, values};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[test]
fn responses_diversity_and_gradient_are_pytorchs() {
    let expected = fixture_file("mutual_channel");
    let groups = ChannelGroups::new(7, 3).unwrap();
    let features = Var::from_tensor(&expected["features"]).unwrap();
    let responses = groups.responses(&features, &expected["factors"]).unwrap();
    let diversity = groups.diversity(&features).unwrap();
    assert_close("responses", &responses, &expected["responses"], 1e-12);
    assert_close("diversity", &diversity, &expected["diversity"], 1e-12);
    let discriminality = cross_entropy(&responses, &expected["labels"], 0.0).unwrap();
    let loss = (discriminality.affine(1.5, 0.0).unwrap() + diversity.affine(20.0, 0.0).unwrap()).unwrap();
    assert_close("loss", &loss, &expected["loss"], 1e-12);
    let gradients = loss.backward().unwrap();
    assert_close("gradient", gradients.get(&features).unwrap(), &expected["features.grad"], 1e-12);
    check_gradient(&expected["features"], |features| groups.diversity(features));
}

#[test]
fn what_is_left_over_goes_to_the_last_classes() {
    let sizes = |channels, classes| ChannelGroups::new(channels, classes).unwrap().sizes();
    assert_eq!(sizes(6, 3), [2, 2, 2]);
    assert_eq!(sizes(8, 3), [2, 3, 3]);
    let birds = sizes(2048, 200);
    assert_eq!([10, 11].map(|size| birds.iter().filter(|other| **other == size).count()), [152, 48]);
    let error = ChannelGroups::new(4, 5).unwrap_err().to_string();
    assert!(error.contains("channels is 4"), "{error}");
}

#[test]
fn half_of_each_classs_channels_are_left_out() {
    let groups = ChannelGroups::new(2 * 4 + 3 * 5, 5).unwrap();
    let draw = |seed| groups.draw(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut start = 0;
    let factors = draw(1);
    for size in groups.sizes() {
        let left_out = factors[start..start + size].iter().filter(|factor| **factor == 0.0).count();
        assert_eq!(left_out, size / 2);
        start += size;
    }
    assert_eq!(start, factors.len());
    assert_eq!(factors, draw(1));
    assert!((2..10).any(|seed| draw(seed) != factors));
}

#[test]
fn channels_that_are_alike_cost_most_and_channels_apart_nothing() {
    let groups = ChannelGroups::new(2, 1).unwrap();
    let diversity = |channels: [[[f64; 2]; 1]; 2]| {
        values(&groups.diversity(&Tensor::new(&[channels], &device()).unwrap()).unwrap())[0]
    };
    assert!((diversity([[[3.0, 1.0]], [[3.0, 1.0]]]) - 0.5).abs() < 1e-12);
    assert!(diversity([[[50.0, 0.0]], [[0.0, 50.0]]]).abs() < 1e-12);
}
