//! Results don't depend on the number of threads.

mod common;

use c2f_ops::{
    Format, GridPadding, PoolConfig, Result, avg_pool2d, batch_norm_train, gelu, global_avg_pool, grid_sample,
    layer_norm, max_pool2d, relu6, resize_bilinear, softmax,
};
use candle_core::{DType, Tensor};
use common::{bits, gradients, random};

const LAST: Format = Format::ChannelsLast;

#[test]
fn values_and_gradients_are_the_same_bits_on_one_two_and_three_threads() {
    let f32s = |shape: &[usize], seed| random(shape, seed).to_dtype(DType::F32).unwrap();
    let x = f32s(&[5, 37, 29, 19], 1);
    let (gamma, beta, grid) = (f32s(&[19], 2), f32s(&[19], 3), f32s(&[5, 21, 33, 2], 4));
    let (tokens, scale, shift) = (f32s(&[7, 301, 53], 1), f32s(&[53], 2), f32s(&[53], 3));
    let windows = PoolConfig { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
    type Case<'a> = (&'a str, Vec<Tensor>, Box<dyn Fn(&[Tensor]) -> Result<Tensor> + Sync>);
    let cases: Vec<Case> = vec![
        ("relu6", vec![x.clone()], Box::new(|t| relu6(&t[0]))),
        (
            "batch_norm",
            vec![x.clone(), gamma, beta],
            Box::new(|t| Ok(batch_norm_train(&t[0], &t[1], &t[2], 1e-3, LAST)?.0)),
        ),
        ("max_pool2d", vec![x.clone()], Box::new(move |t| max_pool2d(&t[0], &windows, LAST))),
        ("avg_pool2d", vec![x.clone()], Box::new(move |t| avg_pool2d(&t[0], &windows, true, LAST))),
        ("global_avg_pool", vec![x.clone()], Box::new(|t| global_avg_pool(&t[0], LAST))),
        ("resize", vec![x.clone()], Box::new(|t| resize_bilinear(&t[0], (50, 41), false, LAST))),
        ("gelu", vec![tokens.clone()], Box::new(|t| gelu(&t[0]))),
        ("softmax", vec![tokens.clone()], Box::new(|t| softmax(&t[0]))),
        ("layer_norm", vec![tokens, scale, shift], Box::new(|t| layer_norm(&t[0], &t[1], &t[2], 1e-6))),
        ("grid_sample", vec![x, grid], Box::new(|t| grid_sample(&t[0], &t[1], GridPadding::Zeros, false, LAST))),
    ];
    for (name, inputs, f) in &cases {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut all = gradients(inputs, f);
                all.push(f(inputs).unwrap());
                all.iter().map(bits).collect::<Vec<_>>()
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3), "{name} depends on the number of threads");
    }
}
