use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use tempfile::TempDir;

use super::*;
use crate::{BoundingBox, Skipped, Source, open, open_with_missing};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A picture of its own for each shade.
fn picture(shade: u8) -> RgbImage {
    RgbImage::from_fn(40, 36, |x, y| Rgb([shade, x as u8, y as u8]))
}

/// A file, and what makes it.
type Made<'a> = (&'a str, &'a dyn Fn(&Path));

/// A folder of files.
fn folder(files: &[Made<'_>]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, make) in files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        make(&path);
    }
    folder
}

fn verified(spec: &str) -> Verification {
    let dataset = open_with_missing(&spec.parse().unwrap()).unwrap();
    let mut done = 0;
    let one = verify(&dataset, 1, &mut |n| done = n);
    assert_eq!(done, one.pictures);
    assert_eq!(verify(&dataset, 5, &mut |_| {}), one, "the threads change what is found");
    one
}

/// The messages of one problem, of which the counts must tell.
fn messages(verification: &Verification, problem: Problem) -> Vec<&str> {
    let of_problem = verification.findings.iter().filter(|finding| finding.problem == problem);
    let messages: Vec<&str> = of_problem.map(|finding| finding.message.as_str()).collect();
    assert_eq!(verification.counts[&problem], messages.len(), "{problem:?}");
    assert!(messages.iter().all(|message| !message.contains('\n')), "{messages:?}");
    messages
}

#[test]
fn the_same_picture_is_found_within_and_across_splits() {
    let save = |shade| move |path: &Path| picture(shade).save(path).unwrap();
    let folder = folder(&[
        ("train/Crow/a.png", &save(1)),
        ("train/Crow/again.png", &save(1)),
        ("train/Crow/b.png", &save(2)),
        ("train/Jay/c.png", &save(3)),
        ("train/Jay/as-bmp.bmp", &save(4)),
        ("train/Jay/d.png", &save(5)),
        ("test/Crow/e.png", &save(2)),
        ("test/Crow/f.png", &save(3)),
        ("test/Jay/as-png.png", &save(4)),
        ("test/Jay/g.png", &save(6)),
    ]);
    let found = verified(&format!("folder:{}", folder.path().display()));
    assert_eq!(found.pictures, 10);
    let leaks = [
        "test/Crow/e.png (test) = train/Crow/b.png (train): the same picture in several splits, byte for byte",
        "test/Crow/f.png (test, Crow) = train/Jay/c.png (train, Jay): the same picture in several splits, byte for byte",
        "test/Jay/as-png.png (test) = train/Jay/as-bmp.bmp (train): the same picture in several splits, \
         pixel for pixel, from different files",
    ];
    let mut sorted = messages(&found, Problem::Leak);
    sorted.sort_unstable();
    assert_eq!(sorted, leaks);
    assert_eq!(
        messages(&found, Problem::Conflict),
        [
            "test/Crow/f.png (test, Crow) = train/Jay/c.png (train, Jay): the same picture with different labels, byte for byte"
        ]
    );
    assert_eq!(
        messages(&found, Problem::Duplicate),
        ["train/Crow/a.png (train) = train/Crow/again.png (train): the same picture, byte for byte"]
    );
    let conflict = found.findings.iter().find(|finding| finding.problem == Problem::Conflict).unwrap();
    let jay = Found { split: "train".to_owned(), file: "train/Jay/c.png".to_owned(), class: "Jay".to_owned() };
    assert_eq!((conflict.pictures.len(), &conflict.pictures[1]), (2, &jay));
    assert!(found.findings.is_sorted_by_key(|finding| finding.problem));
    assert_eq!(messages(&found, Problem::Unreadable), [""; 0]);
}

#[test]
fn a_picture_that_is_there_often_is_one_line() {
    let names: Vec<String> = (0..9).map(|i| format!("train/Jay/{i}.png")).collect();
    let save: &dyn Fn(&Path) = &|path| picture(1).save(path).unwrap();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), save)).collect();
    let folder = folder(&files);
    let found = verified(&format!("folder:{}", folder.path().display()));
    let [line] = messages(&found, Problem::Duplicate)[..] else { panic!("{found:?}") };
    assert!(line.contains("train/Jay/3.png (train) and 5 more: the same picture"), "{line}");
    assert_eq!(found.findings[0].pictures.len(), 9);
}

