//! Resizing and sampling.

use c2f_ops::{Format, GridPadding, grid_sample, resize_bilinear};
use candle_core::Tensor;

use crate::host::{on_host, put};
use crate::launch::{self, Machine, Sampler};
use crate::{Real, assert_near, numbers, on_cpu, on_cpu_in};

const FIRST: Format = Format::ChannelsFirst;

type Outputs = Vec<Vec<(usize, f64)>>;

/// The taps of PyTorch's bilinear resize along an axis, and of its gradient.
fn taps(inputs: usize, outputs: usize) -> (Outputs, Outputs) {
    let (mut forward, mut backward) = (vec![Vec::new(); outputs], vec![Vec::new(); inputs]);
    for (output, taps) in forward.iter_mut().enumerate() {
        let position = ((output as f64 + 0.5) * inputs as f64 / outputs as f64 - 0.5).clamp(0.0, (inputs - 1) as f64);
        let low = position.floor();
        for (input, weight) in [(low as usize, 1.0 - (position - low)), (low as usize + 1, position - low)] {
            if weight != 0.0 {
                taps.push((input, weight));
                backward[input].push((output, weight));
            }
        }
    }
    (forward, backward)
}

fn resizes<T: Real>(typed: fn(f64) -> T) {
    for (shape, size) in
        [((1, 1, 1, 1), (1, 1)), ((2, 3, 5, 4), (9, 7)), ((2, 3, 9, 40), (4, 3)), ((1, 2, 1, 6), (31, 30))]
    {
        let x = numbers::<T>(shape, 1.0, 1);
        let (y, dx, g) = on_cpu::<T>(&[&x], |t| resize_bilinear(&t[0], size, false, FIRST));
        let ((rows, d_rows), (columns, d_columns)) = (taps(shape.2, size.0), taps(shape.3, size.1));
        let got = on_host::<T>(|m| {
            let (x, g) = (put(&x)?, put(&g)?);
            Ok(vec![
                launch::separable(m, &m.input(&x), (shape.2, &rows), (shape.3, &columns), typed)?,
                launch::separable(m, &m.input(&g), (size.0, &d_rows), (size.1, &d_columns), typed)?,
            ])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        assert_near("dx", &got[1], &dx[0]);
    }
}

fn samples<T: Real>() {
    let far = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e30, -1e30, 1.0, -1.0, 0.0, 1.2, -1.2];
    let far: Vec<f64> = far.iter().flat_map(|&a| far.iter().flat_map(move |&b| [a, b])).collect();
    let far = Tensor::from_vec(far, (1, 10, 10, 2), &candle_core::Device::Cpu).unwrap().to_dtype(T::DTYPE).unwrap();
    let cases = [
        ((1, 1, 1, 1), numbers::<T>((1, 1, 1, 2), 1.0, 2)),
        ((2, 3, 5, 3), numbers::<T>((2, 4, 7, 2), 1.5, 2)),
        // More pixels and more values than a block has threads.
        ((2, 3, 20, 17), numbers::<T>((2, 24, 19, 2), 1.2, 2)),
        ((1, 2, 3, 4), far),
    ];
    let settings = [GridPadding::Zeros, GridPadding::Border].map(|padding| [(padding, false), (padding, true)]);
    for ((shape, grid), (padding, corners)) in
        cases.iter().flat_map(|case| settings.as_flattened().iter().map(move |&setting| (case, setting)))
    {
        let (_, channels, height, width) = *shape;
        let x = numbers::<T>(*shape, 1.0, 1);
        // In the same type: how far apart two pixels' weights are depends on how a place among them is rounded.
        let sample = |t: &[Tensor]| grid_sample(&t[0], &t[1], padding, corners, FIRST);
        let (y, gradients, g) = on_cpu_in::<T>(T::DTYPE, &[&x, grid], sample);
        let pixels = |size: usize| {
            let size = size as f64;
            if corners { ((size - 1.0) / 2.0, (size - 1.0) / 2.0) } else { (size / 2.0, (size - 1.0) / 2.0) }
        };
        let points = grid.elem_count() / 2 / shape.0;
        let border = padding == GridPadding::Border;
        let sampler = Sampler { channels, height, width, points, x: pixels(width), y: pixels(height), border };
        let got = on_host::<T>(|m| {
            let (x, grid, g) = (put(&x)?, put(grid)?, put(&g)?);
            let (x, grid, g) = (m.input(&x), m.input(&grid), m.input(&g));
            let y = launch::grid_sample::<_, T>(m, &x, &grid, &sampler)?;
            let (dx, dgrid) = launch::grid_sample_gradients(m, &x, &grid, &g, &sampler, (true, true))?;
            let only = launch::grid_sample_gradients(m, &x, &grid, &g, &sampler, (false, true))?;
            assert!(only.0.is_none());
            assert!(only.1 == dgrid);
            Ok(vec![y, dx.unwrap(), dgrid.unwrap()])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        assert_near("dx", &got[1], &gradients[0]);
        assert_near("dgrid", &got[2], &gradients[1]);
    }
}

#[test]
fn resizing_is_the_cpus() {
    resizes::<f32>(|value| value as f32);
    resizes::<f64>(|value| value);
}

#[test]
fn sampling_is_the_cpus() {
    samples::<f32>();
    samples::<f64>();
}

#[test]
fn a_tap_outside_of_the_map_is_an_error() {
    let got = on_host::<f32>(|m| {
        let x = m.upload(&[1.0f32; 6])?;
        let taps = vec![vec![(3, 1.0)]];
        let error = launch::separable(m, &m.input(&x), (2, &taps), (3, &taps), |w| w as f32).unwrap_err();
        assert!(error.to_string().contains("input 3 of 2"), "{error}");
        Ok(Vec::new())
    });
    assert!(got.is_none_or(|got| got.is_empty()));
}
