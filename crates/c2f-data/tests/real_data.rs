//! Published data sets, where `C2F_TEST_DATA` names the folder that holds them.

use std::path::PathBuf;

use c2f_data::{Source, decode, decode_file, open};

fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("C2F_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: C2F_TEST_DATA is not set");
    }
    folder
}

#[test]
fn cub2010_loads() {
    let Some(data) = data() else { return };
    let path = data.join("cub200_2010");
    let all = open(&format!("cub2010:{}", path.display()).parse().unwrap()).unwrap();
    assert_eq!(all.classes.len(), 200);
    assert_eq!(all.classes[0], "001.Black_footed_Albatross");
    assert_eq!((all.splits["train"].len(), all.splits["test"].len()), (2996, 2037));
    let first = open(&format!("cub2010:{}?classes=30", path.display()).parse().unwrap()).unwrap();
    assert_eq!(first.classes, all.classes[..30]);
    assert_eq!((first.splits["train"].len(), first.splits["test"].len()), (449, 255));
    for sample in first.splits["test"].iter().step_by(10) {
        assert_eq!(decode(&sample.source).unwrap().dimensions(), (224, 224), "{}", sample.file);
    }
}

/// No real photograph is refused by the strictness that finds cut-off ones.
#[test]
fn every_photograph_decodes() {
    let Some(data) = data() else { return };
    let mut paths: Vec<PathBuf> = ["cars_train", "cars_test"]
        .iter()
        .flat_map(|f| std::fs::read_dir(data.join("stanford_cars").join(f)).unwrap())
        .map(|e| e.unwrap().path())
        .collect();
    let birds = open(&format!("cub2010:{}", data.join("cub200_2010").display()).parse().unwrap()).unwrap();
    paths.extend(birds.splits.into_values().flatten().filter_map(|s| match s.source {
        Source::File(path) => Some(path),
        Source::Synthetic { .. } => None,
    }));
    let refused: Vec<String> = paths.iter().filter_map(|p| decode_file(p).err()).map(|e| e.to_string()).collect();
    assert!(refused.is_empty(), "{} of {}: {refused:?}", refused.len(), paths.len());
}
