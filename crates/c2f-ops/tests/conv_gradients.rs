//! Gradients of the convolution against central differences.

mod common;

use c2f_ops::{Conv2dConfig, Format, Padding, conv2d};
use candle_core::Var;
use common::{check_gradient, random};

const FIRST: Format = Format::ChannelsFirst;
const ODD: Padding = Padding { top: 0, bottom: 1, left: 2, right: 1 };

type Shape4 = (usize, usize, usize, usize);

fn config(stride: (usize, usize), dilation: (usize, usize), padding: Padding, groups: usize) -> Conv2dConfig {
    Conv2dConfig { stride, dilation, padding, groups }
}

/// Checks the gradients of x, weight and bias in both formats. `x` is (B, C, H, W).
#[track_caller]
fn check(x: Shape4, weight: Shape4, config: &Conv2dConfig) {
    for format in [Format::ChannelsFirst, Format::ChannelsLast] {
        let x = format.from_nchw(&random(x, 1)).unwrap();
        let inputs = [x, random(weight, 2), random(weight.0, 3)];
        check_gradient(&inputs, |t| conv2d(&t[0], &t[1], Some(&t[2]), config, format), 1e-7);
    }
}

#[test]
fn pointwise() {
    check((2, 3, 4, 5), (4, 3, 1, 1), &Conv2dConfig::default());
    check((1, 3, 1, 1), (4, 3, 1, 1), &Conv2dConfig::default());
    check((2, 3, 5, 4), (2, 3, 1, 1), &config((2, 3), (1, 1), Padding::default(), 1));
    check((2, 3, 3, 4), (2, 3, 1, 1), &config((1, 1), (1, 1), ODD, 1));
}

#[test]
fn square_kernels() {
    check((2, 3, 5, 7), (4, 3, 3, 3), &config((1, 1), (1, 1), Padding::uniform(1), 1));
    check((2, 3, 6, 5), (2, 3, 3, 3), &config((2, 2), (1, 1), Padding::uniform(1), 1));
    check((1, 2, 7, 6), (3, 2, 3, 3), &config((2, 1), (1, 2), ODD, 1));
    check((2, 2, 1, 1), (3, 2, 3, 3), &config((1, 1), (1, 1), Padding::uniform(1), 1));
    // Some windows see nothing but zeros.
    check((1, 2, 3, 2), (2, 2, 2, 2), &config((1, 1), (1, 1), Padding::uniform(3), 1));
}

#[test]
fn rectangular_kernels() {
    check((1, 2, 5, 8), (3, 2, 1, 7), &config((1, 1), (1, 1), Padding::symmetric(0, 3), 1));
    check((1, 2, 8, 3), (3, 2, 7, 1), &config((1, 1), (1, 1), Padding::symmetric(3, 0), 1));
    check((2, 2, 7, 4), (2, 2, 2, 3), &config((3, 2), (2, 1), ODD, 1));
}

#[test]
fn groups() {
    check((2, 4, 4, 5), (6, 2, 3, 3), &config((1, 1), (1, 1), Padding::uniform(1), 2));
    check((1, 6, 5, 3), (3, 2, 3, 2), &config((2, 1), (1, 1), ODD, 3));
    check((2, 4, 3, 3), (4, 2, 1, 1), &config((1, 1), (1, 1), Padding::default(), 2));
    // Two outputs for each channel.
    check((1, 2, 5, 4), (4, 1, 3, 3), &config((1, 1), (1, 1), Padding::uniform(1), 2));
}

#[test]
fn depthwise() {
    check((2, 3, 5, 7), (3, 1, 3, 3), &config((1, 1), (1, 1), Padding::uniform(1), 3));
    check((1, 18, 9, 6), (18, 1, 3, 3), &config((2, 2), (1, 1), Padding::uniform(1), 18));
    check((1, 2, 7, 12), (2, 1, 5, 5), &config((2, 2), (1, 1), Padding::same((7, 12), (5, 5), (2, 2), (1, 1)), 2));
    check((2, 3, 1, 1), (3, 1, 3, 3), &config((1, 1), (1, 1), Padding::uniform(1), 3));
    check((1, 2, 11, 10), (2, 1, 3, 2), &config((1, 3), (2, 2), ODD, 2));
    check((1, 2, 6, 6), (2, 1, 1, 1), &config((3, 3), (1, 1), Padding::default(), 2));
    // Every width of a step over the channels, with a remainder.
    check((1, 83, 2, 3), (83, 1, 2, 2), &config((1, 1), (1, 1), Padding::uniform(1), 83));
}

#[test]
fn a_tensor_used_twice_collects_both_gradients() {
    let config = config((1, 1), (1, 1), Padding::uniform(1), 1);
    let residual = |t: &[candle_core::Tensor]| {
        let once = conv2d(&t[0], &t[1], None, &config, FIRST)?;
        let twice = conv2d(&once, &t[1], None, &config, FIRST)?;
        Ok((twice + once + &t[0])?)
    };
    check_gradient(&[random((1, 2, 3, 4), 1), random((2, 2, 3, 3), 2)], residual, 1e-6);
    // Input and weight are the same tensor.
    check_gradient(&[random((3, 3, 3, 3), 1)], |t| conv2d(&t[0], &t[0], None, &config, FIRST), 1e-6);
}

#[test]
fn non_contiguous_input_weight_and_gradient() {
    let config = config((1, 1), (1, 1), Padding::uniform(1), 1);
    let inputs = [random((2, 5, 3, 9), 1), random((3, 3, 4, 2), 2)];
    let views = |t: &[candle_core::Tensor]| {
        let x = t[0].narrow(3, 2, 4)?.transpose(1, 2)?;
        let weight = t[1].transpose(0, 3)?.narrow(2, 1, 2)?;
        Ok(conv2d(&x, &weight, None, &config, FIRST)?.transpose(1, 3)?)
    };
    check_gradient(&inputs, views, 1e-7);
}

#[test]
fn constants_get_no_gradient() {
    let constant = random((1, 2, 3, 3), 1);
    let weight = Var::from_tensor(&random((2, 2, 3, 3), 2)).unwrap();
    let y = conv2d(&constant, &weight, None, &Conv2dConfig::default(), FIRST).unwrap();
    let gradients = y.backward().unwrap();
    assert!(gradients.get(&constant).is_none());
    assert!(gradients.get(&weight).is_some());

    let x = Var::from_tensor(&constant).unwrap();
    let frozen = weight.as_detached_tensor();
    let y = conv2d(&x, &frozen, None, &Conv2dConfig::default(), FIRST).unwrap();
    let gradients = y.backward().unwrap();
    assert!(gradients.get(&frozen).is_none());
    assert!(gradients.get(&x).is_some());
}
