//! Published layouts against torchvision's loaders, and what is wrong with broken ones.

mod common;

use std::fs;
use std::path::Path;

use c2f_data::{BoundingBox, Dataset};
use common::{Expected, assert_has, files, layout, message, open_as, tree, write};
use tempfile::TempDir;

fn bounding_box(dataset: &Dataset, split: &str, file: &str) -> BoundingBox {
    let sample = dataset.splits[split].iter().find(|s| s.file.ends_with(file)).unwrap();
    sample.bounding_box.unwrap()
}

fn rectangle(left: f32, top: f32, width: f32, height: f32) -> BoundingBox {
    BoundingBox { left, top, width, height }
}

/// Opens a layout of `make_layouts.py` and compares it with what is expected of each split.
fn compare(kind: &str, name: &str, splits: &[&str]) -> (TempDir, Dataset) {
    let folder = layout(name, "expected.json");
    let dataset = open_as(kind, folder.path(), "").unwrap();
    let expected = Expected::read(name, "expected.json");
    assert_eq!(dataset.classes, expected.classes);
    assert_eq!(
        dataset.splits.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(),
        splits.iter().copied().collect()
    );
    for split in splits {
        expected.assert_split(&dataset, split, split);
    }
    (folder, dataset)
}

mod cars {
    use super::*;

    #[test]
    fn split_layout_is_torchvisions() {
        let (folder, dataset) = compare("cars", "cars", &["train", "test"]);
        // The fields of the fixture are in another order than published.
        assert_eq!(bounding_box(&dataset, "train", "cars_train/00001.jpg"), rectangle(9.0, 29.0, 191.0, 71.0));
        assert_eq!(bounding_box(&dataset, "train", "cars_train/00002.jpg"), rectangle(0.0, 0.0, 50.0, 60.0));
        // The folder itself is as good as the one around it.
        let inner = open_as("cars", &folder.path().join("stanford_cars"), "classes=2").unwrap();
        let kept = [("cars_train/00001.jpg".to_owned(), 1), ("cars_train/00003.jpg".to_owned(), 0)];
        assert_eq!(files(&inner, "train"), kept);
        assert_eq!(inner.name, "cars:stanford_cars");
    }

    #[test]
    fn labels_of_the_test_set_may_lie_in_the_kit_and_folders_be_doubled() {
        let folder = layout("cars", "expected.json");
        let base = folder.path().join("stanford_cars");
        fs::rename(base.join("cars_test_annos_withlabels.mat"), base.join("devkit/cars_test_annos_withlabels.mat"))
            .unwrap();
        for name in ["cars_train", "cars_test"] {
            fs::rename(base.join(name), base.join("inner")).unwrap();
            fs::create_dir(base.join(name)).unwrap();
            fs::rename(base.join("inner"), base.join(name).join(name)).unwrap();
        }
        let dataset = open_as("cars", &base, "").unwrap();
        let test = [("cars_test/cars_test/00001.jpg".to_owned(), 2), ("cars_test/cars_test/00002.jpg".to_owned(), 0)];
        assert_eq!(files(&dataset, "test"), test);
    }

    #[test]
    fn joint_layout_is_split_by_its_column() {
        let (_folder, dataset) = compare("cars", "cars_joint", &["train", "test"]);
        assert_eq!(bounding_box(&dataset, "test", "000002.jpg"), rectangle(0.0, 0.0, 50.0, 60.0));
        let folder = layout("cars_joint", "expected.json");
        fs::copy(common::fixtures("cars/stanford_cars/devkit/cars_meta.mat"), folder.path().join("cars_annos.mat"))
            .unwrap();
        assert_has(&message("cars", folder.path()), &["cars_annos.mat: has no variable `annotations`"]);
    }

