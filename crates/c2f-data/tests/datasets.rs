//! Small trees of each layout, with what breaks loaders.

mod common;

use std::fs;
use std::path::Path;

use c2f_data::{Dataset, Error, open, open_whole};
use common::{assert_has, files, message, open_as, tree, write};
use tempfile::TempDir;

mod cub2010 {
    use super::*;

    fn birds() -> TempDir {
        let folder = tree(&[
            "images/001.Black_footed_Albatross/a.jpg",
            "images/001.Black_footed_Albatross/b.jpg",
            "images/001.Black_footed_Albatross/not_listed.jpg",
            "images/002.Laysan_Albatross/c d.jpg",
            "images/002.Laysan_Albatross/e.jpg",
            "images/003.Sooty_Albatross/f.jpg",
        ]);
        let train =
            "003.Sooty_Albatross/f.jpg\r\n001.Black_footed_Albatross/b.jpg\r\n\r\n002.Laysan_Albatross/c d.jpg\r\n";
        write(folder.path(), "lists/train.txt", train);
        write(folder.path(), "lists/test.txt", "002.Laysan_Albatross/e.jpg\n001.Black_footed_Albatross/a.jpg");
        folder
    }

    #[test]
    fn keeps_the_order_of_the_lists() {
        let folder = birds();
        let dataset = open_as("cub2010", folder.path(), "").unwrap();
        assert_eq!(dataset.classes, ["001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross"]);
        let expected = [
            ("images/003.Sooty_Albatross/f.jpg", 2),
            ("images/001.Black_footed_Albatross/b.jpg", 0),
            ("images/002.Laysan_Albatross/c d.jpg", 1),
        ];
        assert_eq!(files(&dataset, "train"), expected.map(|(f, l)| (f.to_owned(), l)));
        assert_eq!(files(&dataset, "test").len(), 2);
    }

    #[test]
    fn keeps_the_first_classes() {
        let folder = birds();
        let dataset = open_as("cub2010", folder.path(), "classes=2").unwrap();
        assert_eq!(dataset.classes.len(), 2);
        assert_eq!((dataset.splits["train"].len(), dataset.splits["test"].len()), (2, 2));
        let error = open_as("cub2010", folder.path(), "classes=4").unwrap_err();
        assert!(matches!(error, Error::Spec { .. }));
        assert_has(&error.to_string(), &["classes=4", "has 3 classes"]);
    }

    #[test]
    fn names_what_is_missing() {
        assert_has(
            &message("cub2010", Path::new("/no/such/folder")),
            &["/no/such/folder", "no such folder", "`lists`"],
        );
        let folder = tree(&["readme.txt"]);
        assert_has(&message("cub2010", folder.path()), &["images", "no such folder"]);
        assert_has(&message("cub2010", &folder.path().join("readme.txt")), &["readme.txt", "is no folder"]);
        let folder = birds();
        fs::remove_file(folder.path().join("lists/test.txt")).unwrap();
        assert_has(&message("cub2010", folder.path()), &["lists/test.txt", "no such file"]);
        write(folder.path(), "lists/test.txt", "\n");
        assert_has(&message("cub2010", folder.path()), &["lists/test.txt", "names no picture"]);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        for (line, what) in [
            ("002.Laysan_Albatross/gone.jpg", "gone.jpg: no such file"),
            ("001.Black_footed_Albatross/b.jpg", "named twice"),
            ("Laysan_Albatross/e.jpg", "expected `NNN.Class/picture.jpg`"),
            ("000.Laysan_Albatross/e.jpg", "NNN from 001"),
            ("003.Another/e.jpg", "class 003 is `003.Sooty_Albatross` in an earlier line"),
        ] {
            let folder = birds();
            write(folder.path(), "lists/test.txt", &format!("002.Laysan_Albatross/e.jpg\n\n{line}\n"));
            assert_has(&message("cub2010", folder.path()), &["lists/test.txt, line 3: ", what]);
        }
        let folder = birds();
        write(folder.path(), "images/005.Auklet/g.jpg", "");
        write(folder.path(), "lists/test.txt", "005.Auklet/g.jpg");
        assert_has(&message("cub2010", folder.path()), &["no list names a picture of class 004"]);
    }
}

mod folder {
    use super::*;

