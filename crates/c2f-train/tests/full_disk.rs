//! A disk that is full, at whatever write: one line, and nothing half-written under its name.

#![cfg(target_os = "linux")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{DATA, draw_pictures, fail, one_line, succeed, text, train};
use safetensors::SafeTensors;

/// Runs the program where no file can get longer than so many blocks of 512 bytes: the write that is too much fails as on a
/// full disk.
fn run_limited(blocks: usize, arguments: &[&str]) -> Output {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_c2f-train")]).args(arguments);
    command.env_remove("RUST_LOG").output().expect("a shell")
}

/// Everything below a folder but the lock.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// That each file is one that a reader takes, and none is a leftover.
fn assert_whole(folder: &Path) {
    for file in files(folder) {
        let bytes = std::fs::read(&file).unwrap();
        match file.extension().and_then(|extension| extension.to_str()) {
            Some("safetensors") => drop(SafeTensors::deserialize(&bytes).unwrap()),
            Some("png") => drop(image::load_from_memory(&bytes).unwrap()),
            Some("toml") => drop(c2f_engine::Recipe::from_file(&file).unwrap()),
            Some("jsonl") => drop(c2f_engine::read_metrics(&file).unwrap()),
            Some("html") => assert!(bytes.ends_with(b"</html>\n") || bytes.ends_with(b"</html>")),
            // The model card ends with the recipe.
            Some("md") => assert!(bytes.ends_with(b"```\n")),
            _ => assert_eq!(file.file_name().unwrap(), ".lock", "left over"),
        }
    }
}

#[test]
fn trainings() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let settings = ["--set", "method=attention", "--set", "epochs=1"];
    succeed(&train(&whole, &settings));
    // Below, between and above the sizes of its files, the largest being the last checkpoint.
    let mut sizes: Vec<u64> = files(&whole).iter().map(|file| file.metadata().unwrap().len()).collect();
    sizes.sort_unstable();
    let largest = sizes.pop().unwrap();
    sizes.dedup();
    for (number, blocks) in sizes.iter().map(|size| size / 512).chain([0, largest / 512 - 1]).enumerate() {
        let run = folder.path().join(number.to_string());
        let output = run_limited(blocks as usize, &train(&run, &settings));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{blocks} blocks: {stderr}");
        let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains("File too large"), "{blocks} blocks: {stderr}");
        assert_whole(&run);
    }
    let run = folder.path().join("enough");
    assert!(run_limited(largest as usize / 512 + 2, &train(&run, &settings)).status.success());
    assert_whole(&run);
}

#[test]
fn pictures() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    succeed(&train(&place("run"), &["--set", "method=attention", "--set", "epochs=1"]));
    draw_pictures(folder.path(), 1, |_| true);
    let picture = files(&place("test")).remove(0);
    let (run, sheet, overlays) = (place("run"), place("sheet.png"), place("overlays"));
    for arguments in [
        vec!["data", "sheet", DATA, "--output", text(&sheet)],
        vec!["predict", "--checkpoint", text(&run), "--overlay", text(&overlays), text(&picture)],
    ] {
        let output = run_limited(8, &arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        one_line(&arguments, &String::from_utf8_lossy(&output.stderr));
    }
    assert!(!sheet.exists() && files(&overlays).is_empty());

    // The last bytes of a picture wait in a buffer; a device takes none of them.
    std::os::unix::fs::symlink("/dev/full", &sheet).unwrap();
    let line = fail(1, &["data", "sheet", DATA, "--output", text(&sheet)]);
    assert!(line.contains("No space left"), "{line}");
    assert!(sheet.is_symlink());
}

#[test]
fn what_is_there_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    succeed(&train(&place("run"), &["--set", "method=attention", "--set", "epochs=1"]));
    draw_pictures(folder.path(), 1, |_| true);
    let picture = files(&place("test")).remove(0);
    let photograph = place("bird.png");
    std::fs::copy(&picture, &photograph).unwrap();
    let before = std::fs::read(&photograph).unwrap();

    let line = fail(2, &["data", "sheet", DATA, "--output", text(&photograph)]);
    assert!(line.contains("bird.png is there already"), "{line}");
    let other = place("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(&picture, other.join("bird.jpg")).unwrap();
    let run = place("run");
    succeed(&["predict", "--checkpoint", text(&run), "--overlay", text(folder.path()), text(&other.join("bird.jpg"))]);
    assert_eq!(std::fs::read(&photograph).unwrap(), before);
    assert!(place("bird-2.png").is_file());

    let null = place("null.png");
    std::os::unix::fs::symlink("/dev/null", &null).unwrap();
    succeed(&["data", "sheet", DATA, "--output", text(&null)]);
    assert!(null.is_symlink() && !Path::new("/dev/null").is_file());
}
