//! Whatever stands in the files of a data set, reading it gives a data set or an error.

mod common;

use common::{damage, damages, layout, open_as};
use proptest::prelude::*;

/// A kind, a layout, the file that says what is in it, and a file to damage.
const FILES: [(&str, &str, &str, &str); 13] = [
    ("aircraft", "aircraft", "expected_variant.json", "fgvc-aircraft-2013b/data/images_variant_val.txt"),
    ("aircraft", "aircraft", "expected_variant.json", "fgvc-aircraft-2013b/data/images_box.txt"),
    ("cars", "cars", "expected.json", "stanford_cars/cars_test_annos_withlabels.mat"),
    ("cars", "cars", "expected.json", "stanford_cars/devkit/cars_meta.mat"),
    ("cars", "cars_joint", "expected.json", "cars_annos.mat"),
    ("dogs", "dogs", "expected.json", "test_list.mat"),
    ("dogs", "dogs", "expected.json", "Annotation/n02085782-Japanese_spaniel/n02085782_1"),
    ("flowers102", "flowers102", "expected.json", "flowers-102/setid.mat"),
    ("food101", "food101", "expected.json", "food-101/meta/train.txt"),
    ("inat2018", "inat2018", "expected.json", "categories.json"),
    ("inat2018", "inat2018", "expected.json", "train2018.json"),
    ("inat2021", "inat2021", "expected.json", "val.json"),
    ("pets", "pets", "expected.json", "oxford-iiit-pet/annotations/trainval.txt"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn never_panics(file in 0..FILES.len(), damages in damages()) {
        let (kind, name, expected, file) = FILES[file];
        let folder = layout(name, expected);
        damage(&folder.path().join(file), damages);
        // The error names what is wrong; which that is depends on what was damaged.
        if let Err(error) = open_as(kind, folder.path(), "") {
            prop_assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
        }
    }
}
