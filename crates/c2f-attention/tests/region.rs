//! Boxes of region maps and the sampling of boxes.

mod common;

use c2f_attention::{MIN_BOX, Region, RegionMode, Sampling, region_boxes};
use candle_core::{DType, Tensor, Var};
use common::{assert_close, random, values};

fn tensor(values: Vec<f64>, h: usize, w: usize) -> Tensor {
    Tensor::from_vec(values, (1, 1, h, w), &common::device()).unwrap()
}

/// A map with one pixel at 1.
fn pixel(h: usize, w: usize, y: usize, x: usize) -> Tensor {
    let mut values = vec![0.0; h * w];
    values[y * w + x] = 1.0;
    tensor(values, h, w)
}

#[test]
fn a_uniform_map_has_its_borders_at_the_square_root_of_three() {
    // The variance of n uniform cells is (1 - 1/n^2) / 12.
    let n = 64.0f64;
    let boxes = region_boxes(&tensor(vec![0.7; 64 * 64], 64, 64), 1.2).unwrap();
    let half = 1.2 * ((1.0 - 1.0 / (n * n)) / 12.0).sqrt();
    let expected = Tensor::new(&[[0.5 - half, 0.5 - half, 0.5 + half, 0.5 + half]], &common::device()).unwrap();
    assert_close("boxes", &boxes, &expected, 1e-9);
    let boxes = region_boxes(&tensor(vec![0.7; 64 * 64], 64, 64), 1.74).unwrap();
    assert_eq!(values(&boxes), [0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn boxes_follow_the_axes() {
    // Right half of the top row, of 2 x 4 cells: mean (0.75, 0.25), standard deviation (0.125, 0).
    let mut map = vec![0.0; 8];
    (map[2], map[3]) = (1.0, 1.0);
    let boxes = values(&region_boxes(&tensor(map, 2, 4), 1.0).unwrap());
    for (got, expected) in boxes.iter().zip([0.625, 0.2, 0.875, 0.3]) {
        assert!((got - expected).abs() < 1e-4, "{boxes:?}");
    }
}

#[test]
fn boxes_stay_in_the_picture_and_keep_their_least_size() {
    let mut maps = vec![tensor(vec![0.0; 48], 6, 8), tensor(vec![1.0; 48], 6, 8)];
    maps.extend((0..6).flat_map(|y| (0..8).map(move |x| pixel(6, 8, y, x))));
    maps.extend((0..50).map(|seed| random((1, 1, 6, 8), seed).powf(8.0).unwrap()));
    for zoom_std in [0.01, 1.0, 3.0, 100.0] {
        for map in &maps {
            for dtype in [DType::F32, DType::F64] {
                let boxes = values(&region_boxes(&map.to_dtype(dtype).unwrap(), zoom_std).unwrap());
                assert!(boxes.iter().all(|value| (0.0..=1.0).contains(value)), "{boxes:?}");
                for axis in 0..2 {
                    assert!(boxes[axis + 2] - boxes[axis] >= MIN_BOX - 1e-6, "{boxes:?}");
                }
            }
        }
    }
}

#[test]
fn box_of_a_zero_map_has_a_finite_gradient() {
    let map = Var::zeros((1, 1, 4, 4), DType::F32, &common::device()).unwrap();
    let gradients = region_boxes(&map, 1.2).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(values(gradients.get(&map).unwrap()).iter().all(|value| value.is_finite()));
}

#[test]
fn the_whole_picture_at_its_own_size_is_the_picture() {
    let picture = random((2, 3, 5, 7), 1);
    let whole = Tensor::new(&[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]], &common::device()).unwrap();
    assert_close("sampled", &Sampling::Boxes(whole).sample(&picture, (5, 7)).unwrap(), &picture, 1e-12);
}

#[test]
fn a_box_of_whole_pixels_is_a_crop() {
    let picture = random((1, 2, 8, 10), 1);
    let boxes = Tensor::new(&[[0.2, 0.25, 0.7, 0.75]], &common::device()).unwrap();
    let crop = picture.narrow(2, 2, 4).unwrap().narrow(3, 2, 5).unwrap();
    assert_close("sampled", &Sampling::Boxes(boxes).sample(&picture, (4, 5)).unwrap(), &crop, 1e-12);
}

#[test]
fn a_region_keeps_its_box_or_the_mean_of_its_mask() {
    let map = tensor(vec![0.2, 0.4, 0.6, 0.8], 2, 2);
    let mask = Region::new(map, RegionMode::Mask, 1.0).unwrap();
    assert_close("area", &mask.area().unwrap(), &Tensor::new(&[0.5], &common::device()).unwrap(), 1e-12);
    let boxes = Tensor::new(&[[0.25, 0.5, 0.75, 0.6]], &common::device()).unwrap();
    let zoom = mask.with_boxes(boxes);
    assert_close("area", &zoom.area().unwrap(), &Tensor::new(&[0.05], &common::device()).unwrap(), 1e-12);
}

#[test]
fn detail_is_kept_where_the_map_is_at_its_maximum() {
    let region = Region::new(tensor(vec![0.2, 0.4, 0.3, 0.1], 2, 2), RegionMode::Detail, 1.0).unwrap();
    let detail = region.detail.as_ref().unwrap();
    assert_close("detail", detail, &tensor(vec![0.5, 1.0, 0.75, 0.25], 2, 2), 1e-5);
    // Not that of the box.
    assert_close("area", &region.area().unwrap(), &Tensor::new(&[0.625], &common::device()).unwrap(), 1e-5);
    let bright = Region::new(tensor(vec![0.4, 0.8, 0.6, 0.2], 2, 2), RegionMode::Detail, 1.0).unwrap();
    assert_close("brighter", bright.detail.as_ref().unwrap(), detail, 1e-5);
}

#[test]
fn say_what_does_not_fit() {
    assert!(region_boxes(&random((1, 2, 3, 3), 0), 1.0).unwrap_err().to_string().contains("(B, 1, H, W)"));
    let error = Sampling::Boxes(random((1, 4), 0)).sample(&random((2, 3, 4, 4), 0), (4, 4)).unwrap_err();
    assert!(error.to_string().contains("(2, 4, 4, 2)"), "{error}");
    let error = Sampling::Boxes(random((2, 3), 0)).sample(&random((2, 3, 4, 4), 0), (4, 4)).unwrap_err();
    assert!(error.to_string().contains("(B, 4)"), "{error}");
    let error = Sampling::Warp(random((2, 3, 8, 8), 0)).grid((4, 4)).unwrap_err();
    assert!(error.to_string().contains("(B, 1, H, W)"), "{error}");
}
