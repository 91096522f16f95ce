//! Tensors to pictures and back.

use c2f_data::candle::candle_datasets::vision;
use c2f_data::candle::tensors;
use c2f_data::{Dataset, Sample, decode};
use candle_core::{DType, Device, Tensor};
use image::{Rgb, RgbImage};

/// Pictures `images`, all of which are also those for testing, with the labels 0, 1, 0 and so on.
pub fn vision(images: &Tensor) -> vision::Dataset {
    let count = images.dim(0).unwrap() as u32;
    let labels = (0..count).map(|index| (index % 2) as u8).collect();
    let labels = Tensor::from_vec(labels, count as usize, &Device::Cpu).unwrap();
    vision::Dataset {
        train_images: images.clone(),
        train_labels: labels.clone(),
        test_images: images.clone(),
        test_labels: labels,
        labels: 2,
    }
}

fn message(dataset: &vision::Dataset) -> String {
    Dataset::from_candle("set", dataset).unwrap_err().to_string()
}

/// (2, 3, 4, 5): the value is the index.
fn counting() -> Tensor {
    Tensor::arange(0u8, 120, &Device::Cpu).unwrap().reshape((2, 3, 4, 5)).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn each_value_arrives_at_its_row_column_and_channel() {
    let bytes = counting();
    let units = (bytes.to_dtype(DType::F32).unwrap() / 255.0).unwrap();
    for images in [&bytes, &units, &units.transpose(2, 3).unwrap().contiguous().unwrap().transpose(2, 3).unwrap()] {
        let dataset = Dataset::from_candle("set", &vision(images)).unwrap();
        assert_eq!((dataset.name.as_str(), &dataset.classes[..]), ("set", &["0".to_owned(), "1".to_owned()][..]));
        let [_, second] = dataset.split("test").unwrap() else { panic!("there are two") };
        assert_eq!((&*second.file, second.label), ("test/000001", 1));
        let pixel = |x, y| Rgb([0, 1, 2].map(|channel| (60 + 20 * channel + 5 * y + x) as u8));
        assert_eq!(decode(second).unwrap(), RgbImage::from_fn(5, 4, pixel));
    }
}

#[test]
fn pictures_without_colour_are_grey() {
    let flat = Tensor::arange(0u8, 18, &Device::Cpu).unwrap().reshape((2, 9)).unwrap();
    for images in [flat.reshape((2, 1, 3, 3)).unwrap(), flat] {
        let dataset = Dataset::from_candle("set", &vision(&images)).unwrap();
        let expected = RgbImage::from_fn(3, 3, |x, y| Rgb([(9 + 3 * y + x) as u8; 3]));
        assert_eq!(decode(&dataset.splits["train"][1]).unwrap(), expected);
    }
}

#[test]
fn there_and_back_changes_no_bit() {
    let bytes: Vec<u8> = (0..2 * 3 * 16 * 16).map(|index| (index % 256) as u8).collect();
    let bytes = Tensor::from_vec(bytes, (2, 3, 16, 16), &Device::Cpu).unwrap();
    let units = (bytes.to_dtype(DType::F32).unwrap() / 255.0).unwrap();
    let back = Dataset::from_candle("set", &vision(&units)).unwrap().to_candle(16).unwrap();
    assert_eq!((back.labels, back.train_images.dims()), (2, &[2, 3, 16, 16][..]));
    assert_eq!(values(&back.train_images), values(&units));
    assert_eq!(values(&back.test_images), values(&units));
    assert_eq!(back.test_labels.to_vec1::<u32>().unwrap(), [0, 1]);
}

#[test]
fn pictures_of_other_sizes_are_squashed() {
    // Bright below: what is cut off at the sides would be missed as little, what is cut off above wouldn't.
    let picture = RgbImage::from_fn(8, 32, |_, y| Rgb([if y < 16 { 0 } else { 255 }; 3]));
    let (images, labels) = tensors(&[Sample::of_picture("a", 3, picture)], 4).unwrap();
    let column = images.get(0).unwrap().get(2).unwrap().get_on_dim(1, 1).unwrap().to_vec1::<f32>().unwrap();
    assert!(column[0] == 0.0 && column[1] < 0.2 && column[2] > 0.8 && column[3] == 1.0, "{column:?}");
    assert_eq!(labels.to_vec1::<u32>().unwrap(), [3]);
}

#[test]
fn names_what_is_wrong() {
    let good = vision(&counting());
    let images = |images: Tensor| vision::Dataset { train_images: images, ..vision(&counting()) };
    let labels = |labels: Tensor| vision::Dataset { test_labels: labels, ..vision(&counting()) };
    let of = |shape: &[usize], kind| Tensor::zeros(shape, kind, &Device::Cpu).unwrap();
    for shape in [&[2, 4, 4, 5][..], &[2, 3, 4], &[2, 8], &[2, 3, 0, 5], &[2, 0], &[]] {
        let message = message(&images(of(shape, DType::U8)));
        assert!(message.starts_with(&format!("set: train_images: has the shape {shape:?}, expected (N,")), "{message}");
    }
    assert!(message(&images(of(&[2, 9], DType::F64))).contains("train_images: has the type f64, expected u8 or f32"));
    let shifted = (counting().to_dtype(DType::F32).unwrap() - 1.0).unwrap();
    assert_eq!(message(&images(shifted)), "set: train_images: holds -1, expected 0 to 1");
    let nan = Tensor::full(f32::NAN, (2, 9), &Device::Cpu).unwrap();
    assert_eq!(message(&images(nan)), "set: train_images: holds NaN, expected 0 to 1");
    assert!(message(&labels(of(&[3], DType::U8))).contains("set: test_labels: has the shape [3] of u8, expected [2]"));
    assert!(message(&labels(of(&[2], DType::F32))).contains("expected [2] of whole numbers"));
    let negative = Tensor::new(&[0i64, -1], &Device::Cpu).unwrap();
    assert_eq!(message(&labels(negative)), "set: test_labels: holds -1, expected a number from 0 up");
    let many = vision::Dataset { labels: 1, ..good };
    assert!(message(&many).contains("test/000001 has the label 1, expected less than 1"));
}

#[test]
fn what_can_not_become_tensors_is_named() {
    let good = Sample::of_picture("good", 0, RgbImage::new(2, 2));
    let gone = Sample::of_closure("row 7", 0, || Err("isn't in the database"));
    let message = |samples: &[Sample], side| tensors(samples, side).unwrap_err().to_string();
    assert!(message(&[good.clone(), gone], 2).contains("row 7: isn't in the database"));
    assert!(message(std::slice::from_ref(&good), 0).contains("expected at least one picture of one pixel"));
    assert!(message(&[], 2).contains("0 pictures of 2 x 2 pixels"));
    let train_only = Dataset::of_samples("mine", vec!["a".to_owned()], [("train", vec![good])]).unwrap();
    let error = train_only.to_candle(2).err().unwrap().to_string();
    assert!(error.contains("mine") && error.contains("has no split `test`"), "{error}");
    let ours: candle_core::Error = c2f_data::decode_file(std::path::Path::new("not there.png")).unwrap_err().into();
    assert!(ours.to_string().starts_with("not there.png: "), "{ours}");
}
