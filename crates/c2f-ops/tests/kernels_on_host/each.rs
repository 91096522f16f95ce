//! Operations that go value by value.

use c2f_ops::{Result, gelu, relu, relu6};
use candle_core::Tensor;

use crate::host::{on_host, put};
use crate::launch::{self, Machine};
use crate::{Real, assert_near, numbers, on_cpu};

/// One value, less than a block, whole blocks, and more.
const SIZES: [usize; 5] = [1, 5, 256, 1024, 2049];

/// Random values, and those at which something changes.
fn values<T: Real>(len: usize) -> Tensor {
    let special = [0.0, -0.0, 6.0, -6.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 7.0];
    let special = Tensor::new(&special, &candle_core::Device::Cpu).unwrap().to_dtype(T::DTYPE).unwrap();
    Tensor::cat(&[&special, &numbers::<T>(len, 8.0, 1)], 0).unwrap().narrow(0, 8 - len.min(8), len).unwrap()
}

fn relus<T: Real>() {
    type Operation = fn(&Tensor) -> Result<Tensor>;
    let operations: [(f64, Operation); 2] = [(f64::INFINITY, relu), (6.0, relu6)];
    for (len, (high, operation)) in SIZES.iter().flat_map(|&len| operations.map(|operation| (len, operation))) {
        let x = values::<T>(len);
        let (y, dx, g) = on_cpu::<T>(&[&x], |t| operation(&t[0]));
        let got = on_host::<T>(|m| {
            let (x, g) = (put(&x)?, put(&g)?);
            let y = launch::limited::<_, T>(m, &m.input(&x), 0.0, high)?;
            let dx = launch::limited_gradient(m, &m.input(&y), &m.input(&g), 0.0, high)?;
            Ok(vec![y, dx])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        assert_near("dx", &got[1], &dx[0]);
    }
}

fn sums<T: Real>() {
    for len in SIZES {
        let (a, b) = (values::<T>(len), numbers::<T>(len, 8.0, 2));
        let (y, ..) = on_cpu::<T>(&[&a, &b], |t| relu6(&(&t[0] + &t[1])?));
        let got = on_host::<T>(|m| {
            let (a, b) = (put(&a)?, put(&b)?);
            Ok(vec![launch::add_limited::<_, T>(m, &m.input(&a), &m.input(&b), 0.0, 6.0)?])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
    }
}

fn gelus<T: Real>() {
    for len in SIZES {
        let x = numbers::<T>(len, 8.0, 1);
        let (y, dx, g) = on_cpu::<T>(&[&x], |t| gelu(&t[0]));
        let got = on_host::<T>(|m| {
            let (x, g) = (put(&x)?, put(&g)?);
            let x = m.input(&x);
            Ok(vec![launch::gelu::<_, T>(m, &x)?, launch::gelu_gradient(m, &x, &m.input(&g))?])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        assert_near("dx", &got[1], &dx[0]);
    }
}

#[test]
fn activations_are_the_cpus() {
    relus::<f32>();
    relus::<f64>();
    sums::<f32>();
    sums::<f64>();
    gelus::<f32>();
    gelus::<f64>();
}

#[test]
fn inputs_of_different_sizes_are_errors() {
    let got = on_host::<f32>(|m| {
        let (a, b) = (m.upload(&[1.0f32, 2.0])?, m.upload(&[1.0f32])?);
        let error = launch::add_limited(m, &m.input(&a), &m.input(&b), 0.0, 6.0).unwrap_err();
        assert!(error.to_string().contains("1 values instead of 2"), "{error}");
        Ok(Vec::new())
    });
    assert!(got.is_none_or(|got| got.is_empty()));
}
