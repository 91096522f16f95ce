//! Transforms against Pillow, and what they must keep.

use std::path::Path;

use c2f_data::transform::{center_crop, random_resized_crop, resize};
use c2f_data::{ColorJitter, EvalTransform, Fit, Place, Policy, TrainTransform, Transform, decode_file};
use image::{Rgb, RgbImage};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

fn fixture(name: &str) -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    image::open(path).unwrap().into_rgb8()
}

/// Asserts that two pictures differ by rounding alone: at most 1 anywhere.
fn assert_close(got: &RgbImage, expected: &RgbImage) {
    assert_eq!(got.dimensions(), expected.dimensions());
    let worst = got.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(1), "a channel differs by {worst:?}");
}

/// Planes with neither mean nor deviation, as a picture.
fn as_picture(planes: &[f32], size: u32) -> RgbImage {
    let plane = (size * size) as usize;
    RgbImage::from_fn(size, size, |x, y| {
        let at = (y * size + x) as usize;
        Rgb([0, 1, 2].map(|c| (planes[c * plane + at] * 255.0).round() as u8))
    })
}

const NO_JITTER: ColorJitter = ColorJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0 };

fn train(size: usize, source_size: usize) -> TrainTransform {
    TrainTransform {
        size,
        source_size,
        scale: (0.5, 1.0),
        ratio: (0.75, 4.0 / 3.0),
        mean: [0.0; 3],
        std: [1.0; 3],
        ..TrainTransform::default()
    }
}

fn eval(resize: usize, size: usize, source_size: usize) -> Transform {
    Transform::Eval(EvalTransform {
        resize,
        size,
        source_size,
        mean: [0.0; 3],
        std: [1.0; 3],
        ..EvalTransform::default()
    })
}

#[test]
fn resize_is_pillows() {
    let source = fixture("resize.png");
    for (width, height) in [(20, 20), (90, 70), (61, 16)] {
        assert_close(&resize(&source, width, height), &fixture(&format!("resize_{width}x{height}.expected.png")));
    }
}

#[test]
fn center_crop_is_torchvisions() {
    let source = fixture("resize.png");
    let expected = fixture("center_crop.expected.png");
    assert_close(&center_crop(&source, 32, 24), &expected);
    assert_close(&as_picture(&eval(32, 24, 24).apply(&source, 0, 0, 0).coarse, 24), &expected);
}

#[test]
fn eval_of_a_square_picture_of_its_size_changes_nothing() {
    let square = resize(&fixture("resize.png"), 40, 40);
    let views = eval(40, 40, 40).apply(&square, 0, 0, 0);
    assert_eq!(as_picture(&views.coarse, 40), square);
    assert_eq!(views.source, None);
}

#[test]
fn normalise_makes_planes() {
    let picture = RgbImage::from_fn(2, 2, |x, y| Rgb([255, (x * 255) as u8, (y * 255) as u8]));
    let transform = EvalTransform {
        resize: 2,
        size: 2,
        source_size: 2,
        mean: [0.5, 0.25, 0.0],
        std: [0.5, 0.25, 2.0],
        ..EvalTransform::default()
    };
    let planes = Transform::Eval(transform).apply(&picture, 0, 0, 0).coarse;
    assert_eq!(planes, [1.0, 1.0, 1.0, 1.0, -1.0, 3.0, -1.0, 3.0, 0.0, 0.0, 0.5, 0.5]);
}

#[test]
fn extreme_shapes_give_the_asked_size() {
    for (width, height) in [(1, 1), (1, 5000), (5000, 1), (3, 2), (333, 77)] {
        let picture = RgbImage::from_pixel(width, height, Rgb([9, 99, 199]));
        let jitter = ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 };
        let train = Transform::Train(TrainTransform { jitter, ..train(16, 24) });
        for (transform, id) in [(&eval(20, 16, 24), 0), (&eval(0, 16, 24), 0), (&train, 1), (&train, 2)] {
            let views = transform.apply(&picture, 0, 0, id);
            assert_eq!(views.coarse.len(), 3 * 16 * 16);
            assert_eq!(views.source.map(|s| s.len()), Some(3 * 24 * 24));
            assert!(views.coarse.iter().all(|v| (0.0..=1.0).contains(v)));
        }
    }
    let flat = eval(20, 16, 16).apply(&RgbImage::from_pixel(1, 5000, Rgb([9, 99, 199])), 0, 0, 0).coarse;
    assert_eq!(as_picture(&flat, 16), RgbImage::from_pixel(16, 16, Rgb([9, 99, 199])));
}

