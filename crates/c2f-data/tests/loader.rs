//! The loader gives the same batches however it is run, and stops when too much is unreadable.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use c2f_data::{
    Batch, ColorJitter, DiskCache, Error, EvalTransform, Fit, Limits, Loader, LoaderConfig, Policy, Sample, Source,
    Spec, TrainTransform, Transform, open,
};
use image::{Rgb, RgbImage};

/// `count` pictures of different sizes; those in `broken` are no pictures.
fn samples(folder: &Path, count: usize, broken: &[usize]) -> Arc<[Sample]> {
    (0..count)
        .map(|i| {
            let file = format!("{i:02}.png");
            let path = folder.join(&file);
            if broken.contains(&i) {
                std::fs::write(&path, "no picture").unwrap();
            } else {
                let (w, h) = (20 + i as u32, 30 - i as u32 % 7);
                RgbImage::from_fn(w, h, |x, y| Rgb([(x * 9) as u8, (y * 7) as u8, (i * 10) as u8]))
                    .save(&path)
                    .unwrap();
            }
            Sample::new(file, i % 3, Source::File { root: folder.into() })
        })
        .collect()
}

fn train() -> Transform {
    Transform::Train(TrainTransform {
        size: 16,
        source_size: 24,
        scale: (0.5, 1.0),
        fit: Fit::Pad,
        rotation: 10.0,
        policy: Policy::RandAugment { ops: 2, magnitude: 9 },
        erase: 0.5,
        jitter: ColorJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
        ..TrainTransform::default()
    })
}

fn config(threads: usize) -> LoaderConfig {
    LoaderConfig { batch_size: 4, threads, prefetch: 2, shuffle: true, seed: 5, ..LoaderConfig::default() }
}

fn batches(loader: &Loader, epoch: u64, start: usize) -> Vec<Batch> {
    loader.epoch(epoch, start).collect::<Result<_, _>>().unwrap()
}

#[test]
fn batches_do_not_depend_on_threads_or_prefetch() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 22, &[3, 17]);
    let config = |threads| LoaderConfig { max_unreadable: 0.1, ..config(threads) };
    let one = batches(&Loader::new(Arc::clone(&samples), train(), config(1)), 2, 0);
    assert_eq!(one.len(), 6);
    for (threads, prefetch) in [(2, 1), (8, 2), (8, 100), (0, 0)] {
        let loader = Loader::new(Arc::clone(&samples), train(), LoaderConfig { prefetch, ..config(threads) });
        assert_eq!(batches(&loader, 2, 0), one, "{threads} threads, {prefetch} batches ahead");
    }
}

#[test]
fn some_batches_of_an_epoch_are_as_in_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let loader = Loader::new(samples(folder.path(), 22, &[]), train(), config(2));
    let whole = batches(&loader, 3, 0);
    for numbers in [vec![1, 2, 5], vec![4, 0], vec![2, 9], vec![]] {
        let some: Vec<Batch> = loader.epoch_of(3, numbers.clone()).collect::<Result<_, _>>().unwrap();
        let expected: Vec<Batch> = numbers.iter().filter_map(|&number| whole.get(number).cloned()).collect();
        assert!(some == expected, "{numbers:?}");
    }
}

#[test]
fn an_epoch_is_every_sample_once_in_an_order_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 22, &[]);
    let loader = Loader::new(Arc::clone(&samples), train(), config(2));
    let order = |epoch| -> Vec<u64> { batches(&loader, epoch, 0).into_iter().flat_map(|b| b.ids).collect() };
    let (first, second) = (order(0), order(1));
    assert_ne!(first, second);
    assert_eq!(first, order(0));
    for mut ids in [first, second] {
        ids.sort_unstable();
        assert_eq!(ids, (0..22).collect::<Vec<_>>());
    }
    for batch in loader.epoch(0, 0) {
        let batch = batch.unwrap();
        let labels: Vec<u32> = batch.ids.iter().map(|&id| id as u32 % 3).collect();
        assert_eq!(batch.labels, labels);
        assert_eq!((batch.size, batch.source_size), (16, 24));
        assert_eq!(batch.images.len(), labels.len() * 3 * 16 * 16);
        assert_eq!(batch.source.unwrap().len(), labels.len() * 3 * 24 * 24);
    }
}

#[test]
fn each_picture_is_transformed_as_alone() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 5, &[]);
    let loader = Loader::new(Arc::clone(&samples), train(), config(3));
    let first = loader.epoch(4, 0).next().unwrap().unwrap();
    let views = train().apply(&c2f_data::decode(&samples[first.ids[1] as usize]).unwrap(), 5, 4, first.ids[1]);
    let plane = 3 * 16 * 16;
    assert_eq!(first.images[plane..2 * plane], views.coarse);
}

