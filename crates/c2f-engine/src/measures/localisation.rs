//! Whether the network looks at the object, and at the parts that decide.

use c2f_data::{Annotation, EvalTransform};
use serde::Serialize;

use super::mean::Mean;
use crate::Map;

/// A box: x1, y1, x2, y2 in 0..=1 of the view.
type Bounds = [f32; 4];

/// Where the network looks, over the pictures whose object is known and in view. What the object's boxes are is said by
/// [`c2f_data::Sample::annotation`]; parts are known for drawings alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Localisation {
    /// Pictures whose object is known and at least partly in view.
    pub n: usize,
    /// The mean of the attention maps.
    pub attention: MapScores,
    /// The region map of the inverse mapping; none where there is none.
    pub region: Option<MapScores>,
    /// The box of the fine look; none where it sees the whole view.
    pub fine_box: Option<FineBox>,
}

/// Where a map has its mass and its maximum. All are means over the pictures, in 0..=1; the parts' are none where those aren't
/// known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MapScores {
    /// The share of the map's sum inside the object's box. A value counts for the whole of its cell, which lies around the middle of
    /// what it looks at ([`Endpoint::origin`](c2f_backbone::Endpoint::origin)).
    pub box_mass: f64,
    /// The pointing game: the share of pictures whose maximum, the middle of its cell, is in the object's box (Zhang et al.
    /// 2018, doi 10.1007/s11263-017-1059-x, without their tolerance of 15 pixels). Of several maxima the share counts that is.
    pub pointing: f64,
    /// The box's share of the view: the mass and the pointing of a uniform map.
    pub box_area: f64,
    /// As `box_mass`, in the union of the deciding parts' boxes.
    pub parts_mass: Option<f64>,
    /// As `pointing`, in that union.
    pub parts_pointing: Option<f64>,
    /// As `box_area`, of that union.
    pub parts_area: Option<f64>,
}

/// Where the fine look's box lies. All are means over the pictures, in 0..=1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FineBox {
    /// Its share of the view.
    pub area: f64,
    /// The share of the object's box that it has inside.
    pub box_covered: f64,
    /// Intersection over union with the object's box.
    pub iou: f64,
    /// The share of the deciding parts' boxes that it has inside; none where those aren't known.
    pub parts_covered: Option<f64>,
}

/// What there is to find in a view.
pub(super) struct Target {
    object: Bounds,
    /// Disjoint boxes, which together are those of the parts in view.
    parts: Vec<Bounds>,
}

impl Target {
    /// None where the object isn't in view.
    pub(super) fn new(annotation: &Annotation, transform: &EvalTransform) -> Option<Self> {
        let to_view = |bounds| transform.to_view(annotation.size, bounds);
        let parts: Vec<Bounds> = annotation.parts.iter().filter_map(|part| to_view(*part)).collect();
        Some(Self { object: to_view(annotation.object)?, parts: disjoint(&parts) })
    }
}

/// Sums over pictures.
#[derive(Default)]
pub(super) struct Places {
    n: usize,
    attention: MapSums,
    region: MapSums,
    fine: FineSums,
}

#[derive(Default)]
struct MapSums {
    object: PlaceSums,
    parts: PlaceSums,
}

#[derive(Default)]
struct PlaceSums {
    mass: Mean,
    pointing: Mean,
    area: Mean,
}

#[derive(Default)]
struct FineSums {
    area: Mean,
    box_covered: Mean,
    iou: Mean,
    parts_covered: Mean,
}

impl Places {
    /// Adds a picture: its mean attention map, whose cells look `shift` of the view further down and to the right than where they
    /// lie, its region map and its fine look's box.
    pub(super) fn add(
        &mut self,
        target: &Target,
        (attention, shift): (&Map, f64),
        region: Option<&Map>,
        fine: Option<Bounds>,
    ) {
        self.n += 1;
        self.attention.add(target, attention, shift);
        if let Some(region) = region {
            self.region.add(target, region, 0.0);
        }
        if let Some(fine) = fine {
            self.fine.add(target, fine);
        }
    }

    /// The means; none without pictures.
    pub(super) fn finish(self) -> Option<Localisation> {
        Some(Localisation {
            n: self.n,
            attention: self.attention.finish()?,
            region: self.region.finish(),
            fine_box: self.fine.finish(),
        })
    }
}