    #[test]
    fn with_splits_it_takes_pictures_of_every_ending_and_nothing_else() {
        let folder = tree(&[
            "train/Jay/b.JPG",
            "train/Jay/a.jpeg",
            "train/Jay/c.PNG",
            "train/Jay/d.webp",
            "train/Jay/e.gif",
            "train/Jay/f.bmp",
            "train/Jay/g.tif",
            "train/Jay/h.TIFF",
            "train/Jay/.hidden.jpg",
            "train/Jay/Thumbs.db",
            "train/Jay/notes.txt",
            "train/Jay/nested.jpg/x.jpg",
            "train/Jay/i.HEIC",
            "train/loose.jpg",
            "train/Crow/1.jpg",
            "train/.cache/1.jpg",
            "train/readme.md",
            "val/Jay/v.jpg",
            "test/Crow/2.jpg",
            "extra/Crow/3.jpg",
        ]);
        let dataset = open_as("folder", folder.path(), "").unwrap();
        assert_eq!(dataset.classes, ["Crow", "Jay"]);
        let skipped = dataset.skipped.to_string();
        let root = folder.path().display();
        assert_has(&skipped, &["2 pictures beside or below the class folders", "1 hidden picture"]);
        assert_has(
            &skipped,
            &["1 picture of a format that isn't read", &format!("1 folder that is no split ({root}/extra)")],
        );
        assert_has(&skipped, &[&format!("1 name that the system made ({root}/train/Jay/Thumbs.db)")]);
        let train: Vec<_> = files(&dataset, "train").into_iter().map(|f| f.0).collect();
        let endings = ["a.jpeg", "b.JPG", "c.PNG", "d.webp", "e.gif", "f.bmp", "g.tif", "h.TIFF"];
        let jays = endings.iter().map(|e| format!("train/Jay/{e}"));
        assert_eq!(train, ["train/Crow/1.jpg".to_owned()].into_iter().chain(jays).collect::<Vec<_>>());
        assert_eq!(files(&dataset, "val"), [("val/Jay/v.jpg".to_owned(), 1)]);
        assert_eq!(files(&dataset, "test"), [("test/Crow/2.jpg".to_owned(), 0)]);
        assert_eq!(dataset.splits.len(), 3);
    }