    #[test]
    fn kaggles_lists_find_the_class_with_a_slash() {
        let folder = tree(&[
            "car_data/car_data/train/Ram C-V Cargo Van Minivan 2012/00001.jpg",
            "car_data/car_data/train/Acura RL Sedan 2012/00002.jpg",
            "car_data/car_data/test/Ram C-V Cargo Van Minivan 2012/00001.jpg",
        ]);
        write(folder.path(), "names.csv", "Acura RL Sedan 2012\nRam C/V Cargo Van Minivan 2012\n");
        write(folder.path(), "anno_train.csv", "00001.jpg,39,116,569,375,2\n00002.jpg,1,1,2,2,1\n");
        write(folder.path(), "anno_test.csv", "00001.jpg,1,1,2,2,2\n");
        let dataset = open_as("cars", folder.path(), "").unwrap();
        assert_eq!(dataset.classes, ["Acura RL Sedan 2012", "Ram C/V Cargo Van Minivan 2012"]);
        let ram = "car_data/car_data/train/Ram C-V Cargo Van Minivan 2012/00001.jpg";
        assert_eq!(files(&dataset, "train")[0], (ram.to_owned(), 1));
        assert_eq!(bounding_box(&dataset, "train", ram), rectangle(38.0, 115.0, 531.0, 260.0));
        for (line, what) in [
            ("00001.jpg,1,1,2,2,3", "class 3: expected a number from 1 to 2"),
            ("00001.jpg,1,1,2,2", "expected `file,x1,y1,x2,y2,class`"),
            ("gone.jpg,1,1,2,2,2", "gone.jpg: no such file"),
            ("00001.jpg,1,1,2,2,2", "named twice"),
        ] {
            write(folder.path(), "anno_test.csv", &format!("00001.jpg,1,1,2,2,2\n{line}\n"));
            assert_has(&message("cars", folder.path()), &["anno_test.csv, line 2: ", what]);
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let folder = layout("cars", "expected.json");
        let base = folder.path().join("stanford_cars");
        fs::remove_file(base.join("cars_train/00002.jpg")).unwrap();
        assert_has(&message("cars", &base), &["cars_train_annos.mat: annotations(2): ", "00002.jpg: no such file"]);
        write(&base, "cars_train/00002.jpg", "");
        fs::copy(base.join("devkit/cars_meta.mat"), base.join("cars_test_annos_withlabels.mat")).unwrap();
        let no_variable = ["withlabels.mat: has no variable `annotations`", "it has: class_names"];
        assert_has(&message("cars", &base), &no_variable);
        fs::remove_file(base.join("cars_test_annos_withlabels.mat")).unwrap();
        assert_has(&message("cars", &base), &["cars_test_annos_withlabels.mat: no such file"]);
        write(&base, "devkit/cars_meta.mat", "MATLAB 5.0");
        assert_has(&message("cars", &base), &["cars_meta.mat: is no MATLAB file of level 5"]);
        assert_has(&message("cars", tree(&["readme.txt"]).path()), &["cars_meta.mat", "no such file"]);
    }
}

mod aircraft {
    use super::*;

    #[test]
    fn every_level_is_torchvisions() {
        for level in ["variant", "family", "manufacturer"] {
            let file = format!("expected_{level}.json");
            let folder = layout("aircraft", &file);
            let expected = Expected::read("aircraft", &file);
            let dataset = open_as("aircraft", folder.path(), &format!("level={level}")).unwrap();
            assert_eq!(dataset.classes, expected.classes, "{level}");
            for split in ["train", "val", "test"] {
                expected.assert_split(&dataset, split, split);
            }
        }
    }

    #[test]
    fn has_boxes_and_a_hierarchy() {
        let folder = layout("aircraft", "expected_variant.json");
        let dataset = open_as("aircraft", &folder.path().join("fgvc-aircraft-2013b"), "").unwrap();
        assert_eq!(dataset.classes[1], "707-320");
        assert_eq!(dataset.ancestors[1], ["Boeing", "Boeing 707"]);
        assert_eq!(dataset.ancestors[2], ["McDonnell Douglas", "F/A-18"]);
        assert_eq!(bounding_box(&dataset, "train", "0100003.jpg"), rectangle(0.0, 2.0, 100.0, 48.0));
        let families = open_as("aircraft", folder.path(), "level=family").unwrap();
        assert_eq!(families.ancestors[3], ["British Aerospace"]);
        assert!(open_as("aircraft", folder.path(), "level=manufacturer").unwrap().ancestors.is_empty());
        // Without the lists of a level the others are there all the same.
        fs::remove_file(folder.path().join("fgvc-aircraft-2013b/data/images_manufacturer_val.txt")).unwrap();
        let variants = open_as("aircraft", folder.path(), "").unwrap();
        assert_eq!(variants.ancestors[1], ["Boeing 707"]);
        assert!(open_as("aircraft", folder.path(), "level=family").unwrap().ancestors.is_empty());
    }

