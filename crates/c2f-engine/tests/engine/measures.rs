//! What is measured beyond accuracy, on networks whose maps can be looked at.

use std::path::Path;

use c2f_data::{BoundingBox, Point, Sample, Source};
use c2f_engine::TestViews;
use c2f_engine::measures::{Measures, measure};
use c2f_engine::{Evaluation, Looks, Method, Network, Recipe, evaluate};
use candle_core::Tensor;

use crate::support::{network, recipe};

fn samples(recipe: &Recipe) -> Vec<Sample> {
    c2f_data::open(&recipe.data.as_ref().unwrap().parse().unwrap()).unwrap().splits["test"].clone()
}

fn measured(network: &Network, samples: &[Sample]) -> (Evaluation, Measures) {
    measure(network, samples, &[], TestViews::default(), &mut |_, _| {}).unwrap()
}

#[test]
fn every_method_has_the_measures_of_its_parts() {
    let zooming = |mode: &str| {
        let mut recipe = recipe(Method::Coarse2fine);
        recipe.set(&format!("inverse.mode={mode}")).unwrap();
        recipe
    };
    let recipes = Method::ALL.map(recipe).into_iter().chain([zooming("mask"), zooming("zoom"), zooming("mask-zoom")]);
    for recipe in recipes {
        let (method, network, samples) = (recipe.method, network(&recipe), samples(&recipe));
        let (evaluation, full) = measured(&network, &samples);
        let plain = evaluate(&network, &samples, TestViews::default(), &mut |_, _| {}).unwrap();
        assert_eq!((evaluation.top1, evaluation.loss, &evaluation.rows), (plain.top1, plain.loss, &plain.rows));

        assert_eq!(full.pictures.len(), samples.len());
        for (picture, sample) in full.pictures.iter().zip(&samples) {
            assert_eq!((picture.file.as_str(), picture.row.label), (&*sample.file, sample.label));
            assert_eq!(picture.row.correct_fine.is_some(), evaluation.top1_fine.is_some());
        }
        let right = full.pictures.iter().filter(|p| p.row.correct_coarse).count();
        assert_eq!(Some(right as f64 / samples.len() as f64), evaluation.top1_coarse);
        assert_eq!(full.per_class.iter().map(|class| class.n).sum::<usize>(), samples.len());
        let wrong: usize = full.confused.iter().map(|pair| pair.count).sum();
        assert_eq!(wrong, full.pictures.iter().filter(|p| p.row.predicted != p.row.label).count());
        assert_eq!(full.calibration.bins.iter().map(|bin| bin.n).sum::<usize>(), samples.len());

        assert_eq!(full.attention_similarity.is_some(), method.has_attention());
        let Some(found) = full.localisation else {
            assert!(!method.has_attention());
            continue;
        };
        assert_eq!(found.n, samples.len());
        assert_eq!(found.region.is_some(), method.has_inverse());
        let zooms = method.looks() == Looks::Crop || (method.has_inverse() && recipe.to_toml().contains("zoom\""));
        assert_eq!(found.fine_box.is_some(), zooms, "{}", recipe.to_toml());
        for scores in [Some(&found.attention), found.region.as_ref()].into_iter().flatten() {
            assert!(scores.parts_mass.unwrap() <= scores.box_mass && scores.box_mass <= 1.0, "{scores:?}");
            assert!(scores.parts_pointing.unwrap() <= scores.pointing && scores.pointing <= 1.0, "{scores:?}");
            assert!(0.0 < scores.parts_area.unwrap() && scores.parts_area.unwrap() < scores.box_area, "{scores:?}");
        }
        if let Some(look) = found.fine_box {
            let shares = [look.area, look.box_covered, look.iou, look.parts_covered.unwrap()];
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{look:?}");
        }
    }
}

