//! Batch normalisation with the activation that follows it.

use c2f_ops::{Format, batch_norm_eval, batch_norm_train, relu6};
use candle_core::{DType, Tensor};

use crate::host::{on_host, put};
use crate::launch::{self, Machine, Norm};
use crate::{Real, assert_near, numbers, on_cpu};

const EPS: f64 = 1e-3;
const FIRST: Format = Format::ChannelsFirst;

/// (B, C, H, W): two values of a channel, odd sizes, maps of one pixel, of as many as a block has threads, and parts.
const SHAPES: [(usize, usize, usize, usize); 5] =
    [(2, 1, 1, 1), (3, 5, 7, 6), (300, 3, 1, 1), (2, 2, 16, 16), (2, 3, 64, 65)];

/// Whose moments, and whether an activation follows.
const CASES: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

fn norms<T: Real>() {
    for (shape, (from_batch, limited)) in SHAPES.iter().flat_map(|&shape| CASES.map(|case| (shape, case))) {
        let channels = shape.1;
        let x = (numbers::<T>(shape, 2.0, 1) + 0.7).unwrap();
        let gamma = (numbers::<T>(channels, 1.0, 2) + 1.5).unwrap();
        let (beta, mean) = (numbers::<T>(channels, 1.0, 3), numbers::<T>(channels, 1.0, 4));
        let var = (numbers::<T>(channels, 1.0, 5) + 1.5).unwrap();
        let activation = |y: Tensor| if limited { relu6(&y) } else { Ok(y) };
        let (y, gradients, g) = on_cpu::<T>(&[&x, &gamma, &beta], |t| {
            if from_batch {
                return activation(batch_norm_train(&t[0], &t[1], &t[2], EPS, FIRST)?.0);
            }
            let [mean, var] = [&mean, &var].map(|x| x.to_dtype(DType::F64));
            activation(batch_norm_eval(&t[0], &t[1], &t[2], &mean?, &var?, EPS, FIRST)?)
        });
        let (low, high) = if limited { (0.0, 6.0) } else { (f64::NEG_INFINITY, f64::INFINITY) };
        let norm = Norm { channels, pixels: shape.2 * shape.3, eps: EPS, low, high };
        let got = on_host::<T>(|m| {
            let (x, g) = (put(&x)?, put(&g)?);
            let (gamma, beta) = (put(&gamma)?, put(&beta)?);
            let (mean, var) = (put(&mean)?, put(&var)?);
            let (x, g, gamma, beta) = (m.input(&x), m.input(&g), m.input(&gamma), m.input(&beta));
            let (mean, var) = (m.input(&mean), m.input(&var));
            let given = (!from_batch).then_some((&mean, &var));
            let done = launch::normalise::<_, T>(m, &x, (&gamma, &beta), given, norm)?;
            let found = done.moments.as_ref().map(|(mean, _)| m.input(mean));
            let moments = (found.as_ref().unwrap_or(&mean), &m.input(&done.rstd));
            let (dx, affine) =
                launch::normalise_gradient(m, (&x, &g), moments, (&gamma, &beta), norm, from_batch, (true, true))?;
            let (dgamma, dbeta) = affine.unwrap();
            Ok(vec![done.y.clone(), dx.unwrap(), dgamma, dbeta])
        });
        let Some(got) = got else { return };
        assert_near("y", &got[0], &y);
        for (got, (expected, name)) in got[1..].iter().zip(gradients.iter().zip(["dx", "dgamma", "dbeta"])) {
            assert_near(&format!("{name} of {shape:?}, {from_batch} {limited}"), got, expected);
        }
    }
}

#[test]
fn batch_norm_and_activation_are_the_cpus() {
    norms::<f32>();
    norms::<f64>();
}

#[test]
fn only_what_is_wanted_is_computed_and_is_the_same() {
    let (x, g) = (numbers::<f32>((2, 3, 5, 4), 2.0, 1), numbers::<f32>((2, 3, 5, 4), 1.0, 2));
    let affine = numbers::<f32>(3, 1.0, 3);
    let norm = Norm { channels: 3, pixels: 20, eps: EPS, low: 0.0, high: f64::INFINITY };
    let got = on_host::<f32>(|m| {
        let (x, g, affine) = (put(&x)?, put(&g)?, put(&affine)?);
        let (x, g, affine) = (m.input(&x), m.input(&g), m.input(&affine));
        let done = launch::normalise::<_, f32>(m, &x, (&affine, &affine), None, norm)?;
        let (mean, _) = done.moments.unwrap();
        let moments = (&m.input(&mean), &m.input(&done.rstd));
        let run = |from_batch, wanted| {
            launch::normalise_gradient(m, (&x, &g), moments, (&affine, &affine), norm, from_batch, wanted)
        };
        let (all, maps, vectors) = (run(true, (true, true))?, run(true, (true, false))?, run(true, (false, true))?);
        assert_eq!(all.0, maps.0);
        assert!(vectors.0.is_none());
        assert_eq!(all.1, vectors.1);
        let constant = run(false, (true, false))?;
        assert!(constant.1.is_none());
        Ok(vec![all.0.unwrap(), constant.0.unwrap()])
    });
    assert!(got.is_none_or(|got| got[0] != got[1]));
}

#[test]
fn statistics_survive_a_large_mean() {
    let shifted = (numbers::<f32>((64, 3, 8, 9), 1.0, 1) + 1000.0).unwrap();
    let one = Tensor::ones(3, DType::F32, shifted.device()).unwrap();
    let [x, exact_one] = [&shifted, &one].map(|x| x.to_dtype(DType::F64).unwrap());
    let (_, stats) = batch_norm_train(&x, &exact_one, &exact_one, EPS, FIRST).unwrap();
    let norm = Norm { channels: 3, pixels: 72, eps: EPS, low: f64::NEG_INFINITY, high: f64::INFINITY };
    let got = on_host::<f32>(|m| {
        let (x, one) = (put(&shifted)?, put(&one)?);
        let done = launch::normalise::<_, f32>(m, &m.input(&x), (&m.input(&one), &m.input(&one)), None, norm)?;
        let (mean, var) = done.moments.unwrap();
        Ok(vec![mean, var])
    });
    let Some(got) = got else { return };
    // To half a unit in the last place.
    assert_near("mean", &got[0].iter().map(|mean| mean / 1000.0).collect::<Vec<_>>(), &(stats.mean / 1000.0).unwrap());
    assert_near("var", &got[1], &stats.var);
}