#[test]
fn batches_depend_neither_on_caches_nor_on_threads_nor_on_where_an_epoch_goes_on() {
    let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let samples = samples(folder.path(), 22, &[3]);
    // What was written just now isn't kept.
    let before = SystemTime::now() - Duration::from_secs(60);
    for sample in samples.iter() {
        let file = File::options().write(true).open(folder.path().join(&*sample.file)).unwrap();
        file.set_modified(before).unwrap();
    }
    let trivial = Transform::Train(TrainTransform {
        policy: Policy::TrivialAugment,
        size: 16,
        source_size: 24,
        ..TrainTransform::default()
    });
    for (transform, balanced) in [(train(), false), (trivial, true)] {
        let loader = |threads, cache_mb| {
            let config = LoaderConfig { cache_mb, balanced, max_unreadable: 0.5, ..config(threads) };
            Loader::new(Arc::clone(&samples), transform.clone(), config)
        };
        let on_disk = |name, bytes, threads, cache_mb| {
            let disk = DiskCache::open(&kept.path().join(name), bytes, &samples).unwrap();
            loader(threads, cache_mb).with_disk_cache(disk)
        };
        let plain = loader(1, 0);
        // On the disk there is room for all, which two loaders share, for some, and for none.
        let cached = [
            loader(8, 1),
            on_disk("all", 1 << 20, 8, 0),
            on_disk("all", 1 << 20, 1, 1),
            on_disk("some", 9000, 8, 0),
            on_disk("none", 0, 8, 1),
        ];
        for epoch in 0..2 {
            let all = batches(&plain, epoch, 0);
            for (number, loader) in cached.iter().enumerate() {
                assert_eq!(batches(loader, epoch, 0), all, "loader {number}, epoch {epoch}");
                assert_eq!(batches(loader, epoch, 2), all[2..], "loader {number}, epoch {epoch} from batch 2");
            }
        }
    }
}

#[test]
fn decoded_pictures_are_read_from_the_disk() {
    let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let samples = samples(folder.path(), 1, &[]);
    let path = folder.path().join("00.png");
    let before = SystemTime::now() - Duration::from_secs(60);
    let age = || File::options().write(true).open(&path).unwrap().set_modified(before).unwrap();
    age();
    let loader = || {
        let disk = DiskCache::open(kept.path(), 1 << 20, &samples).unwrap();
        Loader::new(Arc::clone(&samples), train(), config(1)).with_disk_cache(disk)
    };
    let first = batches(&loader(), 0, 0);
    // Other bytes of the same length and time: a file that isn't opened again.
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::write(&path, vec![0; length as usize]).unwrap();
    age();
    assert_eq!(batches(&loader(), 0, 0), first);
    // Without the cache it is no picture.
    assert!(Loader::new(Arc::clone(&samples), train(), config(1)).epoch(0, 0).next().unwrap().is_err());
}

#[test]
fn starting_at_a_batch_is_skipping_those_before() {
    let folder = tempfile::tempdir().unwrap();
    let loader = Loader::new(samples(folder.path(), 22, &[]), train(), config(2));
    let all = batches(&loader, 7, 0);
    for start in 0..=7 {
        assert_eq!(batches(&loader, 7, start), all[start.min(6)..], "from batch {start}");
    }
}

#[test]
fn balanced_epochs_have_each_class_equally_often() {
    let folder = tempfile::tempdir().unwrap();
    // 300 samples, all of the same file: 270 of class 0, 20 of class 1, 10 of class 2.
    let one = samples(folder.path(), 1, &[])[0].clone();
    let label = |i: usize| if i < 270 { 0 } else { 1 + usize::from(i >= 290) };
    let samples: Arc<[Sample]> = (0..300).map(|i| Sample { label: label(i), ..one.clone() }).collect();
    let loader = |threads| {
        Loader::new(Arc::clone(&samples), train(), LoaderConfig { balanced: true, batch_size: 30, ..config(threads) })
    };
    let all = batches(&loader(1), 0, 0);
    assert_eq!(batches(&loader(8), 0, 0), all);
    assert_eq!(batches(&loader(2), 0, 4), all[4..]);
    assert_ne!(batches(&loader(2), 1, 0)[0].ids, all[0].ids);
    let ids: Vec<u64> = all.iter().flat_map(|b| b.ids.clone()).collect();
    let of_class = |class| ids.iter().filter(move |&&id| label(id as usize) == class);
    for class in 0..3 {
        // 300 draws of one in three: 100, with a standard deviation of 8.
        let count = of_class(class).count();
        assert!((67..=133).contains(&count), "{count} of class {class}");
    }
    // A class gives all its samples before it gives one again.
    let counts: Vec<usize> = (290..300).map(|i| of_class(2).filter(|&&id| id == i).count()).collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(most - least <= 1, "{counts:?}");
}

#[test]
fn drop_last_leaves_out_what_is_not_full() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 22, &[]);
    let loader = |drop_last, shuffle| {
        Loader::new(Arc::clone(&samples), train(), LoaderConfig { drop_last, shuffle, ..config(2) })
    };
    let sizes = |l: Loader| -> Vec<usize> { batches(&l, 0, 0).iter().map(|b| b.ids.len()).collect() };
    assert_eq!(loader(false, true).batches(), 6);
    assert_eq!(sizes(loader(false, true)), [4, 4, 4, 4, 4, 2]);
    assert_eq!(loader(true, true).batches(), 5);
    assert_eq!(sizes(loader(true, true)), [4; 5]);
    let ids: Vec<u64> = batches(&loader(false, false), 0, 0).into_iter().flat_map(|b| b.ids).collect();
    assert_eq!(ids, (0..22).collect::<Vec<_>>());
}