    #[test]
    fn trainval_is_both() {
        let folder = layout("aircraft", "expected_variant.json");
        let dataset = open_as("aircraft", folder.path(), "train=trainval").unwrap();
        let sizes = dataset.splits.iter().map(|(name, samples)| (name.as_str(), samples.len()));
        assert_eq!(sizes.collect::<Vec<_>>(), [("test", 2), ("train", 5)]);
        let error = open_as("synthetic", Path::new(""), "train=trainval").unwrap_err();
        assert_has(&error.to_string(), &["has no split `val`"]);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        let folder = layout("aircraft", "expected_variant.json");
        let data = folder.path().join("fgvc-aircraft-2013b/data");
        for (line, what) in [
            ("0100001 Hawk T2", "class `Hawk T2` is not in variants.txt"),
            ("0100001", "expected `id label`"),
            ("0100009 737-700", "0100009.jpg: no such file"),
            ("0100007 707-320", "named twice"),
        ] {
            write(&data, "images_variant_test.txt", &format!("0100007 707-320\n{line}\n"));
            assert_has(&message("aircraft", folder.path()), &["images_variant_test.txt, line 2: ", what]);
        }
        write(&data, "images_box.txt", "0100001 1 2 3\n");
        assert_has(&message("aircraft", folder.path()), &["images_box.txt, line 1: ", "ymax"]);
    }
}

mod flowers102 {
    use super::*;

    #[test]
    fn is_torchvisions() {
        let (folder, dataset) = compare("flowers102", "flowers102", &["train", "val", "test"]);
        assert_eq!(dataset.classes.len(), 102);
        let base = folder.path().join("flowers-102");
        fs::remove_file(base.join("jpg/image_00006.jpg")).unwrap();
        assert_has(&message("flowers102", &base), &["setid.mat: valid(2): ", "image_00006.jpg: no such file"]);
        fs::copy(base.join("setid.mat"), base.join("imagelabels.mat")).unwrap();
        assert_has(&message("flowers102", &base), &["imagelabels.mat: has no variable `labels`"]);
    }
}

mod pets {
    use super::*;

    #[test]
    fn is_torchvisions_and_knows_cats_from_dogs() {
        let (folder, dataset) = compare("pets", "pets", &["train", "test"]);
        assert_eq!(dataset.ancestors, [["Cat"], ["Dog"], ["Dog"]]);
        let base = folder.path().join("oxford-iiit-pet");
        for (line, what) in [
            ("Abyssinian_2 1 1", "named twice"),
            ("Abyssinian_3 1 1 1", "Abyssinian_3.jpg: no such file"),
            ("Abyssinian_100 2 1 1", "class 002 is `American Bulldog` in an earlier line"),
            ("Abyssinian_100 1 2 1", "another species"),
            ("Abyssinian_100 x 1 1", "expected `picture class species breed`"),
            ("Abyssinian_100 0 1 1", "from 1"),
            ("Abyssinian_100 1 3 1", "expected `picture class species breed`"),
        ] {
            write(&base, "annotations/test.txt", &format!("Abyssinian_2 1 1 1\n\n{line}\n"));
            assert_has(&message("pets", &base), &["annotations/test.txt, line 3: ", what]);
        }
    }
}

mod food101 {
    use super::*;

    #[test]
    fn is_torchvisions() {
        let (folder, _) = compare("food101", "food101", &["train", "test"]);
        let base = folder.path().join("food-101");
        for (line, what) in [
            ("waffles/8", "named twice"),
            ("waffles/9", "waffles/9.jpg: no such file"),
            ("toast/1", "class `toast` is not in classes.txt"),
            ("waffles", "expected `class/picture`"),
        ] {
            write(&base, "meta/test.txt", &format!("waffles/8\n{line}\n"));
            assert_has(&message("food101", &base), &["meta/test.txt, line 2: ", what]);
        }
    }
}

mod dogs {
    use super::*;

    #[test]
    fn labels_are_those_of_the_lists() {
        let (folder, dataset) = compare("dogs", "dogs", &["train", "test"]);
        // Two dogs are in the picture: the box is around both.
        assert_eq!(bounding_box(&dataset, "train", "n02085782_1.jpg"), rectangle(4.0, 20.0, 26.0, 40.0));
        assert_eq!(dataset.splits["test"][0].bounding_box, None);
        let annotation = "Annotation/n02085782-Japanese_spaniel/n02085782_1";
        for (text, what) in [
            ("<annotation>\n<bndbox></bndbox></annotation>", "n02085782_1, line 2: a box lacks a number"),
            ("<annotation>\n<a></b></annotation>", "n02085782_1, line 2: "),
            ("<annotation/>", "n02085782_1: has no box"),
            ("<a xmlns:b=\"c\"><a xmlns:d=\"e\"/></a>", "n02085782_1: declares a namespace"),
            (&" ".repeat((1 << 20) + 1), "n02085782_1: is larger than 1 MiB"),
        ] {
            write(folder.path(), annotation, text);
            assert_has(&message("dogs", folder.path()), &[what, "expected XML"]);
        }
        fs::copy(folder.path().join("train_list.mat"), folder.path().join("test_list.mat")).unwrap();
        fs::remove_dir_all(folder.path().join("Annotation")).unwrap();
        assert_has(&message("dogs", folder.path()), &["test_list.mat: file_list(1): ", "named twice"]);
    }
}

mod inat {
    use super::*;

