//! What classes belong to, such as a genus and a family: answers above the classes.

use std::collections::BTreeMap;

use c2f_data::Dataset;
use serde::{Deserialize, Serialize};

use crate::Guess;

/// What each class of a network belongs to: for each class the groups that hold it, from the most general down. Classes needn't have as
/// many as each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Vec<String>>", into = "Vec<Vec<String>>")]
pub struct Taxonomy {
    /// Of each class.
    above: Vec<Vec<String>>,
    /// [`Self::groups`] of each level, that after the last included.
    groups: Vec<Vec<usize>>,
}

impl From<Vec<Vec<String>>> for Taxonomy {
    fn from(above: Vec<Vec<String>>) -> Self {
        let levels = above.iter().map(Vec::len).max().unwrap_or(0);
        let groups = (0..=levels).map(|level| groups_of(&above, level)).collect();
        Self { above, groups }
    }
}

impl From<Taxonomy> for Vec<Vec<String>> {
    fn from(taxonomy: Taxonomy) -> Self {
        taxonomy.above
    }
}

/// A class or a group of classes, as an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// How many of the taxonomy's levels lie below it: 0 is a class.
    pub above: usize,
    /// The sum of its classes' probabilities, in 0..=1.
    pub probability: f32,
}

impl Taxonomy {
    /// That of a data set; none where its classes belong to nothing.
    pub fn of(dataset: &Dataset) -> Option<Self> {
        dataset.ancestors.iter().any(|above| !above.is_empty()).then(|| dataset.ancestors.clone().into())
    }

    /// The number of levels above the classes: of the class with the most.
    pub fn levels(&self) -> usize {
        self.groups.len() - 1
    }

    /// Whether it has as many classes.
    pub(crate) fn fits(&self, classes: usize) -> bool {
        self.above.len() == classes
    }

    /// For each class which group of the level, counted from the most general one from 0, it belongs to, as a class that stands for the
    /// group: the first of it. A class that has no group there stands for itself, as every class does at the level after the last, [`Self::levels`]; there are none beyond.
    pub fn groups(&self, level: usize) -> &[usize] {
        &self.groups[level]
    }

    /// The smallest group that `guesses`, of all classes, give at least the probability `sure`, in 0..=1; none where not even one of the
    /// most general has it.
    pub fn surest(&self, guesses: &[Guess], sure: f32) -> Option<Group> {
        (0..=self.levels()).rev().find_map(|level| {
            let groups = self.groups(level);
            let mut sums: BTreeMap<usize, f32> = BTreeMap::new();
            for guess in guesses {
                *sums.entry(groups[guess.index]).or_default() += guess.probability;
            }
            let (class, probability) = sums.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
            let name = match self.above[class].get(level) {
                Some(group) => group.clone(),
                None => guesses.iter().find(|guess| guess.index == class)?.class.clone(),
            };
            let above = if self.above[class].len() > level { self.levels() - level } else { 0 };
            (probability >= sure).then_some(Group { name, above, probability })
        })
    }
}

/// See [`Taxonomy::groups`].
fn groups_of(above: &[Vec<String>], level: usize) -> Vec<usize> {
    let mut first: BTreeMap<&[String], usize> = BTreeMap::new();
    let mut groups = Vec::with_capacity(above.len());
    for (class, above) in above.iter().enumerate() {
        // Groups of one name below different ones are different.
        groups.push(above.get(..=level).map_or(class, |path| *first.entry(path).or_insert(class)));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two crows and a gull among birds, a bat, and a stone that belongs to nothing.
    fn taxonomy() -> Taxonomy {
        let above = |path: &[&str]| path.iter().map(|name| (*name).to_owned()).collect();
        Taxonomy::from(vec![
            above(&["bird", "crow"]),
            above(&["bird", "crow"]),
            above(&["bird", "gull"]),
            above(&["mammal", "crow"]),
            above(&[]),
        ])
    }

    fn surest(probabilities: [f32; 5], sure: f32) -> Option<(String, usize)> {
        let classes = ["raven", "rook", "herring gull", "crow bat", "stone"];
        let guess = |(index, probability): (usize, f32)| Guess { class: classes[index].to_owned(), index, probability };
        let guesses: Vec<Guess> = probabilities.into_iter().enumerate().map(guess).collect();
        taxonomy().surest(&guesses, sure).map(|group| (group.name, group.above))
    }

    #[test]
    fn a_group_is_known_by_all_that_is_above_it() {
        assert_eq!(taxonomy().levels(), 2);
        assert_eq!(taxonomy().groups(0), [0, 0, 0, 3, 4]);
        assert_eq!(taxonomy().groups(1), [0, 0, 2, 3, 4]);
        assert_eq!(taxonomy().groups(2), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn an_answer_goes_up_until_it_is_sure() {
        let p = [0.5, 0.4, 0.06, 0.03, 0.01];
        assert_eq!(surest(p, 0.5), Some(("raven".to_owned(), 0)));
        assert_eq!(surest(p, 0.9), Some(("crow".to_owned(), 1)));
        assert_eq!(surest(p, 0.95), Some(("bird".to_owned(), 2)));
        assert_eq!(surest(p, 0.99), None);
        // What belongs to nothing is its own group at every level.
        assert_eq!(surest([0.0, 0.0, 0.0, 0.0, 1.0], 0.9), Some(("stone".to_owned(), 0)));
    }
}
