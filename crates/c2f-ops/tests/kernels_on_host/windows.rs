//! Max pooling and depthwise convolution.

use c2f_ops::{Conv2dConfig, Format, Padding, PoolConfig, conv2d, max_pool2d};
use candle_core::Tensor;

use crate::host::{on_host, put};
use crate::launch::{self, Axis, Machine, Windows};
use crate::{Real, assert_near, numbers, on_cpu};

const FIRST: Format = Format::ChannelsFirst;

/// The windows of a kernel on an axis with these zeros before and after it.
fn axis(input: usize, kernel: usize, stride: usize, dilation: usize, zeros: (usize, usize)) -> Axis {
    let output = (input + zeros.0 + zeros.1 - dilation * (kernel - 1) - 1) / stride + 1;
    Axis { kernel, stride, dilation, padding: zeros.0, input, output }
}

fn pools<T: Real>() {
    let cases = [
        ((1, 1, 1, 1), (1, 1), (1, 1), (0, 0)),
        ((2, 3, 1, 1), (3, 3), (2, 2), (1, 1)),
        ((2, 3, 7, 5), (3, 3), (2, 2), (1, 1)),
        ((1, 2, 9, 8), (3, 2), (1, 3), (1, 0)),
        ((1, 2, 5, 9), (2, 3), (3, 2), (1, 1)),
        // Windows of more places than a byte counts to.
        ((1, 1, 40, 40), (17, 18), (5, 4), (8, 9)),
        ((3, 2, 33, 31), (2, 2), (2, 2), (0, 0)),
    ];
    for ((shape, kernel, stride, padding), ties) in cases.iter().flat_map(|&case| [(case, false), (case, true)]) {
        let mut x = numbers::<T>(shape, 4.0, 1);
        if ties {
            // -0, 0 and few other values.
            x = (x / 2.0).unwrap().round().unwrap();
        }
        let (y, dx, g) = on_cpu::<T>(&[&x], |t| max_pool2d(&t[0], &PoolConfig { kernel, stride, padding }, FIRST));
        let windows = Windows {
            rows: axis(shape.2, kernel.0, stride.0, 1, (padding.0, padding.0)),
            columns: axis(shape.3, kernel.1, stride.1, 1, (padding.1, padding.1)),
        };
        let got = on_host::<T>(|m| {
            let (x, g) = (put(&x)?, put(&g)?);
            let (y, winners) = launch::max_pool::<_, T>(m, &m.input(&x), &windows)?;
            let dx = launch::max_pool_gradient(m, &m.input(&winners), &m.input(&g), &windows)?;
            Ok(vec![y, dx])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        assert_near(&format!("dx of {shape:?} {kernel:?}"), &got[1], &dx[0]);
    }
}

fn depthwises<T: Real>() {
    let odd = Padding { top: 0, bottom: 1, left: 2, right: 1 };
    let cases = [
        ((1, 2, 1, 1), (1, 1), (1, 1), (1, 1), Padding::default()),
        ((2, 3, 7, 6), (5, 5), (2, 2), (1, 1), Padding::uniform(2)),
        ((1, 3, 9, 8), (3, 3), (2, 3), (2, 1), odd),
        // More taps in a row than a block adds up, and more outputs than a part.
        ((1, 2, 12, 20), (1, 9), (1, 1), (1, 2), Padding::symmetric(0, 8)),
        ((2, 3, 70, 66), (7, 7), (1, 1), (1, 1), Padding::uniform(3)),
    ];
    for (shape, kernel, stride, dilation, padding) in cases {
        let channels = shape.1;
        let (x, weight) = (numbers::<T>(shape, 1.0, 1), numbers::<T>((channels, 1, kernel.0, kernel.1), 1.0, 2));
        let config = Conv2dConfig { stride, dilation, padding, groups: channels };
        let (y, gradients, g) = on_cpu::<T>(&[&x, &weight], |t| conv2d(&t[0], &t[1], None, &config, FIRST));
        let windows = Windows {
            rows: axis(shape.2, kernel.0, stride.0, dilation.0, (padding.top, padding.bottom)),
            columns: axis(shape.3, kernel.1, stride.1, dilation.1, (padding.left, padding.right)),
        };
        let got = on_host::<T>(|m| {
            let (x, weight, g) = (put(&x)?, put(&weight)?, put(&g)?);
            let (x, weight, g) = (m.input(&x), m.input(&weight), m.input(&g));
            Ok(vec![
                launch::depthwise::<_, T>(m, &x, &weight, channels, &windows)?,
                launch::depthwise_input(m, &g, &weight, channels, &windows)?,
                launch::depthwise_weight(m, &x, &g, channels, &windows)?,
            ])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        assert_near("dx", &got[1], &gradients[0]);
        assert_near("dweight", &got[2], &gradients[1]);
    }
}

#[test]
fn max_pooling_is_the_cpus() {
    pools::<f32>();
    pools::<f64>();
}

#[test]
fn nan_wins_and_the_last_of_several_as_on_the_cpu() {
    let mut x = vec![1.0f32; 36];
    (x[7], x[8], x[22]) = (f32::NAN, f32::NAN, f32::INFINITY);
    let x = Tensor::from_vec(x, (1, 1, 6, 6), &candle_core::Device::Cpu).unwrap();
    let config = PoolConfig { kernel: (3, 3), stride: (1, 1), padding: (1, 1) };
    let (y, dx, g) = on_cpu::<f32>(&[&x], |t| max_pool2d(&t[0], &config, FIRST));
    let windows = Windows { rows: axis(6, 3, 1, 1, (1, 1)), columns: axis(6, 3, 1, 1, (1, 1)) };
    let got = on_host::<f32>(|m| {
        let (x, g) = (put(&x)?, put(&g)?);
        let (y, winners) = launch::max_pool::<_, f32>(m, &m.input(&x), &windows)?;
        let dx = launch::max_pool_gradient(m, &m.input(&winners), &m.input(&g), &windows)?;
        Ok(vec![y, dx])
    });
    let Some(got) = got else { return };
    assert_near("y", &got[0], &y);
    assert_near("dx", &got[1], &dx[0]);
}

#[test]
fn depthwise_convolution_is_the_cpus() {
    depthwises::<f32>();
    depthwises::<f64>();
}
