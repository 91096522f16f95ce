//! Data sets in tar files, by WebDataset's convention.

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use c2f_data::{
    Dataset, DiskCache, EvalTransform, Loader, LoaderConfig, Sample, Transform, decode, open, write_shards,
};
use common::{assert_has, damage, damages, files, layout, message, open_as, write};
use image::{Rgb, RgbImage};
use proptest::prelude::*;
use tar::{Builder, EntryType, Header};

/// A picture of one colour, whose red is given.
fn png(red: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    RgbImage::from_pixel(4, 4, Rgb([red, 0, 0])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A tar file with these members, a minute old.
fn shard(path: &Path, members: &[(&str, &[u8])]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut archive = Builder::new(File::create(path).unwrap());
    for (name, bytes) in members {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, *bytes).unwrap();
    }
    archive.into_inner().unwrap();
    age(path, 60);
}

fn age(path: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// A shard of pictures `key.png` with a label each.
fn pairs(path: &Path, samples: &[(&str, &str, u8)]) {
    let members = samples.iter().map(|(key, label, red)| {
        [(format!("{key}.png"), png(*red)), (format!("{key}.cls"), label.as_bytes().to_vec())]
    });
    let members: Vec<(String, Vec<u8>)> = members.flatten().collect();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    shard(path, &members);
}

fn reds(dataset: &Dataset, split: &str) -> Vec<u8> {
    dataset.splits[split].iter().map(|sample| decode(sample).unwrap().get_pixel(0, 0)[0]).collect()
}

fn labels(dataset: &Dataset, split: &str) -> Vec<usize> {
    dataset.splits[split].iter().map(|sample| sample.label).collect()
}

/// Two shards to train on and one to test on, with a class list.
fn set() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    pairs(&place("train-000.tar"), &[("n01/1", "2", 0), ("n01/2", "0", 10)]);
    pairs(&place("train-001.tar"), &[("3", "crow", 20), ("4", "1\n", 30), ("5", "0", 40)]);
    pairs(&place("test-000.tar"), &[("6", "1", 50)]);
    write(folder.path(), "classes.txt", "robin\ncrow\nauk\n");
    folder
}

#[test]
fn shards_are_named_by_braces_or_by_their_folder() {
    let folder = set();
    let dataset = open_as("webdataset", folder.path(), "").unwrap();
    assert_eq!(dataset.classes, ["robin", "crow", "auk"]);
    assert_eq!((labels(&dataset, "train"), reds(&dataset, "train")), (vec![2, 0, 1, 1, 0], vec![0, 10, 20, 30, 40]));
    assert_eq!((labels(&dataset, "test"), reds(&dataset, "test")), (vec![1], vec![50]));
    assert_eq!(files(&dataset, "train")[0], ("train-000.tar/n01/1.png".to_owned(), 2));
    for pattern in ["{train-{000..001},test-000}.tar", "{train-000,train-001,test-000}.tar"] {
        let other = open_as("webdataset", &folder.path().join(pattern), "").unwrap();
        assert_eq!((other.classes, other.splits), (dataset.classes.clone(), dataset.splits.clone()), "{pattern}");
    }
    // The order of the pattern is that of the pictures.
    let turned = open_as("webdataset", &folder.path().join("{train-001,train-000,test-000}.tar"), "").unwrap();
    assert_eq!(reds(&turned, "train"), [20, 30, 40, 0, 10]);
    let test = open_as("webdataset", &folder.path().join("test-000.tar"), "").unwrap();
    assert_eq!((test.splits.len(), reds(&test, "test")), (1, vec![50]));
}

#[test]
fn folders_of_splits_and_shards_without_any() {
    let folder = tempfile::tempdir().unwrap();
    let samples = |from: u8| [("a", "x", from), ("b", "y", from + 1), ("c", "x", from + 2), ("d", "y", from + 3)];
    pairs(&folder.path().join("train/0.tar"), &samples(0));
    pairs(&folder.path().join("validation/0.tar"), &samples(10));
    let dataset = open_as("webdataset", folder.path(), "").unwrap();
    assert_eq!((reds(&dataset, "train"), reds(&dataset, "val")), (vec![0, 1, 2, 3], vec![10, 11, 12, 13]));
    let braces = open_as("webdataset", &folder.path().join("{train,validation}/0.tar"), "").unwrap();
    assert_eq!(braces.splits, dataset.splits);
    // Classes without a list are sorted, and what has no splits is split by the seed.
    let drawn = open_as("webdataset", &folder.path().join("train/{0..0}.tar"), "").unwrap();
    assert!(drawn.drawn && drawn.classes == ["x", "y"]);
    assert_eq!((drawn.splits["train"].len(), drawn.splits["test"].len()), (2, 2));
    pairs(&folder.path().join("more.tar"), &samples(20));
    assert_has(&message("webdataset", folder.path()), &["more.tar: its name has no split"]);
}

#[test]
fn labels_are_in_cls_or_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.tar");
    let picture = png(7);
    let members: Vec<(&str, &[u8])> = vec![
        // In any order, and apart from each other, as tar finds them in a folder.
        ("./b.json", br#"{"caption": "a bird", "label": 10}"#),
        ("a.CLS", b"9"),
        ("./b.png", &picture),
        ("a.PNG", &picture),
        ("a.seg.png", b"a mask"),
        ("c.json", br#"{"label": 3, "cls": 10}"#),
        ("c.png", &picture),
        ("c.cls", b"9"),
        ("README", b"about"),
    ];
    shard(&path, &members);
    let dataset = c2f_data::open_whole(&format!("webdataset:{}", path.display()).parse().unwrap()).unwrap();
    assert_eq!(dataset.classes, ["9", "10"]);
    let expected = [("all.tar/b.png", 1), ("all.tar/a.PNG", 0), ("all.tar/c.png", 0)];
    assert_eq!(files(&dataset, "all"), expected.map(|(name, label)| (name.to_owned(), label)));
    assert!(dataset.skipped.is_empty(), "{}", dataset.skipped);
}

#[test]
fn what_is_not_read_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.tar");
    let picture = png(7);
    let members: Vec<(&str, &[u8])> = vec![
        ("1.png", &picture),
        ("1.cls", b"crow"),
        ("2.png", &picture),
        ("3.png", &picture),
        ("3.cls", b"-1"),
        ("4.png", &picture),
        ("4.json", b"{"),
        ("5.cls", b"crow"),
        ("6.heic", b"other"),
        ("6.cls", b"crow"),
        ("._1.png", b"macOS"),
        (".7.png", &picture),
    ];
    shard(&path, &members);
    let mut archive = fs::read(&path).unwrap();
    archive.truncate(archive.len() - 1024);
    let mut archive = Builder::new(archive);
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    archive.append_link(&mut header, "8.png", "1.png").unwrap();
    fs::write(&path, archive.into_inner().unwrap()).unwrap();
    let dataset = open_as("webdataset", &path, "").unwrap();
    assert_eq!(labels(&dataset, "test"), [0]);
    let skipped = dataset.skipped.to_string();
    for what in [
        "3 pictures without a label",
        "test.tar/2.png",
        "1 sample without a picture",
        "test.tar/5.cls",
        "1 picture of a format that isn't read",
        "1 name that the system made",
        "1 hidden picture",
        "1 picture that is only a link",
    ] {
        assert!(skipped.contains(what), "{what}: {skipped}");
    }
    // An index that is kept tells it again.
    age(&path, 60);
    for _ in 0..2 {
        assert_eq!(open_as("webdataset", &path, "").unwrap().skipped.to_string(), skipped);
    }
    assert!(folder.path().join(".c2f-index.json").is_file());
}

#[test]
fn threads_and_caches_read_the_same_shards() {
    let folder = set();
    let dataset = open_as("webdataset", folder.path(), "").unwrap();
    let samples: Arc<[Sample]> = dataset.split("train").unwrap().into();
    let transform =
        EvalTransform { resize: 4, size: 4, source_size: 4, mean: [0.0; 3], std: [1.0; 3], ..EvalTransform::default() };
    let loader = |threads| {
        let config = LoaderConfig { batch_size: 5, threads, ..LoaderConfig::default() };
        Loader::new(Arc::clone(&samples), Transform::Eval(transform.clone()), config)
    };
    let kept = tempfile::tempdir().unwrap();
    let on_disk = || DiskCache::open(kept.path(), 1 << 20, &samples).unwrap();
    for loader in [loader(1), loader(8), loader(8).with_disk_cache(on_disk()), loader(1).with_disk_cache(on_disk())] {
        let batch = loader.epoch(0, 0).next().unwrap().unwrap();
        let reds: Vec<u8> = batch.images.chunks(3 * 4 * 4).map(|image| (image[0] * 255.0).round() as u8).collect();
        assert_eq!(reds, [0, 10, 20, 30, 40]);
    }
}

#[test]
fn a_picture_is_recognised_in_a_shard() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.png"), png(3)).unwrap();
    pairs(&folder.path().join("test.tar"), &[("a/1", "crow", 3), ("b/1", "crow", 4), ("a/2", "crow", 3)]);
    let file = Sample::of_path(&folder.path().join("1.png"), 0).digest("crow");
    let dataset = open_as("webdataset", &folder.path().join("test.tar"), "").unwrap();
    let digests: Vec<u64> = dataset.splits["test"].iter().map(|sample| sample.digest("crow")).collect();
    assert!(digests[0] == file && digests[2] != file, "{digests:?}");
}