#[test]
fn what_can_not_be_read_is_an_error_and_the_rest_odd() {
    let cut = |path: &Path| {
        let whole = fs::read(fixture("natural.jpg")).unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
    };
    let copy = |name: &'static str| move |path: &Path| fs::write(path, fs::read(fixture(name)).unwrap()).unwrap();
    let sized = |width, height| {
        move |path: &Path| RgbImage::from_fn(width, height, |x, y| Rgb([x as u8, y as u8, 7])).save(path).unwrap()
    };
    let folder = folder(&[
        ("Jay/cut.jpg", &cut),
        ("Jay/text.jpg", &|path| fs::write(path, "no picture").unwrap()),
        ("Jay/turned.jpg", &copy("exif_rotated.jpg")),
        ("Jay/grey.jpg", &copy("grey.jpg")),
        ("Jay/png-inside.jpg", &copy("palette.png")),
        ("Jay/tiny.png", &sized(31, 40)),
        ("Jay/narrow.png", &sized(200, 40)),
        ("Jay/good.png", &sized(160, 40)),
        ("Crow/good.png", &sized(100, 50)),
    ]);
    let list = "file,label,split\nJay/cut.jpg,Jay,train\nJay/text.jpg,Jay,train\nJay/gone.jpg,Jay,test\n\
                Jay/turned.jpg,Jay,train\nJay/grey.jpg,Jay,train\nJay/png-inside.jpg,Jay,train\n\
                Jay/tiny.png,Jay,train\nJay/narrow.png,Jay,train\nJay/good.png,Jay,train\nCrow/good.png,Crow,test\n";
    fs::write(folder.path().join("list.csv"), list).unwrap();
    let spec = format!("list:{}", folder.path().join("list.csv").display());
    // The list alone is an error for everybody else.
    assert!(open(&spec.parse().unwrap()).unwrap_err().to_string().contains("gone.jpg: no such file"));
    let found = verified(&spec);
    assert_eq!(messages(&found, Problem::Missing), ["Jay/gone.jpg (test): no such file"]);
    let unreadable = messages(&found, Problem::Unreadable);
    assert_eq!(unreadable.len(), 2);
    assert!(unreadable[0].starts_with("Jay/cut.jpg (train): is a cut-off JPEG"), "{unreadable:?}");
    assert!(unreadable[1].starts_with("Jay/text.jpg (train): is no JPEG"), "{unreadable:?}");
    let turned = messages(&found, Problem::Turned);
    assert!(turned.len() == 1 && turned[0].starts_with("Jay/turned.jpg (train): "), "{turned:?}");
    assert_eq!(messages(&found, Problem::Grey), ["Jay/grey.jpg (train): has no colour"]);
    let misnamed = ["Jay/png-inside.jpg (train): holds a PNG, the name says JPEG"];
    assert_eq!(messages(&found, Problem::Misnamed), misnamed);
    assert!(messages(&found, Problem::Tiny).contains(&"Jay/tiny.png (train): has 31 x 40 pixels"));
    assert_eq!(messages(&found, Problem::Narrow), ["Jay/narrow.png (train): has 200 x 40 pixels"]);
    assert_eq!(messages(&found, Problem::FewPictures), ["class `Crow`: no picture to train on"]);
    assert!(Problem::Missing.is_error() && Problem::Unreadable.is_error());
    assert!(Problem::ALL[2..].iter().all(|problem| !problem.is_error()) && Problem::ALL.is_sorted());
}

#[test]
fn boxes_are_those_of_the_picture_before_it_is_turned() {
    let source = Source::File { root: fixture("").into() };
    // 24 x 16 pixels in the file, 16 x 24 upright.
    let sample = |width, height| Sample {
        bounding_box: Some(BoundingBox { left: 0.0, top: 0.0, width, height }),
        ..Sample::new("exif_rotated.jpg", 0, source.clone())
    };
    let dataset = Dataset {
        name: "boxes".to_owned(),
        classes: vec!["a".to_owned()],
        ancestors: Vec::new(),
        parts: Vec::new(),
        splits: BTreeMap::from([("test".to_owned(), vec![sample(24.0, 16.0), sample(16.0, 24.0)])]),
        drawn: false,
        skipped: Skipped::default(),
    };
    let found = verify(&dataset, 2, &mut |_| {});
    assert_eq!(
        messages(&found, Problem::Box),
        ["exif_rotated.jpg (test): the box from 0, 0 with 16 x 24 pixels reaches out of the picture of 24 x 16 pixels"]
    );
    // No training set is no class without training pictures.
    assert_eq!(messages(&found, Problem::FewPictures), [""; 0]);
}

#[test]
fn the_report_is_json_with_the_problems_names() {
    let found = verified("synthetic?classes=2&size=9");
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(json["counts"]["few-pictures"], 1, "{json}");
    assert_eq!(json["findings"][0]["problem"], "few-pictures");
    for problem in Problem::ALL {
        assert_eq!(serde_json::to_value(problem).unwrap(), problem.name());
    }
}
