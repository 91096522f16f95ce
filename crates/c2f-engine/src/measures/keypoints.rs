//! Which of the archive's keypoints are looked at.

use c2f_data::{Annotation, EvalTransform};
use candle_core::{D, Tensor};
use serde::Serialize;

use super::mean::Mean;
use crate::Result;

/// The points of a head, as CUB-200-2011 and NABirds name them.
const HEAD: [&str; 8] = ["beak", "bill", "crown", "forehead", "left eye", "right eye", "nape", "throat"];

/// Which keypoints are looked at, over the pictures in whose view there is one. All shares are in 0..=1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Keypoints {
    /// Pictures with a keypoint in view.
    pub n: usize,
    /// The share of the keypoints that are hit: one of the attention maps has its maximum in the cell that the point lies in. The cells lie
    /// around the middles of what they look at ([`Endpoint::origin`](c2f_backbone::Endpoint::origin)). A map that is 0 everywhere has no
    /// maximum.
    pub hit: f64,
    /// What would be hit of points that lie anywhere: the share of the view that the cells of the maxima have.
    pub chance: f64,
    /// The share of the keypoints that the fine look's box has inside; none where it sees the whole view.
    pub in_fine_look: Option<f64>,
    /// The share of the pictures with points of a head in view whose fine look has all of those inside; none where it sees the whole view, and
    /// where no point is of a head.
    pub whole_heads: Option<f64>,
    /// The parts that are in view in some picture, in the archive's order.
    pub parts: Vec<PartScores>,
}

/// How often a part is looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartScores {
    /// Its name in the archive.
    pub part: String,
    /// Pictures that have it in view.
    pub n: usize,
    /// As [`Keypoints::hit`].
    pub hit: f64,
    /// As [`Keypoints::in_fine_look`].
    pub in_fine_look: Option<f64>,
}

/// The cells, x and y, where a picture's attention maps (B, M, h, w) have their maxima, each once, and how many cells there are each way.
pub(super) struct Maxima {
    cells: Vec<[usize; 2]>,
    size: [usize; 2],
}

impl Maxima {
    /// Those of each of B pictures.
    pub(super) fn of(attention: &Tensor) -> Result<Vec<Self>> {
        let (_, _, height, width) = attention.dims4()?;
        let flat = attention.flatten_from(2)?;
        let (places, values) = (flat.argmax(D::Minus1)?.to_vec2::<u32>()?, flat.max(D::Minus1)?.to_vec2::<f32>()?);
        let of_picture = |(places, values): (Vec<u32>, Vec<f32>)| {
            let looking = places.into_iter().zip(values).filter(|(_, value)| *value > 0.0);
            let mut cells: Vec<_> = looking.map(|(at, _)| [at as usize % width, at as usize / width]).collect();
            cells.sort_unstable();
            cells.dedup();
            Self { cells, size: [width, height] }
        };
        Ok(places.into_iter().zip(values).map(of_picture).collect())
    }

    /// Whether one of the cells, which look `shift` of the view further down and to the right than where they lie, has the point.
    fn hit(&self, point: [f32; 2], shift: f64) -> bool {
        let cell = |axis: usize| {
            let place = (f64::from(point[axis]) - shift) * self.size[axis] as f64;
            // The first and the last cell reach to the view's edge.
            (place.max(0.0) as usize).min(self.size[axis] - 1)
        };
        self.cells.contains(&[cell(0), cell(1)])
    }

    fn area(&self) -> f64 {
        self.cells.len() as f64 / (self.size[0] * self.size[1]) as f64
    }
}

/// Sums over pictures.
pub(super) struct Points<'a> {
    names: &'a [String],
    n: usize,
    all: Sums,
    chance: Mean,
    whole_heads: Mean,
    each: Vec<Sums>,
}

#[derive(Default)]
struct Sums {
    n: usize,
    hit: Mean,
    in_fine_look: Mean,
}

impl Sums {
    fn add(&mut self, hit: bool, in_fine_look: Option<bool>) {
        self.n += 1;
        self.hit.add(f64::from(u8::from(hit)));
        if let Some(inside) = in_fine_look {
            self.in_fine_look.add(f64::from(u8::from(inside)));
        }
    }
}

impl<'a> Points<'a> {
    /// Of parts with these names.
    pub(super) fn new(names: &'a [String]) -> Self {
        let each = names.iter().map(|_| Sums::default()).collect();
        Self { names, n: 0, all: Sums::default(), chance: Mean::default(), whole_heads: Mean::default(), each }
    }

