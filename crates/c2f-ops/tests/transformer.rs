//! GELU, softmax, layer normalisation, attention and fully connected layers.

mod common;

use c2f_ops::nn::{Init, Linear, Params, Pass};
use c2f_ops::{Result, gelu, layer_norm, linear, scaled_dot_product_attention, softmax};
use candle_core::{DType, Tensor};
use common::{assert_close, check_gradient, device, fixture, random, sum_gradients, values};

type Operation = fn(&[Tensor]) -> Result<Tensor>;

const OPERATIONS: [(&str, usize, Operation); 4] = [
    ("gelu", 1, |t| gelu(&t[0])),
    ("softmax", 1, |t| softmax(&t[0])),
    ("layer_norm", 3, |t| layer_norm(&t[0], &t[1], &t[2], 1e-6)),
    ("attention", 3, |t| scaled_dot_product_attention(&t[0], &t[1], &t[2])),
];

#[test]
fn values_and_gradients_are_pytorchs() {
    let expected = fixture("transformer");
    for (name, count, operation) in OPERATIONS {
        for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F64, 1e-6)] {
            let get = |what: String| expected[&format!("{name}.{what}")].to_dtype(dtype).unwrap();
            let inputs: Vec<_> = (0..count).map(|i| get(format!("x{i}"))).collect();
            assert_close(name, &operation(&inputs).unwrap(), &get("y".into()), tolerance);
            let gradients = sum_gradients(&inputs, |t| Ok((operation(t)? * get("direction".into()))?));
            for (i, gradient) in gradients.iter().enumerate() {
                assert_close(&format!("{name} {i}"), gradient, &get(format!("dx{i}")), tolerance);
            }
        }
    }
}

#[test]
fn gradients_match_differences() {
    check_gradient(&[(random((3, 4, 5), 1) * 4.0).unwrap()], |t| gelu(&t[0].transpose(0, 2)?), 1e-6);
    check_gradient(&[(random((3, 4, 5), 1) * 4.0).unwrap()], |t| softmax(&t[0].transpose(0, 2)?), 1e-6);
    // More channels than a register has lanes, and a tail.
    let layer = [random((3, 2, 37), 1), random(37, 2), random(37, 3)];
    check_gradient(&layer, |t| layer_norm(&t[0], &t[1], &t[2], 1e-3), 1e-6);
    check_gradient(&[random((37, 3), 1)], |t| layer_norm(&t[0].t()?, &layer[1], &layer[2], 1e-3), 1e-6);
    let heads = [random((2, 3, 4), 1), random((2, 5, 4), 2), random((2, 5, 3), 3)];
    check_gradient(&heads, |t| scaled_dot_product_attention(&t[0], &t[1], &t[2]), 1e-6);
}

#[test]
fn a_linear_layer_is_a_product_of_rows_whatever_their_axes() {
    let (weight, bias) = (random((7, 5), 2), random(7, 3));
    for shape in [vec![6, 5], vec![2, 3, 5], vec![2, 1, 3, 5]] {
        let x = random(shape.clone(), 1);
        let expected = x.reshape((6, 5)).unwrap().matmul(&weight.t().unwrap()).unwrap();
        let plain = linear(&x, &weight, None).unwrap();
        assert_eq!(plain.dims(), [&shape[..shape.len() - 1], &[7]].concat());
        assert_close("product", &plain.reshape((6, 7)).unwrap(), &expected, 1e-12);
        check_gradient(&[x.clone(), weight.clone()], |t| linear(&t[0], &t[1], None), 1e-6);
        check_gradient(&[x, weight.clone(), bias.clone()], |t| linear(&t[0], &t[1], Some(&t[2])), 1e-6);
    }
    let error = linear(&random((2, 3, 4), 1), &weight, None).unwrap_err();
    assert!(error.to_string().contains("(.., 5)"), "{error}");
}

#[test]
fn a_scaled_linear_layer_scales_its_outputs() {
    let params = Params::new(&device(), DType::F64, 1);
    let layer = Linear::new(&params, 5, 7, true, Init::TORCH).unwrap();
    params.get("bias").unwrap().var.set(&random(7, 4)).unwrap();
    let (x, scale) = (random((2, 3, 5), 1), random(7, 3));
    let expected = layer.run(&x, &Pass::train()).unwrap().broadcast_mul(&scale).unwrap();
    assert_close("scaled", &layer.run_scaled(&x, &scale, &Pass::train()).unwrap(), &expected, 1e-12);
    check_gradient(&[x, scale], |t| layer.run_scaled(&t[0], &t[1], &Pass::train()), 1e-6);
}

#[test]
fn extreme_values_stay_finite_and_nan_stays_nan() {
    let x = Tensor::new(&[-1e30f32, -20.0, 0.0, 20.0, 1e30], &device()).unwrap();
    assert_eq!(values(&gelu(&x).unwrap())[2..], [0.0, 20.0, f64::from(1e30f32)]);
    assert!(values(&gelu(&x).unwrap())[..2].iter().all(|y| y.abs() < 1e-6));
    assert_eq!(values(&softmax(&x).unwrap())[4], 1.0);
    assert!(values(&softmax(&x).unwrap())[..4].iter().all(|y| y.abs() < 1e-37));
    let nan = Tensor::new(&[1.0f32, f32::NAN], &device()).unwrap();
    assert!(values(&gelu(&nan).unwrap())[1].is_nan());
    assert!(values(&softmax(&nan).unwrap()).iter().all(|y| y.is_nan()));
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let x = random((2, 5), 1);
    let error = layer_norm(&x, &random(4, 1), &random(5, 1), 1e-6).unwrap_err();
    assert!(error.to_string().contains("gamma"), "{error}");
    let nothing = random(0, 1);
    let error = layer_norm(&random((2, 0), 1), &nothing, &nothing, 1e-6).unwrap_err();
    assert!(error.to_string().contains("[2, 0]"), "{error}");
    assert!(softmax(&random((), 1)).is_err());
    assert!(softmax(&Tensor::zeros((2, 0), DType::F32, &device()).unwrap()).is_err());
    assert!(scaled_dot_product_attention(&x, &random((2, 4), 1), &x).is_err());
}
