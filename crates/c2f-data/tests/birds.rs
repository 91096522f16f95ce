//! CUB-200-2011 and NABirds, which share their text files, and the boxes of CUB-200 (2010).

mod common;

use std::fs;

use c2f_data::{BoundingBox, Point};
use common::{assert_has, damage, damages, files, fixtures, message, open_as, tree, write};
use proptest::prelude::*;
use tempfile::TempDir;

/// A name of 200 characters, with spaces and letters outside of ASCII.
fn odd_name() -> String {
    format!("{} é ü.jpg", "x".repeat(192))
}

fn cub() -> TempDir {
    let odd = format!("images/002.Laysan_Albatross/{}", odd_name());
    let folder = tree(&["images/001.Black_footed_Albatross/a.jpg", "images/001.Black_footed_Albatross/b.jpg", &odd]);
    let root = folder.path();
    let images = format!(
        "1 001.Black_footed_Albatross/a.jpg\n2 001.Black_footed_Albatross/b.jpg\n3 002.Laysan_Albatross/{}\n",
        odd_name()
    );
    write(root, "images.txt", &images);
    // In another order than the images.
    write(root, "image_class_labels.txt", "3 2\n1 1\n2 1\n");
    write(root, "train_test_split.txt", "2 0\r\n3 1\r\n1 1\r\n");
    write(root, "classes.txt", "1 001.Black_footed_Albatross\n2 002.Laysan_Albatross\n");
    write(root, "bounding_boxes.txt", "1 60.0 27.0 325.0 304.0\n2 1.0 1.0 10.5 20.0\n3 14.0 112.0 388.0 186.0\n");
    write(root, "parts/parts.txt", "1 back\n2 left eye\n");
    write(root, "parts/part_locs.txt", "1 1 312.0 182.0 1\n1 2 0.0 0.0 0\n3 2 5.5 6.0 1\n");
    folder
}

#[test]
fn cub2011_joins_by_id() {
    let folder = cub();
    let dataset = open_as("cub2011", folder.path(), "").unwrap();
    assert_eq!(dataset.classes, ["001.Black_footed_Albatross", "002.Laysan_Albatross"]);
    let odd = (format!("images/002.Laysan_Albatross/{}", odd_name()), 1);
    assert_eq!(files(&dataset, "train"), [("images/001.Black_footed_Albatross/a.jpg".to_owned(), 0), odd]);
    assert_eq!(files(&dataset, "test"), [("images/001.Black_footed_Albatross/b.jpg".to_owned(), 0)]);
    // What the archive counts from 1 is counted from 0.
    let first = &dataset.splits["train"][0];
    assert_eq!(first.bounding_box, Some(BoundingBox { left: 59.0, top: 26.0, width: 325.0, height: 304.0 }));
    assert_eq!(dataset.parts, ["back", "left eye"]);
    assert_eq!(*first.parts, [Some(Point { x: 311.0, y: 181.0 }), None]);
    assert_eq!(*dataset.splits["train"][1].parts, [None, Some(Point { x: 4.5, y: 5.0 })]);
    assert!(dataset.ancestors.is_empty());
}

#[test]
fn cub2011_does_without_boxes_and_parts_and_lies_in_its_folder() {
    let folder = cub();
    fs::remove_file(folder.path().join("bounding_boxes.txt")).unwrap();
    fs::remove_dir_all(folder.path().join("parts")).unwrap();
    let around = tempfile::tempdir().unwrap();
    fs::rename(folder.path(), around.path().join("CUB_200_2011")).unwrap();
    let dataset = open_as("cub2011", around.path(), "classes=1").unwrap();
    assert_eq!(files(&dataset, "train"), [("CUB_200_2011/images/001.Black_footed_Albatross/a.jpg".to_owned(), 0)]);
    assert_eq!((dataset.splits["train"][0].bounding_box, dataset.parts.len()), (None, 0));
}