    /// Adds a picture: where its attention maps have their maxima, whose cells look `shift` of the view further down and to the right than where
    /// they lie, and its fine look's box (x1, y1, x2, y2 in 0..=1 of the view).
    pub(super) fn add(
        &mut self,
        annotation: &Annotation,
        transform: &EvalTransform,
        (maxima, shift): (&Maxima, f64),
        fine: Option<[f32; 4]>,
    ) {
        let in_view = |point: &Option<_>| transform.point_to_view(annotation.size, (*point)?);
        let (mut is_seen, mut head) = (false, None);
        for ((name, sums), point) in self.names.iter().zip(&mut self.each).zip(&annotation.points) {
            let Some(point) = in_view(point) else { continue };
            let hit = maxima.hit(point, shift);
            let inside = fine.map(|[x1, y1, x2, y2]| (x1..=x2).contains(&point[0]) && (y1..=y2).contains(&point[1]));
            is_seen = true;
            sums.add(hit, inside);
            self.all.add(hit, inside);
            if let Some(inside) = inside.filter(|_| HEAD.contains(&name.as_str())) {
                head = Some(head.unwrap_or(true) && inside);
            }
        }
        if is_seen {
            self.n += 1;
            self.chance.add(maxima.area());
        }
        if let Some(whole) = head {
            self.whole_heads.add(f64::from(u8::from(whole)));
        }
    }

    /// The means; none without a point.
    pub(super) fn finish(self) -> Option<Keypoints> {
        let parts = self.names.iter().zip(self.each).filter_map(|(name, sums)| {
            let (hit, in_fine_look) = (sums.hit.get()?, sums.in_fine_look.get());
            Some(PartScores { part: name.clone(), n: sums.n, hit, in_fine_look })
        });
        Some(Keypoints {
            n: self.n,
            hit: self.all.hit.get()?,
            chance: self.chance.get()?,
            in_fine_look: self.all.in_fine_look.get(),
            whole_heads: self.whole_heads.get(),
            parts: parts.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// Two maps of 2 x 2 cells of a picture, one of them 0, and one of another whose maximum is at the upper right.
    fn maxima() -> Vec<Maxima> {
        let values =
            [[[[0.0_f32, 0.0], [0.2, 0.9]], [[0.0; 2]; 2]], [[[0.1, 0.7], [0.2, 0.3]], [[0.1, 0.7], [0.2, 0.3]]]];
        Maxima::of(&Tensor::new(&values, &Device::Cpu).unwrap()).unwrap()
    }

    #[test]
    fn maps_that_look_nowhere_have_no_maximum() {
        let found: Vec<_> = maxima().into_iter().map(|maxima| maxima.cells).collect();
        assert_eq!(found, [vec![[1, 1]], vec![[1, 0]]]);
    }

    #[test]
    fn cells_that_look_elsewhere_are_hit_there() {
        let maxima = &maxima()[0];
        assert!(maxima.hit([0.6, 0.6], 0.0) && !maxima.hit([0.6, 0.6], 0.2));
        assert!(maxima.hit([0.45, 0.45], -0.1) && !maxima.hit([0.45, 0.45], 0.0));
        // The last cell reaches to the edge.
        assert!(maxima.hit([1.0, 1.0], -0.3));
    }

    #[test]
    fn points_are_counted_where_they_are_in_view() {
        let names = ["beak", "tail", "nape"].map(str::to_owned);
        let transform = EvalTransform { resize: 50, size: 50, source_size: 50, ..EvalTransform::default() };
        // Of 200 x 100 pixels the middle is seen.
        let annotation = |points: [Option<[f32; 2]>; 3]| Annotation {
            size: (200, 100),
            object: [0.0, 0.0, 200.0, 100.0],
            parts: Vec::new(),
            points: points.to_vec(),
        };
        let maxima = maxima();
        let mut points = Points::new(&names);
        // The beak in the cell of the maximum, the tail out of view, the nape in view and outside of the fine look.
        let first = annotation([Some([130.0, 90.0]), Some([10.0, 50.0]), Some([60.0, 10.0])]);
        points.add(&first, &transform, (&maxima[0], 0.0), Some([0.5, 0.5, 1.0, 1.0]));
        let second = annotation([Some([130.0, 90.0]), None, None]);
        points.add(&second, &transform, (&maxima[1], 0.0), Some([0.5, 0.5, 1.0, 1.0]));
        points.add(&annotation([None; 3]), &transform, (&maxima[1], 0.0), Some([0.0; 4]));
        let found = points.finish().unwrap();
        let part =
            |part: &str, n, hit, inside| PartScores { part: part.to_owned(), n, hit, in_fine_look: Some(inside) };
        assert_eq!(found.parts, [part("beak", 2, 0.5, 1.0), part("nape", 1, 0.0, 0.0)]);
        assert_eq!((found.n, found.hit, found.chance), (2, 1.0 / 3.0, 0.25));
        assert_eq!((found.in_fine_look, found.whole_heads), (Some(2.0 / 3.0), Some(0.5)));
        assert_eq!(Points::new(&names).finish(), None);
    }
}