    #[test]
    fn pictures_are_joined_by_id_and_named_later() {
        let (folder, dataset) = compare("inat2018", "inat2018", &["train", "val"]);
        // The order is that of `images`, not of `annotations`.
        assert_eq!(files(&dataset, "train")[0], ("train_val2018/Aves/2/a.jpg".to_owned(), 2));
        assert_eq!(dataset.ancestors[2][4..], ["Turdidae", "Turdus"]);
        fs::remove_file(folder.path().join("categories.json")).unwrap();
        let withheld = open_as("inat2018", folder.path(), "").unwrap();
        assert_eq!(withheld.classes, ["0", "1", "2"]);
        assert_eq!(withheld.ancestors, [["Aves"], ["Plantae"], ["Aves"]]);
    }

    #[test]
    fn of_2021_numbers_may_be_none_and_train_be_mini() {
        let (folder, dataset) = compare("inat2021", "inat2021", &["train", "val"]);
        assert_eq!(dataset.ancestors[1][5], "Corvus");
        let mini = open_as("inat2021", folder.path(), "train=train_mini").unwrap();
        Expected::read("inat2021", "expected.json").assert_split(&mini, "train", "train_mini");
        assert_eq!(mini.splits["val"].len(), 2);
        let both = open_as("inat2021", folder.path(), "train=trainval").unwrap();
        assert_eq!(both.splits["train"].len(), 5);
    }

    fn competition(images: &str, annotations: &str, categories: &str) -> TempDir {
        let folder = tree(&["train_val_images/Aves/Corvus corone/a.jpg", "train_val_images/Aves/Corvus corone/b.jpg"]);
        let json = |images, annotations| {
            format!("{{\"images\": [{images}],\n\"annotations\": [{annotations}], \"categories\": [{categories}]}}")
        };
        write(folder.path(), "train2017.json", &json(images, annotations));
        let val = r#"{"id": 7, "file_name": "train_val_images/Aves/Corvus corone/b.jpg"}"#;
        write(folder.path(), "val2017.json", &json(val, r#"{"id": 1, "image_id": 7, "category_id": 9}"#));
        folder
    }

    const IMAGE: &str = r#"{"id": 5, "file_name": "train_val_images/Aves/Corvus corone/a.jpg"}"#;
    const ANNOTATION: &str = r#"{"image_id": 5, "category_id": 3}"#;
    const CATEGORIES: &str = r#"{"id": 9, "name": "Ficus", "supercategory": "Mollusca"},
        {"id": 3, "name": "Ficus", "supercategory": "Plantae"}"#;

    #[test]
    fn of_2017_ids_may_have_gaps_and_share_a_name() {
        let folder = competition(IMAGE, ANNOTATION, CATEGORIES);
        let dataset = open_as("inat2017", folder.path(), "").unwrap();
        assert_eq!(dataset.classes, ["Ficus (3)", "Ficus (9)"]);
        assert_eq!(dataset.ancestors, [["Plantae"], ["Mollusca"]]);
        assert_eq!((files(&dataset, "train")[0].1, files(&dataset, "val")[0].1), (0, 1));
    }

    #[test]
    fn names_what_is_wrong() {
        let twice = format!("{IMAGE},{IMAGE}");
        let again = format!("{ANNOTATION},{ANNOTATION}");
        for (images, annotations, what) in [
            (IMAGE, "", "image 5 has no annotation"),
            (&*twice, ANNOTATION, "image 5 has no annotation of its own"),
            (IMAGE, &*again, "image_id 5 has two annotations"),
            (IMAGE, r#"{"image_id": 5, "category_id": 4}"#, "image_id 5: category 4 is not in `categories`"),
            (IMAGE, r#"{"image_id": 5, "category_id": 3}, {"image_id": 6, "category_id": 3}"#, "image_id 6 is not in"),
            (r#"{"id": 5, "file_name": "gone.jpg"}"#, ANNOTATION, "image 5: "),
            ("", "", "names no picture"),
            (r#"{"id": 5}"#, ANNOTATION, "line 1: missing field `file_name`"),
            (IMAGE, r#"{"image_id": "5", "category_id": 3}"#, "line 2: invalid type: string"),
            (IMAGE, "NaNcy", "line 2: "),
        ] {
            let folder = competition(images, annotations, CATEGORIES);
            assert_has(&message("inat2017", folder.path()), &["train2017.json", what]);
        }
        let folder = competition(IMAGE, ANNOTATION, CATEGORIES);
        assert_has(&message("inat2019", folder.path()), &["train2019.json: no such file"]);
    }
}
