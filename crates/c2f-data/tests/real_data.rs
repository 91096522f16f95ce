//! Published data sets, where `C2F_TEST_DATA` names the folder that holds them.

use std::path::{Path, PathBuf};

use c2f_data::{BoundingBox, Dataset, decode, open};

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
        assert_eq!(decode(sample).unwrap().dimensions(), (224, 224), "{}", sample.file);
    }
}

#[test]
fn cars_load() {
    let Some(data) = data() else { return };
    let cars = open_cars(&data);
    assert_eq!(cars.classes.len(), 60);
    assert_eq!(cars.classes[0], "AM General Hummer SUV 2000");
    assert_eq!((cars.splits["train"].len(), cars.splits["test"].len()), (1270, 887));
    // The boxes of these copies are the whole pictures.
    for sample in cars.splits["train"].iter().step_by(100) {
        let (width, height) = decode(sample).unwrap().dimensions();
        let whole = BoundingBox { left: 0.0, top: 0.0, width: width as f32, height: height as f32 };
        assert_eq!(sample.bounding_box, Some(whole), "{}", sample.file);
    }
}

/// No real photograph is refused by the strictness that finds cut-off ones.
#[test]
fn every_photograph_decodes() {
    let Some(data) = data() else { return };
    let birds = open(&format!("cub2010:{}", data.join("cub200_2010").display()).parse().unwrap()).unwrap();
    let samples: Vec<_> =
        [birds, open_cars(&data)].into_iter().flat_map(|d| d.splits.into_values().flatten()).collect();
    let refused: Vec<String> = samples.iter().filter_map(|s| decode(s).err()).map(|e| e.to_string()).collect();
    assert!(refused.is_empty(), "{} of {}: {refused:?}", refused.len(), samples.len());
}

fn open_cars(data: &Path) -> Dataset {
    open(&format!("cars:{}", data.join("stanford_cars").display()).parse().unwrap()).unwrap()
}