impl MapSums {
    fn add(&mut self, target: &Target, map: &Map, shift: f64) {
        self.object.add(&[target.object], map, shift);
        if !target.parts.is_empty() {
            self.parts.add(&target.parts, map, shift);
        }
    }

    fn finish(self) -> Option<MapScores> {
        Some(MapScores {
            box_mass: self.object.mass.get()?,
            pointing: self.object.pointing.get()?,
            box_area: self.object.area.get()?,
            parts_mass: self.parts.mass.get(),
            parts_pointing: self.parts.pointing.get(),
            parts_area: self.parts.area.get(),
        })
    }
}

impl PlaceSums {
    fn add(&mut self, boxes: &[Bounds], map: &Map, shift: f64) {
        self.mass.add(mass_inside(map, shift, boxes));
        self.pointing.add(maxima_inside(map, shift, boxes));
        self.area.add(boxes.iter().map(area).sum());
    }
}

impl FineSums {
    fn add(&mut self, target: &Target, fine: Bounds) {
        let covered = overlap(&target.object, &fine);
        self.area.add(area(&fine));
        self.box_covered.add(covered / area(&target.object));
        self.iou.add(covered / (area(&target.object) + area(&fine) - covered));
        if !target.parts.is_empty() {
            let covered: f64 = target.parts.iter().map(|part| overlap(part, &fine)).sum();
            self.parts_covered.add(covered / target.parts.iter().map(area).sum::<f64>());
        }
    }

    fn finish(self) -> Option<FineBox> {
        Some(FineBox {
            area: self.area.get()?,
            box_covered: self.box_covered.get()?,
            iou: self.iou.get()?,
            parts_covered: self.parts_covered.get(),
        })
    }
}

fn area([x1, y1, x2, y2]: &Bounds) -> f64 {
    f64::from((x2 - x1).max(0.0)) * f64::from((y2 - y1).max(0.0))
}

/// The area that both have.
fn overlap(a: &Bounds, b: &Bounds) -> f64 {
    area(&[a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])])
}

/// Boxes that don't overlap and cover together what these do.
fn disjoint(boxes: &[Bounds]) -> Vec<Bounds> {
    let edges = |low: usize| {
        let mut edges: Vec<f32> = boxes.iter().flat_map(|b| [b[low], b[low + 2]]).collect();
        edges.sort_by(f32::total_cmp);
        edges.dedup();
        edges
    };
    let (xs, ys) = (edges(0), edges(1));
    let cells = ys.windows(2).flat_map(|y| xs.windows(2).map(move |x| [x[0], y[0], x[1], y[1]]));
    let covered =
        |cell: &Bounds| boxes.iter().any(|b| b[0] <= cell[0] && b[1] <= cell[1] && cell[2] <= b[2] && cell[3] <= b[3]);
    cells.filter(covered).collect()
}

/// The share of the map's sum inside disjoint boxes, each value spread over its cell; a map without a positive sum counts as
/// uniform.
fn mass_inside(map: &Map, shift: f64, boxes: &[Bounds]) -> f64 {
    let sum = |[x1, y1, x2, y2]: [f64; 4]| {
        let (columns, rows) = (lengths(x1, x2, map.width(), shift), lengths(y1, y2, map.height(), shift));
        let row = |(values, length): (&[f32], &f64)| {
            length * values.iter().zip(&columns).map(|(value, length)| f64::from(*value) * length).sum::<f64>()
        };
        let rows = map.as_raw().chunks_exact(map.width() as usize).zip(&rows);
        rows.filter(|(_, length)| **length > 0.0).map(row).sum::<f64>()
    };
    let total = sum([0.0, 0.0, 1.0, 1.0]);
    if total.is_nan() || total <= 0.0 {
        return boxes.iter().map(area).sum();
    }
    boxes.iter().map(|bounds| sum(bounds.map(f64::from))).sum::<f64>() / total
}