#[test]
fn both_views_show_the_same_part() {
    let picture = RgbImage::from_fn(200, 160, |x, y| Rgb([x as u8, y as u8, x.midpoint(y) as u8]));
    for transform in [Transform::Train(train(24, 48)), eval(30, 24, 48)] {
        for id in 0..20 {
            let views = transform.apply(&picture, 3, 1, id);
            let larger = as_picture(&views.source.unwrap(), 48);
            let coarse = as_picture(&views.coarse, 24);
            let difference: u32 =
                resize(&larger, 24, 24).iter().zip(coarse.iter()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
            let mean = f64::from(difference) / f64::from(3 * 24 * 24);
            assert!(mean < 1.0, "mean difference of {mean}");
        }
    }
}

#[test]
fn randomness_is_keyed_by_seed_epoch_and_sample() {
    let picture = fixture("resize.png");
    let transform = Transform::Train(TrainTransform { jitter: ColorJitter { hue: 0.2, ..NO_JITTER }, ..train(12, 12) });
    let first = transform.apply(&picture, 1, 2, 3);
    assert_eq!(transform.apply(&picture, 1, 2, 3), first);
    for (seed, epoch, id) in [(0, 2, 3), (1, 3, 3), (1, 2, 4)] {
        assert_ne!(transform.apply(&picture, seed, epoch, id), first);
    }
}

#[test]
fn crops_keep_to_the_picture_and_to_their_range() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut shares = Vec::new();
    for _ in 0..2000 {
        let crop = random_resized_crop((320, 240), (0.25, 0.75), (0.75, 4.0 / 3.0), &mut rng);
        assert!(crop.left + crop.width <= 320 && crop.top + crop.height <= 240);
        let ratio = f64::from(crop.width) / f64::from(crop.height);
        assert!((0.74..1.35).contains(&ratio), "ratio {ratio}");
        shares.push(f64::from(crop.width * crop.height) / (320.0 * 240.0));
    }
    assert!(shares.iter().all(|s| (0.24..0.76).contains(s)));
    let mean = shares.iter().sum::<f64>() / 2000.0;
    // Uniform in 0.25..0.75: 0.5, with a standard error of 0.003; parts that don't fit are drawn again.
    assert!((0.48..0.51).contains(&mean), "mean share {mean}");
    // No part with a ratio near 1 covers nearly all of a long picture: the largest from the centre.
    let crop = random_resized_crop((1000, 100), (0.9, 1.0), (0.75, 4.0 / 3.0), &mut rng);
    assert_eq!((crop.left, crop.top, crop.width, crop.height), (433, 0, 133, 100));
}

#[test]
fn full_scale_crop_without_flip_is_a_resize() {
    let picture = fixture("resize.png");
    let ratio = 61.0 / 47.0;
    let transform = TrainTransform { scale: (1.0, 1.0), ratio: (ratio, ratio), flip: 0.0, ..train(20, 20) };
    let views = Transform::Train(transform.clone()).apply(&picture, 0, 0, 0);
    assert_close(&as_picture(&views.coarse, 20), &fixture("resize_20x20.expected.png"));
    let flipped = Transform::Train(TrainTransform { flip: 1.0, ..transform }).apply(&picture, 0, 0, 0);
    let mut expected = as_picture(&views.coarse, 20);
    image::imageops::flip_horizontal_in_place(&mut expected);
    assert_eq!(as_picture(&flipped.coarse, 20), expected);
}

/// Decoding, cropping and resizing together: the decoders round differently, but by less than 1/255 on average.
#[test]
fn photographs_look_as_pillow_shows_them() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/natural.jpg");
    let picture = decode_file(&path).unwrap();
    let crop = image::imageops::crop_imm(&picture, 9, 6, 131, 101).to_image();
    for size in [56, 112] {
        let expected = fixture(&format!("natural_{size}.expected.png"));
        let got = resize(&crop, size, size);
        let sum: u32 = got.iter().zip(expected.iter()).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
        let mean = f64::from(sum) / got.len() as f64;
        assert!(mean < 1.0, "mean difference of {mean}");
    }
}

