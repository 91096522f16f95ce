//! `data shard`: a training on shards ends in the bits of one on the source, and a killed call goes on where it was.

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use common::{DATA, draw_pictures, fail, json, program, succeed, tensors, text, train};

#[test]
fn a_training_on_shards_is_that_on_the_source() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    draw_pictures(&place("pictures"), 4, |_| true);
    std::fs::rename(place("pictures/test"), place("pictures/train")).unwrap();
    draw_pictures(&place("pictures"), 2, |_| true);
    let pictures = format!("folder:{}", place("pictures").display());
    for (number, source) in [DATA, pictures.as_str()].into_iter().enumerate() {
        let to = place(&format!("shards-{number}"));
        let spec = succeed(&["data", "shard", source, "--to", text(&to), "--shard-bytes", "30000"]);
        let spec = spec.trim();
        assert_eq!(spec, format!("webdataset:{}", to.display()));
        let (theirs, ours) = (json(&["data", "inspect", source, "--json"]), json(&["data", "inspect", spec, "--json"]));
        assert_eq!(ours["classes"], theirs["classes"]);
        for split in ["train", "test"] {
            assert_eq!(ours["splits"][split]["labels"], theirs["splits"][split]["labels"]);
        }
        let run = |data: &str, name: &str| {
            let run = place(&format!("{name}-{number}"));
            let mut arguments = train(&run, &[]);
            arguments[2] = data;
            succeed(&arguments);
            let mut tensors = tensors(&run);
            // Which pictures trained it: those of files are recognised in shards, drawings as files aren't.
            if source == DATA {
                tensors.remove("trained_on.pictures").expect("the pictures' digests");
            }
            tensors
        };
        assert!(run(spec, "ours") == run(source, "theirs"), "{source}: other weights");
        assert!(fail(2, &["data", "shard", source, "--to", text(&to)]).contains("is there already"));
    }
}

/// The bytes of every file of a folder, by name, but for the index.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files
        .map(|path| (name(&path), std::fs::read(&path).unwrap_or_default()))
        .filter(|(name, _)| name != ".c2f-index.json")
        .collect()
}

fn ends_in(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

#[test]
fn killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let partial = folder.path().join("killed.partial");
    let shard = |to| ["data", "shard", "synthetic?classes=3&size=300", "--to", text(to), "--shard-bytes", "200000"];
    succeed(&shard(&whole));
    let shards = files(&whole).len();
    assert!(shards > 8, "{shards} files");
    // In the middle of the first shard, of one after others, and of the last.
    for after in [0, 3, shards - 2] {
        let mut child = program().args(shard(&killed)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let is_moment = || {
            let files = files(&partial);
            let whole = files.keys().filter(|name| ends_in(name, "tar")).count();
            whole >= after && files.keys().any(|name| ends_in(name, "tmp"))
        };
        while !is_moment() {
            assert!(child.try_wait().unwrap().is_none() || killed.exists(), "it failed");
            if killed.exists() {
                break;
            }
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        // What has its name is whole.
        for (name, bytes) in files(&partial).into_iter().filter(|(name, _)| ends_in(name, "tar")) {
            assert!(files(&whole)[&name] == bytes, "{name}");
        }
    }
    if !killed.exists() {
        succeed(&shard(&killed));
    }
    assert!(files(&killed) == files(&whole), "other files than those of an undisturbed call");
    assert!(!partial.exists());
}