#[test]
fn the_index_is_kept_and_a_changed_shard_is_read_anew() {
    let folder = set();
    let index = folder.path().join(".c2f-index.json");
    let open = || open_as("webdataset", folder.path(), "").unwrap();
    let first = open();
    let text = fs::read_to_string(&index).unwrap();
    // It is what is read, not the headers.
    fs::write(&index, text.replace("n01/1.png", "n01/one.png")).unwrap();
    assert_eq!(&*open().splits["train"][0].file, "train-000.tar/n01/one.png");
    // One shard alone keeps what is known of the others.
    let one = folder.path().join("test-000.tar");
    age(&one, 50);
    open_as("webdataset", &one, "").unwrap();
    assert!(fs::read_to_string(&index).unwrap().contains("n01/one.png"));
    // Another time, or another length.
    age(&folder.path().join("train-000.tar"), 40);
    assert_eq!(open().splits["train"][0], open().splits["train"][0]);
    assert_eq!(&*open().splits["train"][0].file, "train-000.tar/n01/1.png");
    pairs(&folder.path().join("train-001.tar"), &[("9", "auk", 90)]);
    assert_eq!((reds(&open(), "train"), labels(&open(), "train")), (vec![0, 10, 90], vec![2, 0, 2]));
    // What was opened before doesn't read bytes of other pictures.
    let stale = decode(&first.splits["train"][2]).unwrap_err().to_string();
    assert_has(&stale, &["train-001.tar/3.png", "has changed since"]);
    let whole = fs::read_to_string(&index).unwrap();
    let (no_label, far) =
        (whole.replace(r#""labels":["2","0"]"#, r#""labels":["2"]"#), whole.replace("[[512,", "[[99999999,"));
    assert!(no_label != whole && far != whole);
    for damaged in ["", "{", r#"{"version": 9, "shards": {}}"#, &no_label, &far] {
        fs::write(&index, damaged).unwrap();
        assert_eq!(reds(&open(), "train"), [0, 10, 90], "{damaged}");
    }
    // One that was just written could change without a trace, so that nothing is kept of it.
    fs::remove_file(&index).unwrap();
    age(&one, 0);
    open();
    assert!(!index.exists());
}

#[test]
fn bad_shards_and_lists_get_a_line() {
    let folder = set();
    let place = |name: &str| folder.path().join(name);
    let of = |name: &str| message("webdataset", &place(name));
    assert_has(&of("train-{000..003}.tar"), &["train-002.tar: no such file", "that the pattern names"]);
    assert_has(&of("train-{000..003.tar"), &["without its `}`"]);
    assert_has(&of("{train-000,train-000}.tar"), &["train-000.tar: is named twice"]);
    assert_has(&of("nothing.tar"), &["nothing.tar: no such file", "train-000000.tar"]);
    fs::create_dir(place("empty")).unwrap();
    assert_has(&of("empty"), &["has no tar file"]);
    fs::write(place("text.tar"), "not a tar file".repeat(100)).unwrap();
    assert_has(&of("text.tar"), &["text.tar: can't be read", "expected a tar file"]);
    fs::write(place("none.tar"), "").unwrap();
    assert_has(&of("none.tar"), &["none.tar: is cut off: its end is missing"]);
    let picture = png(1);
    let two = |second: &str, name: &str| shard(&place(name), &[("a.png", &picture), ("a.cls", b"0"), (second, b"0")]);
    two("a.png", "test-twice.tar");
    assert_has(&of("test-twice.tar"), &["`a.png` is a second picture of the sample `a`"]);
    two("a.jpg", "test-both.tar");
    assert_has(&of("test-both.tar"), &["`a.jpg` is a second picture"]);
    two("a.cls", "test-label.tar");
    assert_has(&of("test-label.tar"), &["`a.cls` is a second label"]);
    pairs(&place("test-out.tar"), &[("a", "3", 1)]);
    assert_has(&of("test-out.tar"), &["`a.png` is of class `3`", "3 of classes.txt"]);
    pairs(&place("test-name.tar"), &[("a", "raven", 1)]);
    assert_has(&of("test-name.tar"), &["`a.png` is of class `raven`"]);
    shard(&place("test-long.tar"), &[("a.png", &picture), ("a.cls", &[b'x'; 2000])]);
    assert_has(&of("test-long.tar"), &["`a.cls` has 2000 bytes, expected a label of at most 1000"]);
    shard(&place("test-unlabelled.tar"), &[("a.png", &picture)]);
    assert_has(&of("test-unlabelled.tar"), &["has no picture with a label"]);
    write(folder.path(), "classes.txt", "robin\n\nauk\n");
    assert_has(&of("test-000.tar"), &["classes.txt, line 2: is empty"]);
    write(folder.path(), "classes.txt", "robin\nauk\nrobin\n");
    assert_has(&of("test-000.tar"), &["classes.txt, line 3: `robin` is there twice"]);
    write(folder.path(), "classes.txt", "robin\nauk\n");
    write(folder.path(), "hierarchy.tsv", "bird\n");
    assert_has(&of("test-000.tar"), &["hierarchy.tsv: has 1 lines", "2 classes"]);
}

#[test]
fn a_shard_that_is_cut_off_or_claims_too_much_is_refused() {
    let folder = set();
    let path = folder.path().join("train-001.tar");
    let whole = fs::read(&path).unwrap();
    let end = whole.len() - 1024;
    for length in (0..=end).step_by(256) {
        fs::write(&path, &whole[..length]).unwrap();
        let message = message("webdataset", folder.path());
        assert!(message.contains("train-001.tar: ") && !message.contains("panic"), "{length}: {message}");
    }
    // The first member's size, of twelve octal digits and in 64 bits.
    for size in [&b"77777777777\0"[..], &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]] {
        let mut bytes = whole.clone();
        bytes[124..136].copy_from_slice(size);
        let sum: u32 = bytes[..148].iter().chain(&[b' '; 8]).chain(&bytes[156..512]).map(|b| u32::from(*b)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        fs::write(&path, &bytes).unwrap();
        assert_has(&message("webdataset", folder.path()), &["train-001.tar: "]);
    }
    // A name of 8 MB.
    let long = "x".repeat(8 << 20);
    shard(&path, &[(&format!("{long}.png"), &png(1))]);
    assert_has(&message("webdataset", folder.path()), &["a name has more than"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_shards_never_panic(damages in damages()) {
        let folder = set();
        damage(&folder.path().join("train-000.tar"), damages);
        if let Ok(dataset) = open_as("webdataset", folder.path(), "") {
            for sample in dataset.all() {
                let _ = decode(&sample);
            }
        }
    }
}

/// The bytes of every file in a folder, by name.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    all.iter().map(|path| (name(path), fs::read(path).unwrap())).filter(|(name, _)| name != ".c2f-index.json").collect()
}

/// 5 and 3 pictures of 3 classes in folders.
fn pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (red, file) in (1..).zip([
        "train/b/1.png",
        "train/b/2.x.PNG",
        "train/a/1.png",
        "train/c c/1.png",
        "train/c c/é.png",
        "test/a/1.png",
        "test/b/2_x.png",
        "test/b/2.x.png",
    ]) {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, png(red)).unwrap();
    }
    folder
}

#[test]
fn a_data_set_is_the_same_in_shards() {
    let source = pictures();
    let folder = tempfile::tempdir().unwrap();
    for (number, spec) in [
        format!("folder:{}", source.path().display()),
        // Drawn splits and drawn pictures.
        format!("folder:{}?seed=1", source.path().join("train").display()),
        "synthetic?classes=3&size=20".to_owned(),
    ]
    .into_iter()
    .enumerate()
    {
        if number == 1 {
            fs::write(source.path().join("train/a/2.png"), png(99)).unwrap();
        }
        let dataset = open(&spec.parse().unwrap()).unwrap();
        let to = folder.path().join(number.to_string());
        let mut done = Vec::new();
        write_shards(&dataset, &to, 3000, &mut |count| done.push(count)).unwrap();
        assert!(done.len() > 2 && done.last() == Some(&dataset.all().len()), "{done:?}");
        let shards = open_as("webdataset", &to, "").unwrap();
        assert_eq!(shards.classes, dataset.classes);
        assert_eq!(shards.splits.keys().collect::<Vec<_>>(), dataset.splits.keys().collect::<Vec<_>>());
        for (split, samples) in &dataset.splits {
            assert_eq!(labels(&shards, split), labels(&dataset, split));
            for (ours, theirs) in shards.splits[split].iter().zip(samples) {
                assert_eq!(decode(ours).unwrap(), decode(theirs).unwrap(), "{spec}: {}", ours.file);
            }
        }
        assert!(!folder.path().join(format!("{number}.partial")).exists() && !to.join(".lock").exists());
        assert!(write_shards(&dataset, &to, 3000, &mut |_| {}).unwrap_err().to_string().contains("is there already"));
    }
    let shards = open_as("webdataset", &folder.path().join("0"), "").unwrap();
    let names: Vec<&str> = shards.splits["test"].iter().map(|sample| sample.file.split_once('/').unwrap().1).collect();
    assert_eq!(names, ["test/a/1.png", "test/b/2_x.png", "test/b/2_x-2.png"]);
}

#[test]
fn what_is_above_the_classes_comes_along() {
    let source = layout("inat2018", "expected.json");
    let dataset = open_as("inat2018", source.path(), "").unwrap();
    for sample in dataset.all() {
        fs::write(source.path().join(&*sample.file), png(1)).unwrap();
    }
    let to = source.path().join("shards");
    write_shards(&dataset, &to, 1, &mut |_| {}).unwrap();
    let shards = open_as("webdataset", &to, "").unwrap();
    assert!(!dataset.ancestors.is_empty());
    assert_eq!((shards.classes, shards.ancestors), (dataset.classes, dataset.ancestors));
}

#[test]
fn a_call_that_ended_early_is_gone_on_with() {
    let source = pictures();
    let folder = tempfile::tempdir().unwrap();
    let (to, whole) = (folder.path().join("shards"), folder.path().join("whole"));
    let partial = folder.path().join("shards.partial");
    let dataset = open_as("folder", source.path(), "").unwrap();
    let write = |to: &Path| write_shards(&dataset, to, 3000, &mut |_| {});
    write(&whole).unwrap();
    // The last picture of the training set isn't there.
    let gone = source.path().join("train/c c/é.png");
    let bytes = fs::read(&gone).unwrap();
    fs::remove_file(&gone).unwrap();
    assert_has(&write(&to).unwrap_err().to_string(), &["é.png"]);
    assert!(!to.exists());
    let names: Vec<String> = contents(&partial).into_iter().map(|(name, _)| name).collect();
    assert!(names.len() > 2 && names.iter().all(|name| name == ".lock" || name.contains("-00000")), "{names:?}");
    // What a killed call leaves.
    fs::write(partial.join(".c2f-abc.tmp"), "half").unwrap();
    let first = partial.join("train-000000.tar");
    age(&first, 100);
    let before = fs::metadata(&first).unwrap().modified().unwrap();
    fs::write(&gone, bytes).unwrap();
    write(&to).unwrap();
    assert_eq!(fs::metadata(to.join("train-000000.tar")).unwrap().modified().unwrap(), before);
    assert!(contents(&to) == contents(&whole), "the shards are others than those of an undisturbed call");
}

#[test]
fn shards_of_another_data_set_are_not_taken_for_ours() {
    let source = pictures();
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("shards");
    let partial = folder.path().join("shards.partial");
    let dataset = open_as("folder", source.path(), "").unwrap();
    let write = || write_shards(&dataset, &to, 3000, &mut |_| {}).unwrap_err().to_string();
    pairs(&partial.join("train-000000.tar"), &[("train/a/1", "1", 1)]);
    assert_has(&write(), &["train-000000.tar: holds other pictures or labels"]);
    fs::remove_file(partial.join("train-000000.tar")).unwrap();
    pairs(&partial.join("train-000099.tar"), &[("train/a/1", "0", 1)]);
    assert_has(&write(), &["shards.partial: holds more than the data set"]);
    let lock = File::open(partial.join(".lock")).unwrap();
    lock.lock().unwrap();
    assert_has(&write(), &["is being written by another process"]);
    assert!(!to.exists());
}

#[test]
fn what_shards_can_not_hold_is_said_first() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("shards");
    let sample = |name: &str| Sample::of_picture(name, 0, RgbImage::new(2, 2));
    let refused = |class: &str, split: &str| {
        let splits = [(split, vec![sample("a")])];
        let dataset = Dataset::of_samples("mine", vec![class.to_owned()], splits).unwrap();
        write_shards(&dataset, &to, 1, &mut |_| {}).unwrap_err().to_string()
    };
    assert_has(&refused("a\nb", "test"), &["mine", r"a\nb", "classes.txt"]);
    assert_has(&refused("a", "train"), &["`train` alone"]);
    assert_has(&refused("a", "extra"), &["the split `extra`"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