#[test]
fn cub2011_names_the_line_that_is_wrong() {
    for (file, text, what) in [
        ("images.txt", "1 001.Black_footed_Albatross/gone.jpg", "line 1: "),
        ("images.txt", "1 001.Black_footed_Albatross/a.jpg\n1 001.Black_footed_Albatross/b.jpg", "line 2: image `1`"),
        ("images.txt", "1 001.Black_footed_Albatross/a.jpg\n2 001.Black_footed_Albatross/a.jpg", "line 2: "),
        ("images.txt", "1\n", "line 1: `1`: expected `image_id file`"),
        ("images.txt", "\n", "names no picture"),
        ("image_class_labels.txt", "1 1\n2 3\n3 1\n", "line 2: `3`: expected `image_id class_id`"),
        ("image_class_labels.txt", "1 1\n2 1\n2 1\n", "line 3: the image has a line already"),
        ("image_class_labels.txt", "1 1\n2 1\n", "has no line for `images/002.Laysan_Albatross/"),
        ("image_class_labels.txt", "1 1\n4 1\n", "line 2: image `4` is not in `images.txt`"),
        ("train_test_split.txt", "1 2\n", "line 1: `2`: expected `image_id is_training_image`"),
        ("classes.txt", "1 a\n3 c\n2 b\n5 e\n", "has no class 4"),
        ("classes.txt", "1 a\n1 b\n", "line 2: 1 has a name already"),
        ("bounding_boxes.txt", "1 60.0 27.0 325.0\n", "line 1: `60.0 27.0 325.0`: expected"),
        ("bounding_boxes.txt", "1 60.0 27.0 NaN 1\n", "line 1: "),
        ("parts/part_locs.txt", "1 3 1 1 1\n", "line 1: `3 1 1 1`: expected `image_id part_id"),
    ] {
        let folder = cub();
        write(folder.path(), file, text);
        assert_has(&message("cub2011", folder.path()), &[file, what]);
    }
    for file in ["images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt"] {
        let folder = cub();
        fs::remove_file(folder.path().join(file)).unwrap();
        assert_has(&message("cub2011", folder.path()), &[file, "no such file"]);
    }
}

fn nabirds() -> TempDir {
    let folder = tree(&["images/0817/aa.jpg", "images/0900/bb.jpg", "images/0295/cc.jpg"]);
    let root = folder.path();
    let (a, b, c) = ("0000139e-21dc-4d0c", "0000d9fc-4e02-4c06", "00019306-9d83-4334");
    write(root, "images.txt", &format!("{a} 0817/aa.jpg\n{b} 0900/bb.jpg\n{c} 0295/cc.jpg\n"));
    write(root, "image_class_labels.txt", &format!("{a} 817\n{b} 1000\n{c} 295\n"));
    write(root, "train_test_split.txt", &format!("{a} 0\n{b} 1\n{c} 1\n"));
    let classes =
        "0 Birds\n1 Ducks, Geese, and Swans\n295 Common Eider (Adult male)\n817 Oak Titmouse\n1000 Swan\n22 Owls\n";
    write(root, "classes.txt", classes);
    write(root, "hierarchy.txt", "1 0\n295 1\n817 0\n1000 1\n22 0\n");
    write(root, "bounding_boxes.txt", &format!("{a} 0 10 20 30\n{b} 1 2 3 4\n{c} 5 6 7 8\n"));
    folder
}

#[test]
fn nabirds_takes_the_used_numbers_in_their_order() {
    let dataset = open_as("nabirds", nabirds().path(), "").unwrap();
    assert_eq!(dataset.classes, ["Common Eider (Adult male)", "Oak Titmouse", "Swan"]);
    assert_eq!(
        dataset.ancestors,
        [vec!["Birds", "Ducks, Geese, and Swans"], vec!["Birds"], vec!["Birds", "Ducks, Geese, and Swans"]]
    );
    assert_eq!(files(&dataset, "train"), [("images/0900/bb.jpg".to_owned(), 2), ("images/0295/cc.jpg".to_owned(), 0)]);
    assert_eq!(files(&dataset, "test"), [("images/0817/aa.jpg".to_owned(), 1)]);
    let bounding_box = BoundingBox { left: 0.0, top: 10.0, width: 20.0, height: 30.0 };
    assert_eq!(dataset.splits["test"][0].bounding_box, Some(bounding_box));
}

