//! Batch normalisation.

mod common;

use std::slice::from_ref;

use c2f_ops::{Format, batch_norm_eval, batch_norm_train};
use candle_core::{DType, Tensor};
use common::{assert_close, check_gradient, device, fixture, gradients, random, values};

const EPS: f64 = 1e-3;
const LAST: Format = Format::ChannelsLast;
const FIRST: Format = Format::ChannelsFirst;

/// x (B, H, W, C), gamma, beta
fn inputs(shape: (usize, usize, usize, usize)) -> [Tensor; 3] {
    let x = (random(shape, 1) * 2.0).unwrap();
    [(x + 0.7).unwrap(), (random(shape.3, 2) + 1.5).unwrap(), random(shape.3, 3)]
}

#[test]
fn gradients_match_differences() {
    for shape in [(3, 5, 3, 4), (1, 4, 3, 2), (4, 1, 1, 3), (2, 1, 1, 1)] {
        check_gradient(&inputs(shape), |t| Ok(batch_norm_train(&t[0], &t[1], &t[2], EPS, LAST)?.0), 1e-6);
        let (mean, var) = (random(shape.3, 4), (random(shape.3, 5) + 1.5).unwrap());
        check_gradient(&inputs(shape), |t| batch_norm_eval(&t[0], &t[1], &t[2], &mean, &var, EPS, LAST), 1e-6);
    }
}

#[test]
fn gradients_of_other_layouts_match_differences() {
    let [x, gamma, beta] = inputs((2, 3, 5, 4));
    let channels_first = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
    check_gradient(
        &[channels_first, gamma.clone(), beta.clone()],
        |t| Ok(batch_norm_train(&t[0], &t[1], &t[2], EPS, FIRST)?.0),
        1e-6,
    );
    check_gradient(
        &[x, gamma, beta],
        |t| Ok(batch_norm_train(&t[0].transpose(1, 2)?, &t[1], &t[2], EPS, LAST)?.0),
        1e-6,
    );
}

#[test]
fn arguments_used_twice_or_computed_get_their_whole_gradient() {
    check_gradient(
        &inputs((2, 3, 3, 2)),
        |t| {
            let gamma = t[1].affine(2.0, 0.1)?;
            let (y, _) = batch_norm_train(&t[0].sqr()?, &gamma, &t[2], EPS, LAST)?;
            Ok(batch_norm_train(&(y + &t[0])?, &gamma, &t[2].sqr()?, EPS, LAST)?.0)
        },
        1e-6,
    );
}

#[test]
fn constant_arguments_get_no_gradient() {
    let [x, gamma, beta] = inputs((2, 3, 3, 2));
    let all = gradients(&[x.clone(), gamma.clone(), beta.clone()], |t| {
        Ok(batch_norm_train(&t[0], &t[1], &t[2], EPS, LAST)?.0)
    });
    let only_x = gradients(from_ref(&x), |t| Ok(batch_norm_train(&t[0], &gamma, &beta, EPS, LAST)?.0));
    let only_beta = gradients(from_ref(&beta), |t| Ok(batch_norm_train(&x, &gamma, &t[0], EPS, LAST)?.0));
    assert_eq!(values(&all[0]), values(&only_x[0]));
    assert_eq!(values(&all[2]), values(&only_beta[0]));
}

#[test]
fn values_and_gradients_are_pytorchs() {
    let expected = fixture("batch_norm");
    let get = |name: &str| expected[name].clone();
    let inputs = [get("x"), get("gamma"), get("beta")];
    let project = |y: Tensor| Ok((y * get("direction"))?);
    for mode in ["train", "eval"] {
        let run = |t: &[Tensor]| match mode {
            "train" => Ok(batch_norm_train(&t[0], &t[1], &t[2], EPS, FIRST)?.0),
            _ => batch_norm_eval(&t[0], &t[1], &t[2], &get("mean"), &get("var"), EPS, FIRST),
        };
        assert_close(mode, &run(&inputs).unwrap(), &get(&format!("{mode}.y")), 1e-5);
        let got = common::sum_gradients(&inputs, |t| project(run(t)?));
        for (got, name) in got.iter().zip(["dx", "dgamma", "dbeta"]) {
            assert_close(&format!("{mode} {name}"), got, &get(&format!("{mode}.{name}")), 1e-5);
        }
    }
}

#[test]
fn statistics_survive_a_large_mean() {
    let x = random((64, 8, 8, 3), 1);
    let shifted = (x.to_dtype(DType::F32).unwrap() + 1000.0).unwrap();
    // What is left of the values after rounding them to f32.
    let exact = (shifted.to_dtype(DType::F64).unwrap() - 1000.0).unwrap().reshape(((), 3)).unwrap();
    let one = Tensor::ones(3, DType::F32, &device()).unwrap();
    let (_, stats) = batch_norm_train(&shifted, &one, &one, EPS, LAST).unwrap();
    assert_eq!(stats.count, 64 * 64);
    assert_close("var", &stats.var, &(exact.var(0).unwrap() * (4095.0 / 4096.0)).unwrap(), 1e-5);
    assert_close("mean", &stats.mean, &(exact.mean(0).unwrap() + 1000.0).unwrap(), 1e-7);
}

#[test]
fn wrong_shapes_are_errors() {
    let [x, gamma, beta] = inputs((2, 3, 3, 2));
    let error = batch_norm_train(&x, &random(3, 0), &beta, EPS, LAST).unwrap_err();
    assert!(error.to_string().contains("gamma has shape [3], expected [2]"), "{error}");
    assert!(batch_norm_train(&x.get(0).unwrap(), &gamma, &beta, EPS, LAST).is_err());
    assert!(batch_norm_train(&x.narrow(0, 0, 0).unwrap(), &gamma, &beta, EPS, LAST).is_err());
}
