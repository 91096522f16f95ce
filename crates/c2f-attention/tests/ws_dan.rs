//! Attention crop and drop against hand-computed cases.

mod common;

use c2f_attention::ws_dan;
use candle_core::{DType, Tensor};
use common::{assert_close, random, values};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// 5 x 5, with a peak of 1 at row 1, column 3, and 0.5 to the left of it.
fn peak() -> Tensor {
    let mut map = [[0f32; 5]; 5];
    map[1][3] = 1.0;
    map[1][2] = 0.5;
    Tensor::new(&[[map]], &common::device()).unwrap()
}

fn assert_boxes(got: &[[f32; 4]], expected: &[[f32; 4]]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
        assert!((got - expected).abs() < 1e-6, "got {got}, expected {expected}");
    }
}

#[test]
fn boxes_enclose_what_exceeds_the_threshold() {
    // At the map's own size, so that resizing changes nothing.
    let boxes = |threshold, padding| ws_dan::crop_boxes(&peak(), (5, 5), &[threshold], padding).unwrap();
    assert_boxes(&boxes(0.6, 0.0), &[[0.6, 0.2, 0.8, 0.4]]);
    assert_boxes(&boxes(0.5, 0.0), &[[0.4, 0.2, 0.8, 0.4]]);
    assert_boxes(&boxes(0.6, 0.1), &[[0.5, 0.1, 0.9, 0.5]]);
    assert_boxes(&boxes(0.6, 0.3), &[[0.3, 0.0, 1.0, 0.7]]);
}

#[test]
fn boxes_are_found_at_the_size_of_the_picture() {
    // Corners in place: of 9 x 9 pixels, the peak is at (2, 6), its neighbours at 0.5 above and below and at 0.75 left.
    let boxes = ws_dan::crop_boxes(&peak(), (9, 9), &[0.6], 0.0).unwrap();
    assert_boxes(&boxes, &[[5.0 / 9.0, 2.0 / 9.0, 7.0 / 9.0, 3.0 / 9.0]]);
}

#[test]
fn each_picture_has_its_own_threshold_and_maximum() {
    let maps = Tensor::cat(&[peak(), peak().affine(3.0, 0.0).unwrap()], 0).unwrap();
    let boxes = ws_dan::crop_boxes(&maps, (5, 5), &[0.5, 0.6], 0.0).unwrap();
    assert_boxes(&boxes, &[[0.4, 0.2, 0.8, 0.4], [0.6, 0.2, 0.8, 0.4]]);
}

#[test]
fn a_map_of_zeros_crops_nothing_and_drops_nothing() {
    let map = Tensor::zeros((1, 1, 3, 3), DType::F32, &common::device()).unwrap();
    assert_boxes(&ws_dan::crop_boxes(&map, (6, 6), &[0.5], 0.1).unwrap(), &[[0.0, 0.0, 1.0, 1.0]]);
    let picture = random((1, 3, 6, 6), 1);
    assert_eq!(values(&ws_dan::drop(&picture, &map, &[0.5]).unwrap()), values(&picture));
}

#[test]
fn crop_samples_the_box_at_the_asked_size() {
    let picture = random((1, 2, 10, 10), 1);
    let expected = picture.narrow(2, 2, 4).unwrap().narrow(3, 5, 5).unwrap();
    let crop = ws_dan::crop(&picture, &[[0.5, 0.2, 1.0, 0.6]], (4, 5)).unwrap();
    assert_close("crop", &crop, &expected, 1e-6);
}

#[test]
fn drop_zeroes_what_exceeds_the_threshold() {
    let picture = random((1, 2, 5, 5), 1).affine(0.1, 1.0).unwrap();
    let dropped = values(&ws_dan::drop(&picture, &peak(), &[0.4]).unwrap());
    for (index, (got, original)) in dropped.iter().zip(values(&picture)).enumerate() {
        let place = index % 25;
        let expected = if [7, 8].contains(&place) { 0.0 } else { original };
        assert_eq!(*got, expected, "place {place}");
    }
}

#[test]
fn maps_are_drawn_by_the_root_of_their_sum() {
    // Sums 4, 0 and 16 over four places: roots 2, 0 and 4.
    let attention =
        Tensor::new(&[[[[1f32, 1.0], [1.0, 1.0]], [[0.0; 2]; 2], [[4.0; 2]; 2]]], &common::device()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut counts = [0; 3];
    for _ in 0..6000 {
        counts[ws_dan::draw_maps(&attention, &mut rng).unwrap()[0]] += 1;
    }
    assert_eq!(counts[1], 0);
    // The standard deviation of the count is 37.
    assert!((f64::from(counts[0]) - 2000.0).abs() < 150.0, "{counts:?}");
}

#[test]
fn draws_depend_on_the_seed_only() {
    let attention = random((8, 6, 3, 3), 1).abs().unwrap();
    let draw = |seed| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        ws_dan::draw_maps(&attention, &mut rng).unwrap()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

#[test]
fn selected_and_mean_maps_are_of_their_picture() {
    let attention = random((2, 3, 2, 2), 1);
    let selected = ws_dan::select_maps(&attention, &[2, 0]).unwrap();
    let all = values(&attention);
    assert_eq!(selected.dims(), [2, 1, 2, 2]);
    assert_eq!(values(&selected), [&all[8..12], &all[12..16]].concat());
    let mean = values(&ws_dan::mean_map(&attention).unwrap());
    assert!((mean[5] - (all[13] + all[17] + all[21]) / 3.0).abs() < 1e-12);
}

#[test]
fn says_what_does_not_fit() {
    assert!(ws_dan::crop_boxes(&peak(), (5, 5), &[], 0.1).unwrap_err().to_string().contains("a batch of 0"));
    ws_dan::select_maps(&random((2, 3, 2, 2), 1), &[0, 3]).unwrap_err();
    ws_dan::select_maps(&random((2, 3, 2, 2), 1), &[0]).unwrap_err();
}
