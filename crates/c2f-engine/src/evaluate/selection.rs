//! Which pictures of a data set an evaluation measures.

use std::collections::BTreeMap;

use c2f_data::{Dataset, Sample, Spec};

use crate::{Error, Network, Result};

/// The pictures that an evaluation measures.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The pictures; their labels are the network's.
    pub samples: Vec<Sample>,
    /// The names of the points that they have ([`Dataset::parts`]).
    pub parts: Vec<String>,
    /// The name of their split; `all` where they are all that the data set has.
    pub split: String,
    /// How many of them trained the network.
    pub trained_on: usize,
}

/// Chooses the pictures of the data set `spec` to measure `network` on.
///
/// With `split` they are those of that split, or all for `all`. Without one they are those of `test`. A data set without
/// splits of its own is measured whole, unless it is the one that the network was trained on: then its `test` is
/// the part that was drawn to be held out, with the options that it was drawn with if `spec` has none.
///
/// # Errors
/// If the data set can't be read, has no such split, or has pictures of a class that the network doesn't know.
pub fn select(network: &Network, spec: &Spec, split: Option<&str>) -> Result<Selection> {
    let (dataset, name) = find(network, spec, split)?;
    let samples = match name.as_str() {
        Dataset::ALL => dataset.all(),
        name => dataset.split(name)?.to_vec(),
    };
    let seen = &network.trained_on;
    let is_own = seen.is(&dataset);
    let trained = |split: &str, sample: &&Sample| {
        let class = &dataset.classes[sample.label];
        // The splits of the data set that was trained on share no picture, even where two have the same name and length.
        if is_own { split == "train" || seen.began_with(sample, class) } else { seen.includes(sample, class) }
    };
    let measured = dataset.splits.iter().filter(|(split, _)| name == Dataset::ALL || **split == name);
    let counts = measured.map(|(split, samples)| samples.iter().filter(|sample| trained(split, sample)).count());
    let trained_on = counts.sum();
    let samples = relabel(&samples, &dataset.classes, &network.classes)?;
    Ok(Selection { samples, parts: dataset.parts, split: name, trained_on })
}

/// The data set with its splits, and the name of the one to measure.
fn find(network: &Network, spec: &Spec, split: Option<&str>) -> Result<(Dataset, String)> {
    let whole = c2f_data::open_whole(spec)?;
    if split == Some(Dataset::ALL) || !whole.splits.contains_key(Dataset::ALL) {
        return Ok((whole, split.unwrap_or("test").to_owned()));
    }
    for spec in [Some(spec.clone()), as_trained(network, spec)].into_iter().flatten() {
        // A class with a single picture can't be split, so it wasn't.
        if let Ok(drawn) = c2f_data::open(&spec)
            && network.trained_on.is(&drawn)
        {
            return Ok((drawn, split.unwrap_or("test").to_owned()));
        }
    }
    match split {
        Some(split) => Ok((c2f_data::open(spec)?, split.to_owned())),
        None => Ok((whole, Dataset::ALL.to_owned())),
    }
}

/// `spec`, where it has no options, with those that the network's data set had.
fn as_trained(network: &Network, spec: &Spec) -> Option<Spec> {
    let trained: Spec = network.recipe.data.as_deref()?.parse().ok()?;
    let has_options = *spec != Spec::new(spec.kind, spec.path.clone());
    (!has_options && trained.kind == spec.kind).then(|| Spec { path: spec.path.clone(), ..trained })
}

/// The samples with their labels changed from indices into `theirs` to indices into `known`, by the classes' names.
///
/// # Errors
/// If a class that has pictures isn't known.
pub fn relabel(samples: &[Sample], theirs: &[String], known: &[String]) -> Result<Vec<Sample>> {
    let indices: BTreeMap<&str, usize> = known.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let index = |sample: &Sample| {
        let name = theirs[sample.label].as_str();
        indices.get(name).copied().ok_or_else(|| Error::Dataset {
            name: sample.file.to_string(),
            message: format!("the checkpoint doesn't know the class {name}"),
        })
    };
    samples.iter().map(|sample| Ok(Sample { label: index(sample)?, ..sample.clone() })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_matched_by_name() {
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let sample = |label| {
            let source = c2f_data::Source::File { root: std::path::Path::new("").into() };
            Sample::new("a.jpg", label, source)
        };
        let known = names(&["crow", "finch", "gull"]);
        let relabelled = relabel(&[sample(0), sample(1)], &names(&["gull", "crow"]), &known).unwrap();
        assert_eq!(relabelled.iter().map(|s| s.label).collect::<Vec<_>>(), [2, 0]);
        let error = relabel(&[sample(0)], &names(&["emu"]), &known).unwrap_err();
        assert!(error.to_string().contains("emu"), "{error}");
    }
}