#[test]
fn unreadable_pictures_are_named_and_skipped_up_to_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 20, &[1, 6, 7]);
    let loader = |max_unreadable| {
        let config = LoaderConfig { shuffle: false, max_unreadable, ..config(2) };
        Loader::new(Arc::clone(&samples), train(), config)
    };
    let all = batches(&loader(0.15), 0, 0);
    assert_eq!(all[0].ids, [0, 2, 3]);
    assert_eq!(all[0].unreadable.len(), 1);
    assert_eq!(all[0].unreadable[0].0, 1);
    assert!(all[0].unreadable[0].1.contains("01.png"), "{}", all[0].unreadable[0].1);
    assert_eq!(all[1].ids, [4, 5]);
    assert_eq!(all[2].unreadable, []);

    // 0.149 of 20 is 2 whole pictures: the third one is one too many, and it is in the second batch.
    let mut epoch = loader(0.149).epoch(0, 0);
    assert!(epoch.next().unwrap().is_ok());
    let error = epoch.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Unreadable { count: 3, allowed: 2, total: 20, .. }));
    let message = error.to_string();
    assert!(message.starts_with("3 of the 20 pictures can't be read, at most 2 may be"), "{message}");
    assert!(message.contains("01.png") && message.contains("07.png"), "{message}");
    assert!(epoch.next().is_none());
    assert!(loader(0.0).epoch(0, 0).next().unwrap().is_err());
}

#[test]
fn pictures_larger_than_the_limit_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    RgbImage::new(1100, 1000).save(folder.path().join("a.png")).unwrap();
    let sample = Sample::new("a.png", 0, Source::File { root: folder.path().into() });
    let samples: Arc<[Sample]> = Arc::new([sample]);
    for (max_megapixels, unreadable) in [(1, 1), (2, 0)] {
        let limits = Limits { max_megapixels };
        let config = LoaderConfig { limits, max_unreadable: 1.0, shuffle: false, ..config(1) };
        let loader = Loader::new(Arc::clone(&samples), train(), config);
        assert_eq!(batches(&loader, 0, 0)[0].unreadable.len(), unreadable);
        let disk = DiskCache::open(&folder.path().join("cache"), 1 << 30, &samples).unwrap();
        assert_eq!(batches(&loader.with_disk_cache(disk), 0, 0)[0].unreadable.len(), unreadable);
    }
}

#[test]
fn a_batch_of_unreadable_pictures_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 8, &[4, 5, 6, 7]);
    let config = LoaderConfig { shuffle: false, max_unreadable: 0.5, ..config(2) };
    let all = batches(&Loader::new(samples, train(), config), 0, 0);
    assert_eq!((all[1].ids.len(), all[1].images.len(), all[1].unreadable.len()), (0, 0, 4));
}

#[test]
fn dropping_an_epoch_stops_its_threads() {
    let folder = tempfile::tempdir().unwrap();
    let samples = samples(folder.path(), 22, &[]);
    let loader = Loader::new(Arc::clone(&samples), train(), LoaderConfig { prefetch: 100, ..config(4) });
    let mut epoch = loader.epoch(0, 0);
    epoch.next().unwrap().unwrap();
    drop(epoch);
    drop(loader);
    // Each thread held the samples.
    assert_eq!(Arc::strong_count(&samples), 1);
}

#[test]
fn no_samples_are_no_batches() {
    let loader = Loader::new(Arc::from([]), train(), config(2));
    assert_eq!((loader.batches(), loader.epoch(0, 0).count()), (0, 0));
}

#[test]
fn synthetic_pictures_load() {
    let dataset = open(&"synthetic?classes=4&size=12&seed=3".parse::<Spec>().unwrap()).unwrap();
    let transform = EvalTransform { resize: 32, size: 32, source_size: 32, ..EvalTransform::default() };
    let samples: Arc<[Sample]> = dataset.split("train").unwrap().into();
    let loader = |threads| Loader::new(Arc::clone(&samples), Transform::Eval(transform.clone()), config(threads));
    let one = batches(&loader(1), 0, 0);
    assert_eq!(one.iter().map(|b| b.ids.len()).sum::<usize>(), 12);
    assert_eq!(one, batches(&loader(3), 0, 0));
}

/// In a process of its own, whose threads would need more memory for their stacks than any machine has.
#[test]
#[cfg(target_os = "linux")]
fn no_threads_is_an_error() {
    const NAME: &str = "no_threads_is_an_error";
    if std::env::var_os("RUST_MIN_STACK").is_none() {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        let command = command.args(["--exact", NAME, "--test-threads=1"]).env("RUST_MIN_STACK", "999999999999999");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut epoch = Loader::new(samples(folder.path(), 3, &[]), train(), LoaderConfig::default()).epoch(0, 0);
    assert!(matches!(epoch.next(), Some(Err(Error::Threads(_)))));
    assert!(epoch.next().is_none());
}