    #[test]
    fn without_splits_each_class_is_split_by_the_seed() {
        let names: Vec<String> =
            (0..10).map(|i| format!("Jay/{i}.jpg")).chain((0..2).map(|i| format!("Crow/{i}.jpg"))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let folder = tree(&names);
        let dataset = open_as("folder", folder.path(), "").unwrap();
        let of_class = |d: &Dataset, split: &str, label| files(d, split).iter().filter(|f| f.1 == label).count();
        assert_eq!((of_class(&dataset, "train", 0), of_class(&dataset, "test", 0)), (1, 1));
        assert_eq!((of_class(&dataset, "train", 1), of_class(&dataset, "test", 1)), (8, 2));
        let again = open_as("folder", folder.path(), "seed=0").unwrap();
        assert_eq!(again.splits, dataset.splits);
        let tests: Vec<_> = (0..8).map(|s| open_as("folder", folder.path(), &format!("seed={s}")).unwrap()).collect();
        assert!(tests.iter().any(|t| t.splits != dataset.splits));
        // A further class moves no picture of the others.
        write(folder.path(), "Auk/1.jpg", "");
        write(folder.path(), "Auk/2.jpg", "");
        let larger = open_as("folder", folder.path(), "").unwrap();
        let others = files(&larger, "test").into_iter().filter(|f| f.1 > 0).map(|(f, l)| (f, l - 1));
        assert_eq!(others.collect::<Vec<_>>(), files(&dataset, "test"));
    }

    #[test]
    fn splits_may_be_called_otherwise() {
        for [train, val, test] in
            [["Train", "Valid", "Test"], ["training", "validation", "testing"], ["TRAIN", "dev", "test"]]
        {
            let [train, val, test] = [(train, "1"), (val, "2"), (test, "3")].map(|(s, n)| format!("{s}/Jay/{n}.jpg"));
            let dataset = open_as("folder", tree(&[&train, &val, &test]).path(), "").unwrap();
            for (split, file) in [("train", train), ("val", val), ("test", test)] {
                assert_eq!(files(&dataset, split), [(file, 0)]);
            }
            assert!(dataset.skipped.is_empty() && !dataset.drawn, "{}", dataset.skipped);
        }
        let both = tree(&["train/Jay/a.jpg", "val/Jay/b.jpg", "valid/Jay/c.jpg"]);
        assert_has(&message("folder", both.path()), &["`val` and `valid` are both the split `val`"]);
    }

    #[test]
    fn a_class_may_be_called_as_a_split_is() {
        let folder = tree(&["train/1.jpg", "train/2.jpg", "plane/1.jpg", "plane/2.jpg", "test/1.jpg", "test/2.jpg"]);
        let dataset = open_as("folder", folder.path(), "").unwrap();
        assert_eq!(dataset.classes, ["plane", "test", "train"]);
        assert!(dataset.drawn);
    }

    #[test]
    fn test_pictures_without_labels_are_counted() {
        let folder = tree(&["train/Jay/1.jpg", "train/Auk/1.jpg", "test/1.jpg", "test/2.jpg", "test/readme.txt"]);
        let dataset = open_as("folder", folder.path(), "").unwrap();
        assert_eq!(dataset.splits.keys().collect::<Vec<_>>(), ["train"]);
        assert_has(&dataset.skipped.to_string(), &["2 pictures without a label"]);
    }

    #[test]
    fn what_systems_add_is_said_and_passed_over() {
        let folder = tree(&[
            "Jay/1.jpg",
            "Jay/2.jpg",
            "Jay/._1.jpg",
            "Jay/@eaDir/1.jpg",
            "__MACOSX/Jay/1.jpg",
            "lost+found/1.jpg",
            ".DS_Store",
            "desktop.ini",
        ]);
        let dataset = open_as("folder", folder.path(), "").unwrap();
        assert_eq!((&dataset.classes[..], dataset.all().len()), (&["Jay".to_owned()][..], 2));
        assert_has(&dataset.skipped.to_string(), &["passed over: 6 names that the system made"]);
        let json = serde_json::to_value(dataset.inspect()).unwrap();
        assert_eq!(json["skipped"][0]["count"], 6);
        // A class folder without a picture matters only where there is something to train on.
        let folder = tree(&["train/Jay/1.jpg", "train/Auk/1.jpg", "test/Jay/2.jpg", "test/Auk/notes.txt"]);
        let dataset = open_as("folder", folder.path(), "").unwrap();
        assert_eq!(files(&dataset, "test"), [("test/Jay/2.jpg".to_owned(), 1)]);
        assert_has(&dataset.skipped.to_string(), &["1 class folder without a picture", "test/Auk"]);
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_are_said_and_passed_over() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tree(&["Jay/1.jpg", "Jay/2.jpg"]);
        fs::write(folder.path().join("Jay").join(std::ffi::OsStr::from_bytes(b"\xff.jpg")), "").unwrap();
        let dataset = open_as("folder", folder.path(), "").unwrap();
        assert_has(&dataset.skipped.to_string(), &["passed over: 1 name that is no UTF-8"]);
    }

    #[test]
    fn classes_of_macos_are_those_of_other_systems() {
        let folder = tree(&["train/H\u{e4}her/1.jpg", "test/Ha\u{308}her/2.jpg"]);
        let dataset = open_as("folder", folder.path(), "").unwrap();
        assert_eq!((dataset.classes.len(), dataset.splits["test"][0].label), (1, 0));
    }

    #[test]
    fn a_folder_that_is_opened_whole_has_one_split() {
        let folder = tree(&["Jay/1.jpg", "Jay/2.jpg", "Jay/3.jpg", "Auk/1.jpg"]);
        let whole =
            |options: &str| open_whole(&format!("folder:{}?{options}", folder.path().display()).parse().unwrap());
        let dataset = whole("").unwrap();
        assert_eq!((files(&dataset, "all").len(), dataset.splits.len(), dataset.drawn), (4, 1, false));
        write(folder.path(), "Auk/2.jpg", "");
        let drawn = open_as("folder", folder.path(), "").unwrap();
        assert!(drawn.drawn);
        assert_eq!(drawn.all().len(), 5);
        let published = tree(&["train/Jay/1.jpg", "test/Jay/2.jpg"]);
        let spec = format!("folder:{}", published.path().display());
        assert_eq!(open_whole(&spec.parse().unwrap()).unwrap().splits.len(), 2);
    }

    #[test]
    fn names_what_is_wrong() {
        assert_has(&message("folder", Path::new("/no/such/folder")), &["/no/such/folder", "no such folder"]);
        let empty = tempfile::tempdir().unwrap();
        assert_has(&message("folder", empty.path()), &["is empty", "class/picture.jpg"]);
        assert_has(
            &message("folder", tree(&["a.jpg", "b.jpg"]).path()),
            &["holds 2 pictures but no folder of a class"],
        );
        assert_has(&message("folder", tree(&["Jay/a.jpg", "Crow/notes.txt"]).path()), &["Crow", "has no picture"]);
        let single = tree(&["Jay/a.jpg", "Jay/b.jpg", "Crow/a.jpg"]);
        assert_has(&message("folder", single.path()), &["class `Crow` has 1 picture, expected at least 2"]);
        let unknown = tree(&["train/Jay/a.jpg", "test/Crow/a.jpg"]);
        assert_has(&message("folder", unknown.path()), &["test: class `Crow` is not in `train`"]);
        let no_classes = tree(&["train/a.jpg", "test/Jay/a.jpg"]);
        assert_has(&message("folder", no_classes.path()), &["train", "no folder of a class"]);
    }

    #[test]
    fn a_test_set_alone_can_be_evaluated() {
        let dataset = open_as("folder", tree(&["test/Jay/a.jpg", "test/Crow/a.jpg"]).path(), "").unwrap();
        assert_eq!(dataset.classes, ["Crow", "Jay"]);
        assert_has(&dataset.split("train").unwrap_err().to_string(), &["has no split `train`, it has: test"]);
    }

    #[test]
    fn size_keeps_the_classes_even() {
        let names: Vec<String> = (0..30).map(|i| format!("train/{}/{i:02}.jpg", ["A", "B", "B", "C"][i % 4])).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let folder = tree(&names);
        let dataset = open_as("folder", folder.path(), "size=9&seed=1").unwrap();
        let train = files(&dataset, "train");
        assert_eq!((0..3).map(|l| train.iter().filter(|f| f.1 == l).count()).collect::<Vec<_>>(), [3, 3, 3]);
        assert!(train.is_sorted());
        assert_ne!(train, files(&open_as("folder", folder.path(), "size=9&seed=2").unwrap(), "train"));
        assert_eq!(open_as("folder", folder.path(), "size=99").unwrap().splits["train"].len(), 30);
    }
}

/// 200 characters, with spaces, quotes, and letters outside of ASCII.
fn odd_name() -> String {
    format!("{} é 鳥 'x', \"y\".png", "n".repeat(180))
}

#[test]
fn odd_names_are_names() {
    let name = odd_name();
    let class = "Häher & Krähe, \"jung\" (♀)";
    let folder = tree(&[&format!("train/{class}/{name}"), &format!("test/{class}/{name}")]);
    let dataset = open_as("folder", folder.path(), "").unwrap();
    assert_eq!(dataset.classes, [class]);
    assert_eq!(files(&dataset, "train"), [(format!("train/{class}/{name}"), 0)]);
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let line = |split: &str| format!("{},{},{split}\n", quoted(&format!("{split}/{class}/{name}")), quoted(class));
    write(folder.path(), "birds.csv", &(line("train") + &line("test")));
    let listed = open_as("list", &folder.path().join("birds.csv"), "").unwrap();
    assert_eq!((&listed.classes, files(&listed, "test")), (&dataset.classes, files(&dataset, "test")));
}

mod list {
    use super::*;