#[test]
fn squashing_and_padding_show_the_whole_picture() {
    let picture = RgbImage::from_fn(40, 20, |x, _| Rgb([if x < 20 { 255 } else { 0 }, 0, 0]));
    let eval = |fit, place| {
        let transform = EvalTransform {
            fit,
            place,
            resize: 8,
            size: 8,
            source_size: 8,
            mean: [0.5; 3],
            std: [1.0; 3],
            ..EvalTransform::default()
        };
        Transform::Eval(transform).apply(&picture, 0, 0, 0).coarse
    };
    let row = |planes: &[f32], y: usize| -> Vec<f32> { planes[8 * y..8 * y + 8].iter().map(|v| v + 0.5).collect() };
    let squashed = eval(Fit::Squash, Place::Center);
    for y in 0..8 {
        assert_eq!((row(&squashed, y)[0], row(&squashed, y)[7]), (1.0, 0.0));
    }
    let padded = eval(Fit::Pad, Place::Center);
    // Half of it is the picture, the rest is the mean colour, 128.
    assert_eq!(row(&padded, 0), [128.0 / 255.0; 8]);
    assert_eq!((row(&padded, 3)[0], row(&padded, 3)[7]), (1.0, 0.0));
    // Where the parts meet, the filter reaches over the edge.
    assert_eq!(row(&eval(Fit::Crop, Place::TopLeft), 3)[..7], [1.0; 7]);
    assert_eq!(row(&eval(Fit::Crop, Place::BottomRight), 3)[1..], [0.0; 7]);

    // In training, a crop of everything is everything, whatever the picture's aspect.
    for fit in [Fit::Squash, Fit::Pad] {
        let transform = TrainTransform { fit, scale: (1.0, 1.0), ratio: (1.0, 1.0), flip: 0.0, ..train(8, 8) };
        let planes = Transform::Train(transform).apply(&picture, 0, 0, 0).coarse;
        assert_eq!((planes[24], planes[31]), (1.0, 0.0), "{fit:?}");
    }
}

#[test]
fn five_crops_are_torchvisions() {
    let source = fixture("resize.png");
    let mut transform = EvalTransform {
        resize: 47,
        size: 24,
        source_size: 24,
        mean: [0.0; 3],
        std: [1.0; 3],
        ..EvalTransform::default()
    };
    for (place, left, top) in
        [(Place::TopLeft, 0, 0), (Place::TopRight, 37, 0), (Place::BottomLeft, 0, 23), (Place::BottomRight, 37, 23)]
    {
        transform.place = place;
        // The shorter side has the size already, so nothing is resized.
        let mut expected = image::imageops::crop_imm(&source, left, top, 24, 24).to_image();
        let views = |t: &EvalTransform| as_picture(&Transform::Eval(t.clone()).apply(&source, 0, 0, 0).coarse, 24);
        assert_eq!(views(&transform), expected, "{place:?}");
        image::imageops::flip_horizontal_in_place(&mut expected);
        assert_eq!(views(&EvalTransform { flip: true, ..transform.clone() }), expected, "{place:?}, mirrored");
    }
}

#[test]
fn augmentations_leave_the_draws_of_others_alone() {
    let picture = fixture("resize.png");
    let plain = train(24, 24);
    let apply = |t: &TrainTransform, id| Transform::Train(t.clone()).apply(&picture, 1, 0, id).coarse;
    let erased = TrainTransform { erase: 1.0, ..plain.clone() };
    for id in 0..10 {
        let (plain, erased) = (apply(&plain, id), apply(&erased, id));
        let changed = plain.iter().zip(&erased).filter(|(a, b)| a != b);
        assert!(changed.clone().count() > 0 && changed.clone().all(|(_, erased)| *erased == 0.0));
    }
    for changed in [
        TrainTransform { rotation: 30.0, ..plain.clone() },
        TrainTransform { policy: Policy::RandAugment { ops: 2, magnitude: 20 }, ..plain.clone() },
        TrainTransform { policy: Policy::TrivialAugment, ..plain.clone() },
    ] {
        let different = (0..20).filter(|&id| apply(&changed, id) != apply(&plain, id)).count();
        assert!(different >= 10, "{different} of 20 pictures differ");
    }
}
