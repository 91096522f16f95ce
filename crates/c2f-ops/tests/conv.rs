//! Values, errors and determinism of the convolution.

mod common;

use c2f_ops::{Conv2dConfig, Error, Format, Padding, conv2d};
use candle_core::{DType, Tensor};
use common::{assert_close, bits, device, fixture, gradients, random, values};
use proptest::prelude::*;

const FIRST: Format = Format::ChannelsFirst;
const LAST: Format = Format::ChannelsLast;

#[test]
fn values_and_gradients_are_pytorchs() {
    let file = fixture("conv");
    let names: Vec<&str> = file.keys().filter_map(|key| key.strip_suffix(".settings")).collect();
    assert_eq!(names.len(), 14);
    for name in names {
        let get = |key: &str| &file[&format!("{name}.{key}")];
        let settings = get("settings").to_vec1::<i64>().unwrap();
        let &[sh, sw, dh, dw, top, bottom, left, right, groups] =
            &*settings.iter().map(|&s| s as usize).collect::<Vec<_>>()
        else {
            panic!("settings of {name}")
        };
        let padding = Padding { top, bottom, left, right };
        let config = Conv2dConfig { stride: (sh, sw), dilation: (dh, dw), padding, groups };
        for format in [FIRST, LAST] {
            let conv = |t: &[Tensor]| format.to_nchw(&conv2d(&t[0], &t[1], Some(&t[2]), &config, format)?);
            let inputs = [format.from_nchw(get("x")).unwrap(), get("weight").clone(), get("bias").clone()];
            assert_close(name, &conv(&inputs).unwrap(), get("y"), 1e-5);
            let [dx, dweight, dbias] = common::sum_gradients(&inputs, |t| Ok((conv(t)? * get("direction"))?))
                .try_into()
                .expect("three gradients");
            assert_close(&format!("{name}.dx"), &format.to_nchw(&dx).unwrap(), get("dx"), 1e-5);
            assert_close(&format!("{name}.dweight"), &dweight, get("dweight"), 1e-5);
            assert_close(&format!("{name}.dbias"), &dbias, get("dbias"), 1e-5);
        }
    }
}

/// The definition, one multiplication at a time, for (B, C, H, W) without bias.
fn definition(x: &Tensor, weight: &Tensor, config: &Conv2dConfig) -> Vec<f64> {
    let ((b, c, h, w), (o, per_group, kh, kw)) = (x.dims4().unwrap(), weight.dims4().unwrap());
    let (x, weight) = (values(x), values(weight));
    let Conv2dConfig { stride, dilation, padding, groups } = *config;
    let oh = (h + padding.top + padding.bottom - dilation.0 * (kh - 1) - 1) / stride.0 + 1;
    let ow = (w + padding.left + padding.right - dilation.1 * (kw - 1) - 1) / stride.1 + 1;
    let mut y = vec![0.0; b * o * oh * ow];
    for (at, y) in y.iter_mut().enumerate() {
        let (ox, oy, out, image) = (at % ow, at / ow % oh, at / (ow * oh) % o, at / (ow * oh * o));
        for tap in 0..per_group * kh * kw {
            let (kx, ky, i) = (tap % kw, tap / kw % kh, tap / (kw * kh));
            let iy = (oy * stride.0 + ky * dilation.0).wrapping_sub(padding.top);
            let ix = (ox * stride.1 + kx * dilation.1).wrapping_sub(padding.left);
            if iy < h && ix < w {
                let channel = out / (o / groups) * per_group + i;
                *y += x[((image * c + channel) * h + iy) * w + ix] * weight[out * per_group * kh * kw + tap];
            }
        }
    }
    y
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Of any geometry, the values are the definition's, and the gradients its transposes: with y = <x, w>,
    /// <y, d> = <x, dx> = <w, dw>.
    #[test]
    fn any_geometry(
        (b, h, w) in (1..3usize, 1..9usize, 1..9usize),
        (kernel, stride, dilation) in ((1..4usize, 1..4usize), (1..4usize, 1..4usize), (1..3usize, 1..3usize)),
        (top, bottom, left, right) in (0..4usize, 0..4usize, 0..4usize, 0..4usize),
        (groups, per_group, out_per_group) in (1..4usize, 1..4usize, 1..4usize),
        seed in 0..1000u64,
    ) {
        let padding = Padding { top, bottom, left, right };
        let config = Conv2dConfig { stride, dilation, padding, groups };
        prop_assume!(h + top + bottom > dilation.0 * (kernel.0 - 1));
        prop_assume!(w + left + right > dilation.1 * (kernel.1 - 1));
        let x = random((b, groups * per_group, h, w), seed);
        let weight = random((groups * out_per_group, per_group, kernel.0, kernel.1), seed + 1);
        let y = conv2d(&x, &weight, None, &config, FIRST).unwrap();
        let d = random(y.shape(), seed + 2);
        for (got, expected) in values(&y).iter().zip(definition(&x, &weight, &config)) {
            prop_assert!((got - expected).abs() < 1e-10);
        }
        let inputs = [x, weight];
        let conv = |t: &[Tensor]| Ok((conv2d(&t[0], &t[1], None, &config, FIRST)? * &d)?);
        let inner = |a: &Tensor, b: &Tensor| values(a).iter().zip(values(b)).map(|(a, b)| a * b).sum::<f64>();
        for (input, gradient) in inputs.iter().zip(common::sum_gradients(&inputs, conv)) {
            prop_assert!((inner(input, &gradient) - inner(&y, &d)).abs() < 1e-9);
        }
    }
}

