//! Pooling.

mod common;

use std::slice::from_ref;

use c2f_ops::{Format, PoolConfig, avg_pool2d, global_avg_pool, max_pool2d};
use candle_core::{DType, Tensor, Var};
use common::{assert_close, check_gradient, device, fixture, random, sum_gradients, values};

const LAST: Format = Format::ChannelsLast;
const FIRST: Format = Format::ChannelsFirst;

fn config(kernel: (usize, usize), stride: (usize, usize), padding: (usize, usize)) -> PoolConfig {
    PoolConfig { kernel, stride, padding }
}

fn configs() -> [PoolConfig; 5] {
    [
        config((2, 2), (2, 2), (0, 0)),
        config((3, 3), (2, 2), (1, 1)),
        config((3, 2), (1, 3), (1, 0)),
        config((2, 3), (3, 2), (1, 1)),
        config((1, 1), (2, 2), (0, 0)),
    ]
}

#[test]
fn gradients_match_differences() {
    for config in configs() {
        for shape in [(2, 5, 7, 3), (1, 4, 3, 1)] {
            let x = random(shape, 1);
            check_gradient(from_ref(&x), |t| max_pool2d(&t[0], &config, LAST), 1e-6);
            check_gradient(from_ref(&x), |t| max_pool2d(&t[0].permute((0, 3, 1, 2))?, &config, FIRST), 1e-6);
            check_gradient(from_ref(&x), |t| max_pool2d(&t[0].transpose(1, 2)?, &config, LAST), 1e-6);
            for count_include_pad in [false, true] {
                check_gradient(from_ref(&x), |t| avg_pool2d(&t[0], &config, count_include_pad, LAST), 1e-6);
                let transposed = |t: &[Tensor]| avg_pool2d(&t[0].transpose(1, 2)?, &config, count_include_pad, LAST);
                check_gradient(from_ref(&x), transposed, 1e-6);
            }
        }
    }
}

#[test]
fn gradients_of_means_match_differences() {
    for shape in [(2, 5, 7, 3), (1, 1, 1, 4), (3, 1, 6, 1)] {
        for format in [FIRST, LAST] {
            check_gradient(&[random(shape, 1)], |t| global_avg_pool(&t[0], format), 1e-6);
        }
    }
}

#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    let config = config((3, 3), (2, 2), (1, 1));
    check_gradient(
        &[random((2, 4, 5, 2), 1)],
        |t| {
            let square = t[0].sqr()?;
            Ok((max_pool2d(&square, &config, LAST)? * avg_pool2d(&square, &config, true, LAST)?)?)
        },
        1e-6,
    );
}

#[test]
fn maps_of_one_pixel() {
    let x = random((2, 1, 1, 3), 1);
    let config = config((3, 3), (2, 2), (1, 1));
    assert_eq!(values(&max_pool2d(&x, &config, LAST).unwrap()), values(&x));
    assert_close("mean", &avg_pool2d(&x, &config, false, LAST).unwrap(), &x, 0.0);
    assert_close("mean", &avg_pool2d(&x, &config, true, LAST).unwrap(), &(&x / 9.0).unwrap(), 1e-15);
    check_gradient(&[x], |t| max_pool2d(&t[0], &config, LAST), 1e-6);
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let expected = fixture("pool");
    let get = |name: &str, what: &str| expected[&format!("{name}.{what}")].clone();
    let x = expected["x"].clone();
    let check = |name: &str, f: &dyn Fn(&Tensor) -> c2f_ops::Result<Tensor>| {
        assert_close(name, &f(&x).unwrap(), &get(name, "y"), 1e-5);
        let dx = sum_gradients(from_ref(&x), |t| Ok((f(&t[0])? * get(name, "direction"))?));
        assert_close(name, &dx[0], &get(name, "dx"), 1e-5);
    };
    for (case, config) in [
        ("332211", config((3, 3), (2, 2), (1, 1))),
        ("231201", config((2, 3), (1, 2), (0, 1))),
        ("223210", config((2, 2), (3, 2), (1, 0))),
    ] {
        check(&format!("max.{case}"), &|x| max_pool2d(x, &config, FIRST));
        check(&format!("avg.{case}"), &|x| avg_pool2d(x, &config, true, FIRST));
        check(&format!("avg_no_pad.{case}"), &|x| avg_pool2d(x, &config, false, FIRST));
    }
    check("global", &|x| global_avg_pool(x, FIRST));
}

#[test]
fn the_first_largest_value_gets_the_gradient_and_nan_wins() {
    let x = Var::new(&[[[[1.0f32], [1.0]], [[0.0], [1.0]]]], &device()).unwrap();
    let config = config((2, 2), (2, 2), (0, 0));
    let gradients = max_pool2d(&x, &config, LAST).unwrap().backward().unwrap();
    assert_eq!(values(gradients.get(&x).unwrap()), [1.0, 0.0, 0.0, 0.0]);
    let x = Tensor::new(&[[[[1.0f32], [f32::NAN]], [[0.0], [1.0]]]], &device()).unwrap();
    assert!(values(&max_pool2d(&x, &config, LAST).unwrap())[0].is_nan());
}

#[test]
fn impossible_windows_are_errors() {
    let x = Tensor::zeros((1, 2, 5, 1), DType::F32, &device()).unwrap();
    for (kernel, stride, padding, says) in [
        ((2, 2), (2, 2), (0, 2), "padding 2 is more than half the kernel 2"),
        ((1, 1), (1, 1), (1, 1), "padding 1 is more than half the kernel 1"),
        ((3, 3), (1, 1), (0, 0), "a window of 3 doesn't fit in 2"),
        ((0, 1), (1, 1), (0, 0), "kernel 0"),
        ((1, 1), (1, 0), (0, 0), "stride 0"),
    ] {
        let error = max_pool2d(&x, &config(kernel, stride, padding), LAST).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert!(avg_pool2d(&x, &config(kernel, stride, padding), true, LAST).is_err());
    }
    assert!(global_avg_pool(&x.narrow(1, 0, 0).unwrap(), LAST).is_err());
}