/// The mass in the creature's box against a sum over many points of the view.
#[test]
fn the_mass_in_the_box_is_the_sum_over_its_points() {
    let recipe = recipe(Method::Attention);
    let network = network(&recipe);
    let samples = &samples(&recipe)[..1];
    let (_, full) = measured(&network, samples);

    let Source::Synthetic { scene, size } = samples[0].source else { panic!("{:?}", samples[0].source) };
    let drawing = scene.draw(size);
    let view = network.eval_transform().apply(&drawing.image, 0, 0, 0).coarse;
    let view = Tensor::from_vec(view, (1, 3, 32, 32), network.params.device()).unwrap();
    let attention = network.predict(&view, None).unwrap().attention.unwrap().mean(1).unwrap();
    let values = attention.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
    // The view is the whole picture, as the recipe doesn't crop.
    let [x1, y1, x2, y2] = drawing.creature.map(|v| v / size as f32);
    let (mut inside, mut all) = (0.0, 0.0);
    const POINTS: usize = 1000;
    // A cell lies around the middle of what it looks at; those at the edge reach to it.
    let shift = network.model.backbone().endpoint().shift() / 32.0;
    let cell = |point: usize, cells: usize| {
        let place = ((point as f64 + 0.5) / POINTS as f64 - shift) * cells as f64;
        (place.max(0.0) as usize).min(cells - 1)
    };
    for (i, j) in (0..POINTS).flat_map(|i| (0..POINTS).map(move |j| (i, j))) {
        let value = f64::from(values[cell(i, values.len())][cell(j, values[0].len())]);
        let (x, y) = ((j as f32 + 0.5) / POINTS as f32, (i as f32 + 0.5) / POINTS as f32);
        all += value;
        inside += if x1 < x && x < x2 && y1 < y && y < y2 { value } else { 0.0 };
    }
    let mass = full.localisation.unwrap().attention.box_mass;
    assert!((mass - inside / all).abs() < 5e-3, "{mass}, but {}", inside / all);
}

#[test]
fn boxes_of_files_are_seen_where_the_crop_has_them() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::from_fn(64, 32, |x, y| image::Rgb([4 * x as u8, 8 * y as u8, 99]))
        .save(folder.path().join("a.png"))
        .unwrap();
    let sample = |bounding_box| {
        let source = Source::File { root: Path::new(folder.path()).into() };
        Sample { bounding_box, ..Sample::new("a.png", 1, source) }
    };
    let bounds = |left, width| Some(BoundingBox { left, top: 0.0, width, height: 32.0 });
    let network = network(&recipe(Method::WsDan));
    let localisation = |samples: &[Sample]| measured(&network, samples).1.localisation;

    let whole = localisation(&[sample(bounds(0.0, 64.0))]).unwrap();
    assert_eq!((whole.n, whole.attention.pointing, whole.attention.box_area), (1, 1.0, 1.0));
    assert!((whole.attention.box_mass - 1.0).abs() < 1e-6, "{whole:?}");
    assert_eq!((whole.attention.parts_mass, whole.attention.parts_area), (None, None));
    // All of the fine look lies in the box.
    let look = whole.fine_box.unwrap();
    assert!((look.iou - look.area).abs() < 1e-6 && (look.box_covered - look.area).abs() < 1e-6, "{look:?}");

    // The middle half of the picture is seen: of its left half a half, of its left quarter nothing.
    assert_eq!(localisation(&[sample(bounds(0.0, 32.0))]).unwrap().attention.box_area, 0.5);
    assert_eq!(localisation(&[sample(bounds(0.0, 16.0))]), None);
    let some = localisation(&[sample(None), sample(bounds(0.0, 64.0)), sample(bounds(0.0, 16.0))]).unwrap();
    assert_eq!(some.n, 1);
    assert_eq!(localisation(&[sample(None)]), None);
}

#[test]
fn keypoints_of_files_are_found_where_the_crop_has_them() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::from_fn(64, 32, |x, y| image::Rgb([4 * x as u8, 8 * y as u8, 99]))
        .save(folder.path().join("a.png"))
        .unwrap();
    let names = ["beak", "tail", "left leg"].map(str::to_owned);
    let sample = |parts: [Option<Point>; 3]| Sample {
        bounding_box: Some(BoundingBox { left: 0.0, top: 0.0, width: 64.0, height: 32.0 }),
        parts: parts.into(),
        ..Sample::new("a.png", 1, Source::File { root: Path::new(folder.path()).into() })
    };
    let network = network(&recipe(Method::WsDan));
    let keypoints = |sample: Sample| {
        measure(&network, &[sample], &names, TestViews::default(), &mut |_, _| {}).unwrap().1.keypoints
    };
    let at = |x| Some(Point { x, y: 16.0 });
    // The middle half of the picture is seen.
    let found = keypoints(sample([at(32.0), at(5.0), None])).unwrap();
    assert_eq!((found.n, found.parts.len(), &*found.parts[0].part, found.parts[0].n), (1, 1, "beak", 1));
    assert!(found.chance > 0.0 && found.chance <= 1.0 && found.in_fine_look == found.whole_heads, "{found:?}");
    assert_eq!(keypoints(sample([None, at(5.0), None])), None);
}