fn uniform(stride: usize, padding: usize, groups: usize) -> Conv2dConfig {
    Conv2dConfig { stride: (stride, stride), padding: Padding::uniform(padding), groups, ..Conv2dConfig::default() }
}

#[test]
fn values_and_gradients_are_the_same_bits_on_one_two_and_three_threads() {
    // Large enough for several tiles and tasks each.
    let cases = [
        ("pointwise", (3, 23, 31, 130), (150, 130, 1, 1), uniform(1, 0, 1)),
        ("pointwise, few pixels", (1, 5, 5, 600), (700, 600, 1, 1), uniform(1, 0, 1)),
        ("square", (2, 33, 29, 65), (40, 65, 3, 3), uniform(1, 1, 1)),
        ("stride", (2, 33, 29, 33), (40, 33, 3, 3), uniform(2, 1, 1)),
        ("groups", (2, 33, 29, 64), (32, 32, 3, 3), uniform(1, 1, 2)),
        ("depthwise", (2, 33, 29, 83), (83, 1, 5, 5), uniform(2, 2, 83)),
    ];
    for (name, x, weight, config) in cases {
        let inputs = [random(x, 1), random(weight, 2)].map(|t| t.to_dtype(DType::F32).unwrap());
        let conv = |t: &[Tensor]| conv2d(&t[0], &t[1], None, &config, LAST);
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut all = gradients(&inputs, conv);
                all.push(conv(&inputs).unwrap());
                all.iter().map(bits).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        assert!(one == run(2), "{name}: two threads");
        assert!(one == run(3), "{name}: three threads");
    }
}

#[test]
fn same_padding_is_tensorflows() {
    let same = |input, kernel, stride| Padding::same((input, input + 1), (kernel, 1), (stride, 1), (1, 1));
    // 224 / 2 = 112 rows from 3 x 3: one row of zeros in all, below.
    assert_eq!(same(224, 3, 2), Padding { top: 0, bottom: 1, left: 0, right: 0 });
    assert_eq!(same(224, 5, 2), Padding { top: 1, bottom: 2, left: 0, right: 0 });
    assert_eq!(same(7, 3, 2), Padding { top: 1, bottom: 1, left: 0, right: 0 });
    assert_eq!(same(14, 3, 1), Padding { top: 1, bottom: 1, left: 0, right: 0 });
    // A stride beyond the kernel needs none.
    assert_eq!(same(9, 1, 4), Padding::default());
    assert_eq!(Padding::same((9, 9), (3, 3), (1, 1), (2, 2)), Padding::uniform(2));
}

#[test]
fn wrong_arguments_are_errors_that_say_what_is_wrong() {
    let x = random((2, 4, 5, 6), 1);
    let fails = |weight: (usize, usize, usize, usize), config: &Conv2dConfig, words: &str| {
        let error = conv2d(&x, &random(weight, 2), None, config, FIRST).unwrap_err();
        assert!(matches!(error, Error::Shape { .. } | Error::Config { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error} doesn't say {words:?}");
    };
    let plain = Conv2dConfig::default();
    fails((3, 5, 3, 3), &plain, "weight has shape [3, 5, 3, 3], expected (3, 4, 3, 3)");
    fails((4, 1, 3, 3), &uniform(1, 1, 3), "3 groups don't divide 4 input");
    fails((3, 2, 3, 3), &uniform(1, 1, 2), "and 3 output channels");
    fails((4, 4, 3, 3), &uniform(1, 1, 2), "2 groups");
    fails((3, 4, 6, 3), &plain, "height: a kernel of 6");
    fails((3, 4, 3, 4), &Conv2dConfig { dilation: (1, 2), ..plain }, "width: a kernel of 4 with dilation 2");
    fails((3, 4, 3, 3), &Conv2dConfig { stride: (0, 1), ..plain }, "stride (0, 1)");
    fails((3, 4, 3, 3), &Conv2dConfig { dilation: (1, 0), ..plain }, "dilation (1, 0)");
    fails((4, 4, 1, 1), &uniform(1, 0, 0), "groups 0");
    fails((3, 4, 0, 3), &plain, "empty");
    fails((3, 4, 3, 3), &uniform(1, usize::MAX, 1), "padding");

    let weight = random((3, 4, 3, 3), 2);
    let error = conv2d(&x, &weight, Some(&random(4, 3)), &plain, FIRST).unwrap_err();
    assert!(error.to_string().contains("bias has shape [4], expected (3)"), "{error}");
    assert!(matches!(conv2d(&random((4, 5, 6), 1), &weight, None, &plain, FIRST), Err(Error::Shape { .. })));
    assert!(matches!(conv2d(&x, &random((3, 4), 1), None, &plain, FIRST), Err(Error::Shape { .. })));
    let f32s = weight.to_dtype(DType::F32).unwrap();
    let error = conv2d(&x, &f32s, None, &plain, FIRST).unwrap_err();
    assert!(error.to_string().contains("F64 and F32"), "{error}");
    let empty = Tensor::zeros((0, 4, 5, 6), DType::F64, &device()).unwrap();
    assert!(matches!(conv2d(&empty, &weight, None, &plain, FIRST), Err(Error::Config { .. })));
}
