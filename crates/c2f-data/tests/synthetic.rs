//! The synthetic pictures: the same from the same key, and told apart by their parts alone.

use c2f_data::synthetic::{Attributes, CLASSES, Drawing, Scene, Split, class_names};
use std::collections::BTreeSet;

const SIZE: u32 = 128;

fn scene(index: u64, class: usize) -> Scene {
    Scene { seed: 3, split: Split::Train, index, class }
}

/// Which parts two classes differ in, by name.
fn differing_parts(a: Attributes, b: Attributes) -> Vec<&'static str> {
    let mut parts = Vec::new();
    if (a.beak, a.colour) != (b.beak, b.colour) {
        parts.push("beak");
    }
    if a.bars != b.bars {
        parts.push("wing-bar");
    }
    if a.tail != b.tail {
        parts.push("tail");
    }
    parts
}

fn bounds(drawing: &Drawing, part: &str) -> [f32; 4] {
    drawing.parts.iter().find(|p| p.name == part).expect("every drawing has every part").bounds
}

fn contains(outer: [f32; 4], inner: [f32; 4]) -> bool {
    outer[0] <= inner[0] && outer[1] <= inner[1] && outer[2] >= inner[2] && outer[3] >= inner[3]
}

#[test]
fn a_scene_is_the_same_picture_in_any_order() {
    let forwards: Vec<_> = (0..8).map(|i| Scene::new(1, Split::Test, i, 10).draw(64).image).collect();
    for i in (0..8).rev() {
        assert_eq!(forwards[i as usize], Scene::new(1, Split::Test, i, 10).draw(64).image, "picture {i}");
    }
}

#[test]
fn seed_split_and_index_each_make_another_picture() {
    let one = Scene { seed: 1, split: Split::Train, index: 5, class: 2 };
    let others = [Scene { seed: 2, ..one }, Scene { split: Split::Test, ..one }, Scene { index: 6, ..one }];
    for other in others {
        assert_ne!(one.draw(64).image, other.draw(64).image, "{other:?}");
    }
}

#[test]
fn the_classes_are_balanced_and_have_names_of_their_own() {
    let mut counts = [0; 7];
    for index in 0..100 {
        counts[Scene::new(0, Split::Train, index, 7).class] += 1;
    }
    assert!(counts.iter().all(|&n| n == 14 || n == 15), "{counts:?}");
    assert_eq!(class_names(usize::MAX).into_iter().collect::<BTreeSet<_>>().len(), CLASSES.len());
    assert_eq!(class_names(2)[1], "cone-yellow-beak_double-bar_forked-tail");
}

#[test]
fn each_class_differs_from_the_one_before_in_one_part_and_no_part_decides_alone() {
    for pair in CLASSES.windows(2) {
        assert_eq!(differing_parts(pair[0], pair[1]).len(), 1, "{pair:?}");
    }
    // Also among the first ten, which is what a data set has unless asked otherwise.
    let distinct = |part: fn(&Attributes) -> String| CLASSES[..10].iter().map(part).collect::<BTreeSet<_>>().len();
    assert!(distinct(|c| format!("{:?} {:?}", c.beak, c.colour)) < 10);
    assert!(distinct(|c| format!("{:?} {:?}", c.bars, c.tail)) < 10);
}

#[test]
fn parts_lie_inside_the_creature_and_the_creature_inside_the_picture() {
    for index in 0..200 {
        let drawing = scene(index, index as usize % CLASSES.len()).draw(SIZE);
        let picture = [0.0, 0.0, SIZE as f32, SIZE as f32];
        assert!(contains(picture, drawing.creature), "{index}: {:?}", drawing.creature);
        // Nothing of it is cut off by the picture's edge either.
        assert!(drawing.creature[0] > 0.0 && drawing.creature[2] < SIZE as f32, "{index}: {:?}", drawing.creature);
        assert!(drawing.creature[1] > 0.0 && drawing.creature[3] < SIZE as f32, "{index}: {:?}", drawing.creature);
        for part in &drawing.parts {
            assert!(contains(drawing.creature, part.bounds), "{index}: {part:?} {:?}", drawing.creature);
            let (width, height) = (part.bounds[2] - part.bounds[0], part.bounds[3] - part.bounds[1]);
            assert!(width.min(height) > 4.0 && width.max(height) > 8.0, "{index}: {part:?}");
        }
    }
}

/// Two scenes that differ only in their class are the same picture outside the parts that tell the classes apart, and
/// differ inside each of them. So nothing else depends on the class, and the boxes are where the parts are.
#[test]
fn a_class_changes_nothing_but_its_parts() {
    for index in 0..60 {
        let class = index as usize % (CLASSES.len() - 1);
        let (one, other) = (scene(index, class).draw(SIZE), scene(index, class + 1).draw(SIZE));
        let part = differing_parts(CLASSES[class], CLASSES[class + 1])[0];
        let (a, b) = (bounds(&one, part), bounds(&other, part));
        // A pixel that the box's edge crosses reaches up to one pixel over it.
        let [left, top] = [0, 1].map(|i| a[i].min(b[i]) - 1.0);
        let [right, bottom] = [2, 3].map(|i| a[i].max(b[i]) + 1.0);
        let mut changed = 0;
        for (x, y, pixel) in one.image.enumerate_pixels() {
            if pixel != other.image.get_pixel(x, y) {
                let (x, y) = (x as f32, y as f32);
                let inside = x >= left && x < right && y >= top && y < bottom;
                assert!(inside, "{index}: ({x}, {y}) lies outside the {part}, {a:?} and {b:?}");
                changed += 1;
            }
        }
        assert!(changed >= 25, "{index}: only {changed} pixels show the {part}");
        for same in ["beak", "wing-bar", "tail"].into_iter().filter(|&p| p != part) {
            assert_eq!(bounds(&one, same), bounds(&other, same), "{index}: the {same} moved");
        }
    }
}

#[test]
fn the_creature_varies_in_place_and_size() {
    let boxes: Vec<_> = (0..100).map(|i| scene(i, 0).draw(64).creature).collect();
    let spread = |value: fn(&[f32; 4]) -> f32| {
        let values = || boxes.iter().map(value);
        values().fold(f32::MIN, f32::max) - values().fold(f32::MAX, f32::min)
    };
    assert!(spread(|b| f32::midpoint(b[0], b[2])) > 10.0);
    assert!(spread(|b| f32::midpoint(b[1], b[3])) > 10.0);
    assert!(spread(|b| b[2] - b[0]) > 10.0);
    // Facing left as often as right: the beak is in the left half of the creature in about half of the pictures.
    let left = (0..100).filter(|&i| {
        let drawing = scene(i, 0).draw(64);
        let beak = bounds(&drawing, "beak");
        f32::midpoint(beak[0], beak[2]) < f32::midpoint(drawing.creature[0], drawing.creature[2])
    });
    assert!((30..=70).contains(&left.count()));
}
