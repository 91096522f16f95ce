//! Data sets that a program has in memory.

use c2f_data::{Dataset, Sample};
use c2f_engine::checkpoint::{Checkpoint, last_path};
use c2f_engine::{Data, Method, train_on};

use crate::support::{options, recipe, train_all};

/// The recipe's drawings, in memory; those of `train` but for the first are made when they are asked for.
fn drawings_in_memory(recipe: &c2f_engine::Recipe) -> Dataset {
    let drawn = c2f_data::open(&recipe.data.as_ref().unwrap().parse().unwrap()).unwrap();
    let splits = drawn.splits.iter().map(|(split, samples)| {
        let kept = samples.iter().enumerate().map(|(index, sample)| {
            let picture = c2f_data::decode(sample).unwrap();
            if split == "train" && index > 0 {
                let copy = move || Ok::<_, String>(picture.clone());
                return Sample::of_closure(sample.file.clone(), sample.label, copy);
            }
            Sample::of_picture(sample.file.clone(), sample.label, picture)
        });
        (split.as_str(), kept.collect())
    });
    Dataset::of_samples("mine", drawn.classes.clone(), splits).unwrap()
}

#[test]
fn they_train_to_the_same_weights_and_resume() {
    let recipe = recipe(Method::Coarse2fineOrthogonal);
    let (from_names, from_memory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train_all(&recipe, from_names.path());
    let data = Data::of(drawings_in_memory(&recipe)).unwrap();
    let summary = train_on(&data, &recipe, &options(from_memory.path(), false), &mut |_| {}).unwrap();
    assert_eq!(summary.epochs, recipe.epochs);
    let weights = |run: &std::path::Path| {
        let weights = Checkpoint::read(&last_path(run)).unwrap().weights;
        let bits = |t: candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        weights.into_iter().map(|(name, tensor)| (name, bits(tensor))).collect::<Vec<_>>()
    };
    assert_eq!(weights(from_memory.path()), weights(from_names.path()));

    // More epochs of the same pictures; other pictures aren't taken.
    let mut longer = recipe.clone();
    longer.set("epochs=3").unwrap();
    let resumed = train_on(&data, &longer, &options(from_memory.path(), true), &mut |_| {}).unwrap();
    assert_eq!(resumed.epochs, 3);
    let mut other = drawings_in_memory(&recipe);
    other.splits.get_mut("train").unwrap().pop();
    let other = Data::of(other).unwrap();
    assert!(train_on(&other, &longer, &options(from_memory.path(), true), &mut |_| {}).is_err());
}
