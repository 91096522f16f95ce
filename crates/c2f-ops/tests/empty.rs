//! Tensors without values, such as a batch without pictures: every operation refuses them, and says which tensor it is.

mod common;

use c2f_ops::{
    Conv2dConfig, Format, GridPadding, Maps, PoolConfig, Result, affine_grid, avg_pool2d, batch_norm_eval,
    batch_norm_train, conv2d, gelu, global_avg_pool, grid_sample, layer_norm, linear, max_pool2d, relu, relu6,
    resize_bicubic, resize_bilinear, scaled_dot_product_attention, softmax,
};
use candle_core::Tensor;
use common::random;

const POOL: PoolConfig = PoolConfig { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };

type Operation = fn(&[Tensor], Format) -> Result<Tensor>;

/// Every operation, and the shapes of its tensors where a batch has two pictures: first those with a batch, then others.
#[allow(clippy::type_complexity)]
const OPERATIONS: [(&str, &[&[usize]], &[&[usize]], Operation); 20] = [
    ("conv2d", &[&[2, 4, 6, 4]], &[&[3, 4, 3, 3]], |t, format| {
        conv2d(&t[0], &t[1], None, &Conv2dConfig::default(), format)
    }),
    ("batch_norm_train", &[&[2, 4, 6, 4]], &[&[4], &[4]], |t, format| {
        Ok(batch_norm_train(&t[0], &t[1], &t[2], 1e-3, format)?.0)
    }),
    ("batch_norm_eval", &[&[2, 4, 6, 4]], &[&[4], &[4], &[4]], |t, format| {
        batch_norm_eval(&t[0], &t[1], &t[2], &t[3], &t[3].sqr()?, 1e-3, format)
    }),
    ("max_pool2d", &[&[2, 4, 6, 4]], &[], |t, format| max_pool2d(&t[0], &POOL, format)),
    ("avg_pool2d", &[&[2, 4, 6, 4]], &[], |t, format| avg_pool2d(&t[0], &POOL, false, format)),
    ("global_avg_pool", &[&[2, 4, 6, 4]], &[], |t, format| global_avg_pool(&t[0], format)),
    ("resize_bilinear", &[&[2, 4, 6, 4]], &[], |t, format| resize_bilinear(&t[0], (3, 7), true, format)),
    ("resize_bicubic", &[&[2, 4, 6, 4]], &[], |t, format| resize_bicubic(&t[0], (3, 7), format)),
    ("grid_sample", &[&[2, 4, 6, 4], &[2, 2, 3, 2]], &[], |t, format| {
        grid_sample(&t[0], &t[1], GridPadding::Zeros, false, format)
    }),
    ("Maps", &[&[2, 4, 6, 4]], &[], |t, format| Maps::new(&t[0], format)?.to_tensor(format)),
    ("Maps::concat", &[&[2, 4, 6, 4]], &[], |t, format| {
        Maps::concat(&[Maps::new(&t[0], format)?, Maps::new(&t[0], format)?])?.to_tensor(format)
    }),
    ("affine_grid", &[&[2, 2, 3]], &[], |t, _| affine_grid(&t[0], (5, 6), false)),
    ("relu", &[&[2, 3, 4]], &[], |t, _| relu(&t[0])),
    ("relu6", &[&[2, 3, 4]], &[], |t, _| relu6(&t[0])),
    ("gelu", &[&[2, 3, 4]], &[], |t, _| gelu(&t[0])),
    ("softmax", &[&[2, 3, 4]], &[], |t, _| softmax(&t[0])),
    ("layer_norm", &[&[2, 3, 4]], &[&[4], &[4]], |t, _| layer_norm(&t[0], &t[1], &t[2], 1e-6)),
    ("attention", &[&[2, 3, 4], &[2, 5, 4], &[2, 5, 2]], &[], |t, _| scaled_dot_product_attention(&t[0], &t[1], &t[2])),
    ("linear of tokens", &[&[2, 3, 4]], &[&[7, 4]], |t, _| linear(&t[0], &t[1], None)),
    ("linear of rows", &[&[2, 4]], &[&[7, 4]], |t, _| linear(&t[0], &t[1], None)),
];

#[test]
fn a_batch_without_pictures_is_an_error_of_every_operation() {
    for (name, batch, others, operation) in OPERATIONS {
        for format in [Format::ChannelsFirst, Format::ChannelsLast] {
            let with = |pictures: usize| -> Vec<Tensor> {
                let batch = batch.iter().map(|shape| [&[pictures], &shape[1..]].concat());
                batch.chain(others.iter().map(|shape| shape.to_vec())).map(|shape| random(shape, 1)).collect()
            };
            operation(&with(1), format).unwrap_or_else(|error| panic!("{name}: {error}"));
            let Err(error) = operation(&with(0), format) else { panic!("{name} takes a batch without pictures") };
            assert!(error.to_string().contains('0'), "{name}: {error}");
        }
    }
}

/// Whatever dimension it is that is 0.
#[test]
fn no_operation_panics_on_a_tensor_without_values() {
    for (name, batch, others, operation) in OPERATIONS {
        for format in [Format::ChannelsFirst, Format::ChannelsLast] {
            let shapes: Vec<Vec<usize>> = batch.iter().chain(others).map(|shape| shape.to_vec()).collect();
            for tensor in 0..shapes.len() {
                for axis in 0..shapes[tensor].len() {
                    let mut shapes = shapes.clone();
                    shapes[tensor][axis] = 0;
                    let inputs: Vec<_> = shapes.iter().map(|shape| random(shape.clone(), 1)).collect();
                    assert!(operation(&inputs, format).is_err(), "{name} takes {shapes:?}");
                }
            }
        }
    }
}