    #[test]
    fn files_are_relative_to_the_list() {
        let folder = tree(&["pictures/a.jpg", "pictures/b.jpg", "c.jpg"]);
        let absolute = folder.path().join("c.jpg");
        let text = format!(
            "\u{feff}file,label,split\npictures/b.jpg,Jay,train\npictures/a.jpg,Crow,train\n{},Jay,test\n",
            absolute.display()
        );
        write(folder.path(), "birds.csv", &text);
        let dataset = open_as("list", &folder.path().join("birds.csv"), "").unwrap();
        assert_eq!(dataset.name, "list:birds.csv");
        assert_eq!(dataset.classes, ["Crow", "Jay"]);
        let train = [("pictures/b.jpg".to_owned(), 1), ("pictures/a.jpg".to_owned(), 0)];
        assert_eq!(files(&dataset, "train"), train);
        assert_eq!(files(&dataset, "test").len(), 1);
    }

    #[test]
    fn without_a_split_each_class_is_split_by_the_seed() {
        let folder = tree(&["0.jpg", "1.jpg", "2.jpg", "3.jpg"]);
        write(folder.path(), "birds.tsv", "0.jpg\tJay\n1.jpg\tJay\n2.jpg\tCrow\n3.jpg\tCrow\n");
        let dataset = open_as("list", &folder.path().join("birds.tsv"), "").unwrap();
        assert_eq!((dataset.splits["train"].len(), dataset.splits["test"].len()), (2, 2));
    }

