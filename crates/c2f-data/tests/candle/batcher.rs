//! The loader's pictures in candle's `Batcher`.

use c2f_data::candle::candle_datasets::Batcher;
use c2f_data::{EvalTransform, Loader, LoaderConfig, Sample, Transform};
use candle_core::{Device, Tensor};
use image::{Rgb, RgbImage};

fn loader(samples: Vec<Sample>, config: LoaderConfig) -> Loader {
    let transform =
        EvalTransform { resize: 2, size: 2, source_size: 2, mean: [0.0; 3], std: [1.0; 3], ..EvalTransform::default() };
    Loader::new(samples.into(), Transform::Eval(transform), config)
}

/// A sample whose red is 51 times its number.
fn sample(number: u8) -> Sample {
    Sample::of_picture(number.to_string(), number.into(), RgbImage::from_pixel(2, 2, Rgb([51 * number, 0, 0])))
}

fn gone(number: u8) -> Sample {
    Sample::of_closure(number.to_string(), number.into(), || Err("is gone"))
}

/// The labels of a batch, whose pictures have to be those of the labels.
fn labels((images, labels): (Tensor, Tensor)) -> Vec<u32> {
    let labels = labels.to_vec1::<u32>().unwrap();
    assert_eq!(images.dims(), [labels.len(), 3, 2, 2]);
    for (index, label) in labels.iter().enumerate() {
        let [red, green, _] = images.get(index).unwrap().to_vec3::<f32>().unwrap().try_into().unwrap();
        assert_eq!((red, green), (vec![vec![*label as f32 / 5.0; 2]; 2], vec![vec![0.0; 2]; 2]));
    }
    labels
}

#[test]
fn batches_are_of_the_loaders_order_and_of_the_batchers_size() {
    let config = LoaderConfig { batch_size: 4, shuffle: true, ..LoaderConfig::default() };
    let loader = loader((0..6).map(|number| sample(number % 5)).collect(), config);
    let expected: Vec<u32> = loader.epoch(3, 0).flat_map(|batch| batch.unwrap().labels).collect();
    let pairs = || loader.pairs(3, &Device::Cpu);
    let batcher = Batcher::new_r2(pairs()).batch_size(5).return_last_incomplete_batch(true);
    let batches: Vec<Vec<u32>> = batcher.map(|batch| labels(batch.unwrap())).collect();
    assert_eq!(batches, [&expected[..5], &expected[5..]]);
    // candle's own way is to leave the last one out, and `new2` takes pairs that are none of a result.
    let pairs = pairs().map(Result::unwrap);
    let batches: Vec<Vec<u32>> = Batcher::new2(pairs).batch_size(5).map(|batch| labels(batch.unwrap())).collect();
    assert_eq!(batches, [&expected[..5]]);
}

#[test]
fn unreadable_pictures_are_left_out_up_to_the_limit() {
    let samples = vec![gone(0), gone(1), sample(2), gone(3), sample(4)];
    let config = LoaderConfig { batch_size: 2, max_unreadable: 0.6, ..LoaderConfig::default() };
    let pairs = loader(samples, config).pairs(0, &Device::Cpu);
    let batches: Vec<Vec<u32>> = Batcher::new_r2(pairs).batch_size(2).map(|batch| labels(batch.unwrap())).collect();
    assert_eq!(batches, [[2, 4]]);
}

#[test]
fn no_error_gets_lost() {
    for batch_size in 1..=5 {
        // The last picture is the one too many.
        let samples = (0..4).map(sample).chain([gone(4)]).collect();
        let pairs = loader(samples, LoaderConfig { batch_size: 1, ..LoaderConfig::default() }).pairs(0, &Device::Cpu);
        let errors: Vec<String> =
            Batcher::new_r2(pairs).batch_size(batch_size).filter_map(|b| Some(b.err()?.to_string())).collect();
        assert!(!errors.is_empty() && errors.len() <= 6, "{batch_size}: {errors:?}");
        assert!(errors[0].contains("1 of the 5 pictures can't be read") && errors[0].contains("4: is gone"));
    }
}
