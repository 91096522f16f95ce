//! The order of classes, where a data set gives it in pieces.

use std::collections::{BTreeMap, HashMap};

/// Classes of which each picture of a list gives the number, from 1, and the name.
#[derive(Default)]
pub(crate) struct NumberedClasses {
    names: BTreeMap<usize, String>,
}

impl NumberedClasses {
    /// The label of the class `number`: one less. Fails if the number is 0, or had another name before.
    pub(crate) fn label(&mut self, number: usize, name: &str) -> Result<usize, String> {
        let label = number.checked_sub(1).ok_or("class 0: expected numbers from 1")?;
        let known = self.names.entry(number).or_insert_with(|| name.to_owned());
        if known != name {
            return Err(format!("class {number:03} is `{known}` in an earlier line and `{name}` here"));
        }
        Ok(label)
    }

    /// The names in the order of the labels. Fails if a number between the first and the last is missing.
    pub(crate) fn into_names(self) -> Result<Vec<String>, String> {
        if let Some(missing) = (1..=self.names.len()).find(|n| !self.names.contains_key(n)) {
            return Err(format!("no list names a picture of class {missing:03}, expected classes without a gap"));
        }
        Ok(self.names.into_values().collect())
    }
}

/// The label of a class that is numbered from 1, of `count` classes.
pub(crate) fn label_from_1(number: f64, count: usize) -> Result<usize, String> {
    if number.fract() == 0.0 && number >= 1.0 && number <= count as f64 {
        return Ok(number as usize - 1);
    }
    Err(format!("class {number}: expected a number from 1 to {count}"))
}

/// Names of classes that have no order of their own: sorted by code point, or by value if all are whole numbers.
pub(crate) fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    names.dedup();
    if names.iter().all(|c| c.parse::<u64>().is_ok()) {
        names.sort_by_key(|c| c.parse::<u64>().ok());
    }
    names
}

/// The label of each name: its place.
pub(crate) fn labels(classes: &[String]) -> HashMap<&str, usize> {
    classes.iter().enumerate().map(|(label, class)| (class.as_str(), label)).collect()
}

/// Puts its number behind each name that several classes have: classes are told apart by their names.
pub(crate) fn distinct(classes: impl IntoIterator<Item = (u64, String)>) -> Vec<String> {
    let classes: Vec<(u64, String)> = classes.into_iter().collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (_, name) in &classes {
        *counts.entry(name).or_default() += 1;
    }
    classes
        .iter()
        .map(|(id, name)| if counts[name.as_str()] > 1 { format!("{name} ({id})") } else { name.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn whole_numbers_are_sorted_by_value() {
        assert_eq!(sorted(names(&["10", "9", "10"])), ["9", "10"]);
        assert_eq!(sorted(names(&["9", "x", "10"])), ["10", "9", "x"]);
    }

    #[test]
    fn a_shared_name_gets_its_number() {
        let classes = [(3, "Ficus"), (5, "Rosa"), (9, "Ficus")].map(|(id, name)| (id, name.to_owned()));
        assert_eq!(distinct(classes), ["Ficus (3)", "Rosa", "Ficus (9)"]);
    }

    #[test]
    fn numbers_begin_at_1_and_have_no_gap() {
        let mut classes = NumberedClasses::default();
        assert_eq!((classes.label(3, "c"), classes.label(1, "a")), (Ok(2), Ok(0)));
        assert!(classes.label(0, "a").unwrap_err().contains("from 1"));
        assert!(classes.label(3, "d").unwrap_err().contains("`c` in an earlier line"));
        assert!(classes.into_names().unwrap_err().contains("class 002"));
        assert_eq!(label_from_1(2.0, 2), Ok(1));
        for number in [0.0, 3.0, 1.5, -1.0, f64::NAN, f64::INFINITY] {
            assert!(label_from_1(number, 2).is_err(), "{number}");
        }
    }
}