    #[test]
    fn files_are_found_as_other_systems_write_them() {
        let folder = tree(&["Jay/H\u{e4}her 1.jpg", "Jay/2.jpg", "Jay/3.jpg"]);
        let text = "file,label,split\nJay\\2.jpg,Jay,train\nJay/Ha\u{308}her 1.jpg,Jay,train\nJay/3.jpg,Jay,test\n";
        write(folder.path(), "birds.csv", text);
        let dataset = open_as("list", &folder.path().join("birds.csv"), "").unwrap();
        let train = ["Jay/2.jpg", "Jay/H\u{e4}her 1.jpg"].map(|file| (file.to_owned(), 0));
        assert_eq!(files(&dataset, "train"), train);
    }

    #[test]
    fn folds_of_numbers_are_dealt_anew_if_asked() {
        let folder = tree(&["1.jpg", "2.jpg", "3.jpg", "4.jpg"]);
        write(folder.path(), "birds.csv", "file,label,fold\n1.jpg,Jay,0\n2.jpg,Jay,1\n3.jpg,Auk,0\n4.jpg,Auk,1\n");
        let list = folder.path().join("birds.csv");
        assert_has(&message("list", &list), &["birds.csv, line 2: the column `fold` has numbers", "`fold=I/K`"]);
        assert_eq!(open_as("list", &list, "fold=1/2").unwrap().splits["test"].len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_not_waited_for() {
        assert_has(&message("list", Path::new("/dev/zero")), &["/dev/zero: is no file, expected a list"]);
        let folder = tree(&["names.csv/a.jpg"]);
        assert_has(&message("list", &folder.path().join("names.csv")), &["names.csv: is no file"]);
        let pipe = folder.path().join("pipe.csv");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_has(&message("list", &pipe), &["pipe.csv: is no file"]);
    }

    #[test]
    fn names_the_list_and_the_line() {
        let folder = tree(&["a.jpg"]);
        let list = folder.path().join("birds.csv");
        assert_has(&message("list", &list), &["birds.csv", "no such file", "`file,label`"]);
        write(folder.path(), "birds.csv", "a.jpg,Jay,train\ngone.jpg,Jay,test\n");
        assert_has(&message("list", &list), &["birds.csv, line 2: ", "gone.jpg: no such file"]);
        write(folder.path(), "birds.csv", "a.jpg,Jay,train\n\na.jpg,Crow,test\n");
        assert_has(&message("list", &list), &["birds.csv, line 3: `a.jpg` is named twice"]);
        fs::write(&list, b"a.jpg,Jay\nb.jpg,\xff\n").unwrap();
        assert_has(&message("list", &list), &["birds.csv, line 2: ", "no UTF-8"]);
        write(folder.path(), "birds.csv", "a.jpg,Jay\n");
        assert_has(&message("list", &list), &["class `Jay` has 1 picture"]);
    }
}

mod synthetic {
    use super::*;

    #[test]
    fn has_the_asked_classes_and_sizes() {
        let dataset = open(&"synthetic?classes=6&size=40&seed=2".parse().unwrap()).unwrap();
        assert_eq!(dataset.classes.len(), 6);
        assert_eq!((dataset.splits["train"].len(), dataset.splits["test"].len()), (40, 10));
        assert_eq!(dataset.splits["test"][7].file.as_ref(), "synthetic/test/000007");
        assert!(dataset.splits["train"].iter().all(|s| s.label < 6));
        let error = open(&"synthetic?classes=1000".parse().unwrap()).unwrap_err();
        assert_has(&error.to_string(), &["synthetic?classes=1000", "there are 24 classes"]);
        for (options, what) in [
            ("size=18446744073709551615", "expected at most 4000000, since"),
            ("size=4000001", "expected at most 4000000, since"),
            ("classes=18446744073709551615", "there are 24 classes"),
            ("seed=18446744073709551616", "expected a whole number"),
            ("fold=1/18446744073709551615&size=8", "for 18446744073709551615 folds"),
        ] {
            let error = format!("synthetic?{options}").parse().and_then(|spec| open(&spec)).unwrap_err();
            assert_has(&error.to_string(), &["synthetic", what]);
        }
        assert!(open(&"synthetic?size=8&seed=18446744073709551615".parse().unwrap()).is_ok());
    }

    #[test]
    fn is_inspected_in_the_loaders_order() {
        let dataset = open(&"synthetic?size=8".parse().unwrap()).unwrap();
        let inspection = dataset.inspect();
        let test = &inspection.splits["test"];
        assert_eq!((test.n, &test.labels[..]), (2, &[0, 1][..]));
        assert_eq!(test.files, ["synthetic/test/000000", "synthetic/test/000001"]);
        assert_eq!(inspection.classes, dataset.classes);
    }
}

mod resplit {
    use super::*;

    /// 3 classes with 10, 5 and 6 pictures, the last two of each for testing.
    fn pictures() -> TempDir {
        let mut names = Vec::new();
        for (class, count) in [("auk", 10), ("bee", 5), ("cat", 6)] {
            for number in 0..count {
                let split = if number < count - 2 { "train" } else { "test" };
                names.push(format!("{split}/{class}/{number}.jpg"));
            }
        }
        tree(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn count(dataset: &Dataset, split: &str) -> [usize; 3] {
        let mut counts = [0; 3];
        for (_, label) in files(dataset, split) {
            counts[label] += 1;
        }
        counts
    }

    #[test]
    fn held_out_pictures_leave_the_training_set_and_no_other() {
        let folder = pictures();
        let whole = open_as("folder", folder.path(), "").unwrap();
        let held = open_as("folder", folder.path(), "holdout=25").unwrap();
        assert_eq!((count(&held, "train"), count(&held, "val"), count(&held, "test")), ([6, 2, 3], [2, 1, 1], [2; 3]));
        assert_eq!(files(&held, "test"), files(&whole, "test"));
        let mut together = [files(&held, "train"), files(&held, "val")].concat();
        together.sort();
        let mut train = files(&whole, "train");
        train.sort();
        assert_eq!(together, train);
        let other = open_as("folder", folder.path(), "holdout=25&seed=1").unwrap();
        assert_ne!(files(&other, "val"), files(&held, "val"));
    }

    #[test]
    fn each_picture_is_tested_in_one_fold() {
        let folder = pictures();
        let mut tested = Vec::new();
        for number in 1..=4 {
            let fold = open_as("folder", folder.path(), &format!("fold={number}/4")).unwrap();
            assert_eq!(files(&fold, "train").len() + files(&fold, "test").len(), 21);
            for (part, whole) in count(&fold, "test").iter().zip([10, 5, 6]) {
                assert!((whole / 4..=whole / 4 + 1).contains(part));
            }
            tested.extend(files(&fold, "test"));
        }
        tested.sort();
        tested.dedup();
        assert_eq!(tested.len(), 21);
    }

    #[test]
    fn classes_that_are_too_small_are_named() {
        let folder = tree(&["train/auk/1.jpg", "train/auk/2.jpg", "train/bee/1.jpg", "test/auk/1.jpg"]);
        let error = open_as("folder", folder.path(), "holdout=50").unwrap_err().to_string();
        assert_has(&error, &["holdout", "`bee`", "1 training picture"]);
        let error = open_as("folder", folder.path(), "fold=1/3").unwrap_err().to_string();
        assert_has(&error, &["fold", "`bee`", "1 pictures for 3 folds"]);
    }
}