#[test]
fn nabirds_has_a_tree() {
    for (text, what) in [
        ("295 1\n1 295\n", "hierarchy.txt: class 295 is above itself"),
        ("295 1\n295 22\n", "hierarchy.txt, line 2: class 295 has a parent already"),
        ("295 7\n", "hierarchy.txt, line 1: `295 7`: expected"),
        ("295\n", "hierarchy.txt, line 1: `295`: expected"),
    ] {
        let folder = nabirds();
        write(folder.path(), "hierarchy.txt", text);
        assert_has(&message("nabirds", folder.path()), &[what]);
    }
    let folder = nabirds();
    fs::remove_file(folder.path().join("hierarchy.txt")).unwrap();
    assert_has(&message("nabirds", folder.path()), &["hierarchy.txt: no such file"]);
}

#[test]
fn cub2010_has_a_box_where_there_is_an_annotation() {
    for annotations in ["annotations-mat", "annotations"] {
        let folder = tree(&["images/001.Black_footed_Albatross/a.jpg", "images/001.Black_footed_Albatross/b.jpg"]);
        write(folder.path(), "lists/train.txt", "001.Black_footed_Albatross/a.jpg\n");
        write(folder.path(), "lists/test.txt", "001.Black_footed_Albatross/b.jpg\n");
        let annotation = format!("{annotations}/001.Black_footed_Albatross/a.mat");
        write(folder.path(), &annotation, "");
        fs::copy(fixtures("matlab/compressed.mat"), folder.path().join(&annotation)).unwrap();
        let dataset = open_as("cub2010", folder.path(), "").unwrap();
        let bounding_box = BoundingBox { left: 19.0, top: 29.0, width: 101.5, height: 151.0 };
        // `top` and `bottom` of the fixture are the smaller and the larger one.
        assert_eq!(dataset.splits["train"][0].bounding_box, Some(bounding_box));
        assert_eq!(dataset.splits["test"][0].bounding_box, None);
        fs::copy(fixtures("cars_joint/cars_annos.mat"), folder.path().join(&annotation)).unwrap();
        assert_has(&message("cub2010", folder.path()), &["a.mat: has no variable `bbox`", "`left`"]);
    }
}

/// A kind, and a text file of it to damage.
const TEXTS: [(&str, &str); 13] = [
    ("cub2011", "images.txt"),
    ("cub2011", "image_class_labels.txt"),
    ("cub2011", "train_test_split.txt"),
    ("cub2011", "classes.txt"),
    ("cub2011", "bounding_boxes.txt"),
    ("cub2011", "parts/parts.txt"),
    ("cub2011", "parts/part_locs.txt"),
    ("nabirds", "images.txt"),
    ("nabirds", "image_class_labels.txt"),
    ("nabirds", "classes.txt"),
    ("nabirds", "hierarchy.txt"),
    ("cub2010", "lists/train.txt"),
    ("cub2010", "lists/test.txt"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_texts_never_panic(file in 0..TEXTS.len(), damages in damages()) {
        let (kind, file) = TEXTS[file];
        let folder = match kind {
            "cub2011" => cub(),
            "nabirds" => nabirds(),
            _ => {
                let folder = tree(&["images/001.Black_footed_Albatross/a.jpg", "images/002.Laysan_Albatross/b.jpg"]);
                write(folder.path(), "lists/train.txt", "001.Black_footed_Albatross/a.jpg\n");
                write(folder.path(), "lists/test.txt", "002.Laysan_Albatross/b.jpg\n");
                folder
            }
        };
        damage(&folder.path().join(file), damages);
        if let Err(error) = open_as(kind, folder.path(), "") {
            prop_assert!(error.to_string().contains(&folder.path().display().to_string()), "{error}");
        }
    }
}