/// Of each of `cells` cells, what lies between two places of 0..=1. They have equal lengths and begin at `shift`; the first
/// and the last reach to the view's edge.
fn lengths(from: f64, to: f64, cells: u32, shift: f64) -> Vec<f64> {
    let edge = |cell: u32| {
        let inner = (f64::from(cell) / f64::from(cells) + shift).clamp(0.0, 1.0);
        if cell == 0 {
            0.0
        } else if cell == cells {
            1.0
        } else {
            inner
        }
    };
    (0..cells).map(|cell| (to.min(edge(cell + 1)) - from.max(edge(cell))).max(0.0)).collect()
}

/// The share of the map's maxima whose cell has its middle inside one of the boxes; a map of equal values counts as uniform.
fn maxima_inside(map: &Map, shift: f64, boxes: &[Bounds]) -> f64 {
    let maximum = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if map.iter().all(|value| *value == maximum) {
        return boxes.iter().map(area).sum();
    }
    let (mut all, mut inside) = (0_usize, 0_usize);
    for (x, y, _) in map.enumerate_pixels().filter(|(_, _, value)| value.0[0] == maximum) {
        let middle = |cell: u32, cells: u32| (f64::from(cell) + 0.5) / f64::from(cells) + shift;
        let [x, y] = [middle(x, map.width()), middle(y, map.height())].map(|place| place.clamp(0.0, 1.0) as f32);
        all += 1;
        inside += usize::from(boxes.iter().any(|b| b[0] <= x && x < b[2] && b[1] <= y && y < b[3]));
    }
    inside as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    const WHOLE: Bounds = [0.0, 0.0, 1.0, 1.0];

    fn map(width: u32, values: &[f32]) -> Map {
        Map::from_raw(width, values.len() as u32 / width, values.to_vec()).unwrap()
    }

    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-6, "{value}, not {expected}");
    }

    #[test]
    fn mass_is_shared_by_area() {
        // 1 2
        // 3 4
        let values = map(2, &[1.0, 2.0, 3.0, 4.0]);
        assert_near(mass_inside(&values, 0.0, &[WHOLE]), 1.0);
        assert_near(mass_inside(&values, 0.0, &[[0.5, 0.0, 1.0, 1.0]]), 0.6);
        // A quarter of each cell around the middle.
        assert_near(mass_inside(&values, 0.0, &[[0.25, 0.25, 0.75, 0.75]]), 0.25);
        // The lower left cell and half of the one beside it.
        assert_near(mass_inside(&values, 0.0, &[[0.0, 0.5, 0.75, 1.0]]), 0.5);
        assert_near(mass_inside(&values, 0.0, &[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]]), 0.5);
    }

    #[test]
    fn cells_that_look_elsewhere_have_their_mass_there() {
        // 0..0.35, 0.35..0.6, 0.6..0.85 and 0.85..1.
        let values = map(4, &[1.0, 2.0, 4.0, 8.0]);
        let total = 0.35 + 2.0 * 0.25 + 4.0 * 0.25 + 8.0 * 0.15;
        assert_near(mass_inside(&values, 0.1, &[WHOLE]), 1.0);
        assert_near(mass_inside(&values, 0.1, &[[0.35, 0.0, 0.6, 1.0]]), 0.5 / total);
        assert_near(mass_inside(&values, -0.1, &[[0.0, 0.0, 0.15, 1.0]]), 0.15 / (0.15 + 0.5 + 1.0 + 8.0 * 0.35));
        assert_near(mass_inside(&map(3, &[0.7; 6]), 0.2, &[[0.1, 0.2, 0.6, 0.9]]), 0.35);
        let mut one = map(4, &[0.0; 16]);
        one.put_pixel(1, 1, Luma([2.0]));
        // Its middle moves from 0.375 to 0.475.
        assert_eq!(maxima_inside(&one, 0.1, &[[0.4, 0.4, 0.5, 0.5]]), 1.0);
        assert_eq!(maxima_inside(&one, 0.0, &[[0.4, 0.4, 0.5, 0.5]]), 0.0);
    }

    #[test]
    fn a_uniform_map_has_the_mass_and_the_pointing_of_the_area() {
        let bounds = [0.1, 0.2, 0.6, 0.9];
        for values in [map(3, &[0.0; 6]), map(3, &[0.7; 6])] {
            assert_near(mass_inside(&values, 0.0, &[bounds]), 0.35);
            assert_near(maxima_inside(&values, 0.0, &[bounds]), 0.35);
        }
    }

    #[test]
    fn several_maxima_point_to_several_places() {
        let mut values = map(4, &[0.0; 16]);
        values.put_pixel(1, 1, Luma([2.0]));
        assert_eq!(maxima_inside(&values, 0.0, &[[0.0, 0.0, 0.5, 0.5]]), 1.0);
        // The cell reaches into the box, its middle at 0.375 doesn't.
        assert_eq!(maxima_inside(&values, 0.0, &[[0.4, 0.0, 1.0, 1.0]]), 0.0);
        values.put_pixel(3, 1, Luma([2.0]));
        assert_eq!(maxima_inside(&values, 0.0, &[[0.0, 0.0, 0.5, 0.5]]), 0.5);
        assert_eq!(maxima_inside(&values, 0.0, &[[0.0, 0.0, 0.5, 0.5], [0.75, 0.25, 1.0, 0.5]]), 1.0);
    }

    #[test]
    fn overlapping_boxes_are_counted_once() {
        let (a, b) = ([0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 0.75, 0.75]);
        let parts = disjoint(&[a, b]);
        assert_near(parts.iter().map(area).sum(), 0.25 + 0.25 - 0.0625);
        for (i, one) in parts.iter().enumerate() {
            assert!(parts[i + 1..].iter().all(|other| overlap(one, other) == 0.0));
        }
        assert_near(disjoint(&[a, a]).iter().map(area).sum(), 0.25);
        assert!(disjoint(&[]).is_empty());
    }

    #[test]
    fn the_fine_look_is_compared_with_object_and_parts() {
        let target = Target { object: [0.25, 0.25, 0.75, 0.75], parts: vec![[0.25, 0.25, 0.5, 0.5]] };
        let mut sums = FineSums::default();
        sums.add(&target, [0.5, 0.25, 1.0, 0.75]);
        let half = sums.finish().unwrap();
        assert_near(half.area, 0.25);
        assert_near(half.box_covered, 0.5);
        // 0.125 of 0.25 + 0.25 - 0.125.
        assert_near(half.iou, 1.0 / 3.0);
        assert_near(half.parts_covered.unwrap(), 0.0);
    }

    /// A picture of 200 x 100 pixels of which the middle is seen: an object across the left edge of the crop, one part of two
    /// outside of it.
    #[test]
    fn boxes_across_the_edge_of_the_crop_are_cut() {
        let transform = EvalTransform { resize: 50, size: 50, source_size: 50, ..EvalTransform::default() };
        let annotation = Annotation {
            size: (200, 100),
            object: [20.0, 0.0, 100.0, 100.0],
            parts: vec![[20.0, 0.0, 40.0, 50.0], [75.0, 0.0, 100.0, 50.0]],
            points: Vec::new(),
        };
        let target = Target::new(&annotation, &transform).unwrap();
        assert_eq!(target.object, [0.0, 0.0, 0.5, 1.0]);
        assert_eq!(target.parts, [[0.25, 0.0, 0.5, 0.5]]);
        let outside = Annotation { object: [0.0, 0.0, 50.0, 100.0], ..annotation };
        assert!(Target::new(&outside, &transform).is_none());

        let mut tally = Places::default();
        // 3 of 4 left, the maximum at the lower left.
        tally.add(&target, (&map(2, &[1.0, 0.5, 2.0, 0.5]), 0.0), None, None);
        tally.add(&Target { object: WHOLE, parts: Vec::new() }, (&map(2, &[0.0, 0.0, 0.0, 1.0]), 0.0), None, None);
        let found = tally.finish().unwrap();
        assert_eq!((found.n, found.region, found.fine_box), (2, None, None));
        assert_near(found.attention.box_mass, f64::midpoint(0.75, 1.0));
        assert_near(found.attention.pointing, 1.0);
        assert_near(found.attention.box_area, f64::midpoint(0.5, 1.0));
        // The part, known in the first picture alone, has half of its upper left cell, which has a quarter of the mass.
        assert_near(found.attention.parts_mass.unwrap(), 0.125);
        assert_near(found.attention.parts_pointing.unwrap(), 0.0);
        assert_near(found.attention.parts_area.unwrap(), 0.125);
        assert_eq!(Places::default().finish(), None);
    }
}
