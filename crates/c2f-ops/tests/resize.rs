//! Bilinear and bicubic resizing.

mod common;

use std::slice::from_ref;

use c2f_ops::{Format, resize_bicubic, resize_bilinear};
use candle_core::Tensor;
use common::{assert_close, check_gradient, fixture, random, sum_gradients, values};

const LAST: Format = Format::ChannelsLast;
const FIRST: Format = Format::ChannelsFirst;

#[test]
fn gradients_match_differences() {
    for shape in [(2, 5, 3, 2), (1, 1, 1, 3), (1, 1, 4, 1)] {
        for size in [(1, 1), (3, 7), (10, 2)] {
            for align_corners in [false, true] {
                for format in [FIRST, LAST] {
                    let x = random(shape, 1);
                    check_gradient(from_ref(&x), |t| resize_bilinear(&t[0], size, align_corners, format), 1e-6);
                    let transposed =
                        |t: &[Tensor]| resize_bilinear(&t[0].transpose(1, 3)?, size, align_corners, format);
                    check_gradient(&[x], transposed, 1e-6);
                }
            }
        }
    }
}

#[test]
fn a_tensor_used_twice_gets_both_gradients() {
    check_gradient(
        &[random((1, 3, 2, 2), 1)],
        |t| {
            let square = t[0].sqr()?;
            Ok((resize_bilinear(&square, (4, 4), true, LAST)? * resize_bilinear(&square, (4, 4), false, LAST)?)?)
        },
        1e-6,
    );
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let expected = fixture("resize");
    let x = expected["x"].clone();
    for size in [(9, 8), (3, 2), (1, 1), (1, 7), (5, 4), (12, 3)] {
        for align_corners in [false, true] {
            let name = format!("{}x{}.{align_corners}", size.0, size.1);
            let get = |what: &str| expected[&format!("{name}.{what}")].clone();
            assert_close(&name, &resize_bilinear(&x, size, align_corners, FIRST).unwrap(), &get("y"), 1e-5);
            let dx = sum_gradients(from_ref(&x), |t| {
                Ok((resize_bilinear(&t[0], size, align_corners, FIRST)? * get("direction"))?)
            });
            assert_close(&name, &dx[0], &get("dx"), 1e-5);
        }
    }
}

#[test]
fn bicubic_values_and_gradients_are_pytorchs() {
    let expected = fixture("resize");
    let x = expected["x"].clone();
    for size in [(9, 8), (3, 2), (1, 7), (12, 3)] {
        let get = |what: &str| expected[&format!("{}x{}.bicubic.{what}", size.0, size.1)].clone();
        assert_close("y", &resize_bicubic(&x, size, FIRST).unwrap(), &get("y"), 1e-5);
        let dx = sum_gradients(from_ref(&x), |t| Ok((resize_bicubic(&t[0], size, FIRST)? * get("direction"))?));
        assert_close("dx", &dx[0], &get("dx"), 1e-5);
        check_gradient(&[random((1, 4, 3, 2), 1)], |t| resize_bicubic(&t[0], size, LAST), 1e-6);
    }
}

#[test]
fn the_same_size_changes_nothing() {
    let x = random((2, 5, 7, 3), 1);
    for align_corners in [false, true] {
        assert_eq!(values(&resize_bilinear(&x, (5, 7), align_corners, LAST).unwrap()), values(&x));
    }
    assert_eq!(values(&resize_bicubic(&x, (5, 7), LAST).unwrap()), values(&x));
}

#[test]
fn empty_sizes_are_errors() {
    let error = resize_bilinear(&random((1, 3, 4, 1), 1), (0, 2), false, LAST).unwrap_err();
    assert!(error.to_string().contains("can't resize 3 x 4 to 0 x 2"), "{error}");
    assert!(resize_bilinear(&random((3, 4), 1), (2, 2), false, LAST).is_err());
}
