//! What is wrong with the input is said in one line, with the right exit status.

mod common;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use common::{DATA, draw_pictures, fail, json, one_line, program, succeed, text, train};
use image::{ImageBuffer, Luma, Rgb, RgbImage, Rgba};
use tempfile::TempDir;

/// A run whose checkpoint the tests share, beside a folder of good pictures.
struct Good {
    folder: TempDir,
}

impl Good {
    fn get() -> &'static Self {
        static GOOD: OnceLock<Good> = OnceLock::new();
        GOOD.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            succeed(&train(&folder.path().join("run"), &["--set", "method=attention", "--set", "epochs=1"]));
            draw_pictures(&folder.path().join("pictures"), 2, |_| true);
            Self { folder }
        })
    }

    fn run(&self) -> PathBuf {
        self.folder.path().join("run")
    }
}

/// `train`, `eval` and `data inspect` with this data set all fail with the status and name each of `words`.
fn all_refuse(status: i32, data: &str, words: &[&str]) {
    let run = Good::get().run();
    let output = tempfile::tempdir().unwrap();
    let output = output.path().join("run");
    let mut training = train(&output, &[]);
    training[2] = data;
    for arguments in [training, vec!["eval", "--checkpoint", text(&run), "--data", data], vec!["data", "inspect", data]]
    {
        let line = fail(status, &arguments);
        for word in words {
            assert!(line.contains(word), "{word} in {line}");
        }
    }
    assert!(!output.exists(), "a run that never began leaves no folder");
}

#[test]
fn a_folder_that_is_not_there() {
    for kind in ["folder", "cub2010", "list"] {
        all_refuse(1, &format!("{kind}:/no/such/place"), &["/no/such/place"]);
    }
}

#[test]
fn an_empty_folder() {
    let empty = tempfile::tempdir().unwrap();
    for kind in ["folder", "cub2010"] {
        all_refuse(1, &format!("{kind}:{}", text(empty.path())), &[text(empty.path())]);
    }
}

#[test]
fn a_class_with_one_picture() {
    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 2, |_| true);
    let classes = folder.path().join("test");
    std::fs::create_dir(classes.join("lonely")).unwrap();
    RgbImage::new(8, 8).save(classes.join("lonely/one.png")).unwrap();
    let output = folder.path().join("run");
    let data = format!("folder:{}", text(&classes));
    let mut training = train(&output, &[]);
    training[2] = &data;
    for arguments in [training, vec!["data", "inspect", &data]] {
        let line = fail(1, &arguments);
        assert!(line.contains("lonely") && line.contains("at least 2"), "{line}");
    }
    assert!(!output.exists(), "a run that never began leaves no folder");
    // A single one is enough to be measured.
    std::fs::remove_dir_all(classes.join("lonely")).unwrap();
    for class in std::fs::read_dir(&classes).unwrap() {
        std::fs::remove_file(class.unwrap().path().join("1.png")).unwrap();
    }
    let measured = json(&["eval", "--checkpoint", text(&Good::get().run()), "--data", &data, "--json"]);
    assert_eq!(measured["n"], 3);
}

#[test]
fn a_data_set_that_has_no_meaning() {
    all_refuse(2, "cub2001:x", &["cub2010"]);
    all_refuse(2, "x", &["unknown kind"]);
    all_refuse(2, "synthetic?clases=3", &["classes"]);
    all_refuse(2, "folder:", &["folder:PATH"]);
}

/// Pictures that can't be read, with a word of what is said about each.
fn unreadable(folder: &Path) -> Vec<(PathBuf, &'static str)> {
    let path = |name: &str| folder.join(name);
    std::fs::write(path("text.jpg"), "no picture at all").unwrap();
    std::fs::write(path("empty.png"), "").unwrap();
    RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 4) as u8, (y * 4) as u8, (x * y) as u8])).save(path("cut.jpg")).unwrap();
    let whole = std::fs::read(path("cut.jpg")).unwrap();
    std::fs::write(path("cut.jpg"), &whole[..whole.len() * 2 / 3]).unwrap();
    std::fs::write(path("huge.png"), huge_png()).unwrap();
    vec![
        (path("text.jpg"), "no p"),
        (path("empty.png"), "empty"),
        (path("cut.jpg"), "cut-off"),
        (path("huge.png"), "20000 x 20000"),
        (path("gone.jpg"), "gone.jpg"),
    ]
}

/// The beginning of a grey PNG of 20000 x 20000 pixels: enough to refuse it, too little to decode.
fn huge_png() -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(20_000_u32.to_be_bytes());
    header.extend(20_000_u32.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d".to_vec();
    png.extend(&header);
    png.extend(crc32(&header).to_be_bytes());
    png.extend(b"\x00\x00\x00\x02IDAT\x78\x9c");
    png.extend(crc32(b"IDAT\x78\x9c").to_be_bytes());
    png
}

/// The checksum of PNG's chunks (ISO 3309).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn predict_names_each_unreadable_picture() {
    let run = Good::get().run();
    let folder = tempfile::tempdir().unwrap();
    let pictures = unreadable(folder.path());
    for (picture, word) in &pictures {
        let line = fail(1, &["predict", "--checkpoint", text(&run), text(picture)]);
        assert!(line.contains(text(picture)) && line.contains(word), "{word} in {line}");
    }
    let mut all = vec!["predict", "--checkpoint", text(&run), "--json"];
    all.extend(pictures.iter().map(|(picture, _)| text(picture)));
    assert!(fail(1, &all).contains("5 of 5"));
}

#[test]
fn training_and_evaluation_skip_few_and_refuse_many() {
    let run = Good::get().run();
    let folder = tempfile::tempdir().unwrap();
    draw_pictures(folder.path(), 2, |_| true);
    let test = folder.path().join("test");
    let class = std::fs::read_dir(&test).unwrap().next().unwrap().unwrap().path();
    std::fs::write(class.join("text.jpg"), "no picture at all").unwrap();
    let data = format!("folder:{}", text(folder.path()));
    // One of seven is more than the default of 1 %.
    let line = fail(1, &["eval", "--checkpoint", text(&run), "--data", &data]);
    assert!(line.contains("text.jpg") && line.contains("max_unreadable"), "{line}");

    // Trained on the same folder with a limit that allows it: said, counted and skipped.
    std::fs::create_dir(folder.path().join("set")).unwrap();
    for part in ["train", "test"] {
        copy_folder(&test, &folder.path().join("set").join(part));
    }
    let data = format!("folder:{}", text(&folder.path().join("set")));
    let output = folder.path().join("run");
    let mut training = train(&output, &["--set", "method=attention", "--set", "epochs=1"]);
    training[2] = &data;
    let refused = common::run(&training);
    assert_eq!(refused.status.code(), Some(1));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    let last = stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("text.jpg") && !stderr.contains("panicked"), "{stderr}");

    let output = folder.path().join("tolerant");
    let mut training = train(&output, &["--set", "method=attention", "--set", "epochs=1"]);
    training[2] = &data;
    training.extend(["--set", "loader.max_unreadable=0.5"]);
    let allowed = common::run(&training);
    let stderr = String::from_utf8(allowed.stderr).unwrap();
    assert!(allowed.status.success() && stderr.contains("text.jpg"), "{stderr}");
    let result = json(&["eval", "--checkpoint", text(&output), "--data", &data, "--json"]);
    assert_eq!(result["n"], 6);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn odd_pictures_are_pictures() {
    let run = Good::get().run();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    RgbImage::from_pixel(1, 1, Rgb([200, 100, 50])).save(path("one-pixel.png")).unwrap();
    RgbImage::from_pixel(600, 2, Rgb([200, 100, 50])).save(path("strip.jpg")).unwrap();
    ImageBuffer::from_fn(40, 30, |x, y| Luma([(x + y) as u8])).save(path("grey.jpg")).unwrap();
    ImageBuffer::from_fn(40, 30, |x, y| Rgba([x as u16 * 900, y as u16 * 900, 7, 1000 * x as u16]))
        .save(path("deep-alpha.png"))
        .unwrap();
    std::fs::write(path("cmyk.jpg"), include_bytes!("../../c2f-data/tests/fixtures/cmyk.jpg")).unwrap();
    std::fs::write(path("turned.jpg"), turned(&picture_as_jpeg())).unwrap();
    std::fs::write(path("upright.jpg"), picture_as_jpeg()).unwrap();
    let names = ["one-pixel.png", "strip.jpg", "grey.jpg", "deep-alpha.png", "cmyk.jpg", "turned.jpg", "upright.jpg"];
    let paths = names.map(path);
    let overlays = folder.path().join("overlays");
    let mut arguments = vec!["predict", "--checkpoint", text(&run), "--json", "--overlay", text(&overlays)];
    arguments.extend(paths.iter().map(|p| text(p)));
    let answers = json(&arguments);
    for answer in answers.as_array().unwrap() {
        let sum: f64 =
            answer["predictions"].as_array().unwrap().iter().map(|p| p["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{answer}");
    }
    // The first panel of the overlay, below its caption, is the picture: upright it is dark on the left, turned by a
    // half it is dark on the right.
    let side = |name: &str, x: u32| image::open(overlays.join(name)).unwrap().to_rgb8().get_pixel(x, 150)[0];
    assert!(side("upright.png", 30) < 60 && side("upright.png", 240) > 200);
    assert!(side("turned.png", 30) > 200 && side("turned.png", 240) < 60);
}

/// Dark on the left, light on the right.
fn picture_as_jpeg() -> Vec<u8> {
    let picture = RgbImage::from_fn(64, 64, |x, _| Rgb([if x < 32 { 0 } else { 255 }; 3]));
    let mut jpeg = Vec::new();
    picture.write_to(&mut std::io::Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
    jpeg
}

/// The JPEG with an EXIF segment that says "turn by 180 degrees" (orientation 3).
fn turned(jpeg: &[u8]) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08".to_vec();
    exif.extend(b"\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0");
    let mut out = jpeg[..2].to_vec();
    out.extend([0xff, 0xe1]);
    out.extend((exif.len() as u16 + 2).to_be_bytes());
    out.extend(exif);
    out.extend(&jpeg[2..]);
    out
}

/// `eval`, `predict` and `train --resume` with a run whose checkpoints are these bytes.
fn checkpoint_is_refused(bytes: &[u8], word: &str) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    std::fs::create_dir_all(run.join("checkpoints")).unwrap();
    std::fs::copy(Good::get().run().join("config.toml"), run.join("config.toml")).unwrap();
    for name in ["last", "best"] {
        let path = run.join(format!("checkpoints/{name}.safetensors"));
        std::fs::File::create(path).unwrap().write_all(bytes).unwrap();
    }
    let picture = folder.path().join("x.png");
    RgbImage::new(8, 8).save(&picture).unwrap();
    for arguments in [
        vec!["eval", "--checkpoint", text(&run), "--data", DATA],
        vec!["predict", "--checkpoint", text(&run), text(&picture)],
        vec!["train", "--resume", "--output", text(&run)],
    ] {
        let line = fail(1, &arguments);
        assert!(line.contains(".safetensors") && line.contains(word), "{word} in {line}");
    }
}

#[test]
fn a_truncated_checkpoint() {
    let whole = std::fs::read(Good::get().run().join("checkpoints/last.safetensors")).unwrap();
    for length in [0, 5, 100, whole.len() / 2, whole.len() - 1] {
        checkpoint_is_refused(&whole[..length], "cut off");
    }
    checkpoint_is_refused(b"not a checkpoint, but text that is long enough to be read as one", "safetensors");
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_is_no_checkpoint_and_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("best.safetensors");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(fail(1, &["eval", "--checkpoint", text(&pipe), "--data", DATA]).contains("no regular file"));
    let output = folder.path().join("run");
    let line = fail(2, &train(&output, &["--weights", text(&pipe)]));
    assert!(line.contains("best.safetensors: it is no regular file"), "{line}");
}

#[test]
fn a_checkpoint_of_another_class_count() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut training = train(&run, &["--set", "method=attention", "--set", "epochs=1"]);
    training[2] = "synthetic?classes=5&size=16";
    succeed(&training);
    // Two of its five classes are unknown to the other.
    let other = Good::get().run();
    let line = fail(1, &["eval", "--checkpoint", text(&other), "--data", "synthetic?classes=5&size=40"]);
    assert!(line.contains("doesn't know the class"), "{line}");
    // And the five-class weights don't go on training on three.
    let config = run.join("config.toml");
    let recipe = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, recipe.replace("synthetic?classes=5&size=16", DATA)).unwrap();
    let output = common::run(&["train", "--resume", "--output", text(&run)]);
    assert!(matches!(output.status.code(), Some(1 | 2)));
    common::one_line(&["train", "--resume"], &String::from_utf8(output.stderr).unwrap());
}

#[test]
fn a_checkpoint_that_is_not_there() {
    let empty = tempfile::tempdir().unwrap();
    for path in [Path::new("/no/such/run"), empty.path()] {
        let line = fail(1, &["eval", "--checkpoint", text(path), "--data", DATA]);
        assert!(line.contains(text(path)), "{line}");
    }
}

#[test]
fn weights_that_are_no_weights() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    let line = fail(2, &train(&output, &["--weights", "no/such/file.safetensors"]));
    assert!(line.contains("no/such/file.safetensors"), "{line}");
    for name in ["text.safetensors", "text.pth"] {
        let file = folder.path().join(name);
        std::fs::write(&file, "no weights at all, but text").unwrap();
        let line = fail(1, &train(&output, &["--weights", text(&file)]));
        assert!(line.contains(name), "{line}");
    }
}

#[test]
fn a_recipe_with_an_unknown_option() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = folder.path().join("recipe.toml");
    for (toml, words) in [
        ("epoch = 3", ["epoch", "epochs"]),
        ("[optimizer]\nleaning_rate = 0.1", ["optimizer.leaning_rate", "recipe"]),
        ("[optimiser]\nlr = 0.1", ["optimiser.lr", "optimizer.lr"]),
        ("epochs = \"three\"", ["epochs", "three"]),
        ("epochs = 0", ["epochs", "1 to"]),
        ("method = \"coarse2fin\"", ["method", "coarse2fine"]),
        ("backbone = \"resnet51\"", ["resnet51", "resnet50"]),
        ("epochs = = 3", ["recipe.toml", "1"]),
    ] {
        std::fs::write(&recipe, toml).unwrap();
        let line = fail(2, &["train", "--recipe", text(&recipe), "--output", text(&folder.path().join("run"))]);
        for word in words {
            assert!(line.contains(word), "{word} in {line}");
        }
    }
    let line = fail(2, &["train", "--recipe", "quikstart"]);
    assert!(line.contains("quikstart") && line.contains("quickstart"), "{line}");
}

#[test]
fn a_misspelt_setting() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    for (assignment, words) in [
        ("optimizer.lrr=0.1", ["optimizer.lrr", "optimizer.lr"]),
        ("epochs", ["epochs", "key=value"]),
        ("epochs=many", ["epochs", "many"]),
        ("optimizer.kind=sdg", ["optimizer.kind", "sgd"]),
        ("method=coarsefine", ["method", "coarse2fine"]),
        ("backbone=efficientnet_lite0", ["efficientnet_lite0", "tf_efficientnet_lite0"]),
        ("image_size=-5", ["image_size", "-5"]),
        ("loss.label_smoothing=nan", ["loss.label_smoothing", "less than 1"]),
    ] {
        let line = fail(2, &train(&output, &["--set", assignment]));
        for word in words {
            assert!(line.contains(word), "{word} in {line}");
        }
    }
    assert!(!output.exists());
}

#[test]
fn bench_with_an_unknown_name() {
    assert!(fail(2, &["bench", "--backbone", "resnet51"]).contains("resnet50"));
    assert!(fail(2, &["bench", "--method", "fine2coarse"]).contains("coarse2fine"));
    assert!(fail(2, &["bench", "--image-size", "3"]).contains("image_size"));
    assert!(fail(2, &["bench", "--steps", "0"]).contains("--steps"));
}

#[test]
fn a_wrong_command_line() {
    for (arguments, word) in [
        (vec!["trian"], "train"),
        (vec!["train", "--recipy", "x"], "--recipe"),
        (vec!["eval", "--data", DATA], "--checkpoint"),
        (vec!["predict", "--checkpoint", "x"], "IMAGE"),
        (vec!["data", "inspect"], "SPEC"),
        (vec!["train", "--device", "tpu"], "cuda"),
        (vec!["train", "--seed", "minus"], "--seed"),
    ] {
        let line = fail(2, &arguments);
        assert!(line.contains(word), "{word} in {line}");
    }
}

#[test]
fn a_split_that_is_not_there() {
    let run = Good::get().run();
    let line = fail(2, &["eval", "--checkpoint", text(&run), "--data", DATA, "--split", "tset"]);
    assert!(line.contains("tset") && line.contains("test"), "{line}");
}

#[test]
fn an_output_that_can_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let line = fail(1, &train(&file.join("run"), &[]));
    assert!(line.contains("file"), "{line}");
    let run = Good::get().run();
    let picture = folder.path().join("x.png");
    RgbImage::new(8, 8).save(&picture).unwrap();
    let line = fail(1, &["predict", "--checkpoint", text(&run), "--overlay", text(&file), text(&picture)]);
    assert!(line.contains(text(&file)), "{line}");
}

#[test]
fn an_instruction_set_that_is_not_there_is_an_error_of_the_command_line() {
    let run =
        |value: &str| program().args(["weights", "inspect", "/no/such.pth"]).env("C2F_SIMD", value).output().unwrap();
    for value in ["nonsense", "AVX2", "avx512 "] {
        let output = run(value);
        let line = one_line(&[value], &String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(2), "{line}");
        assert!(line.contains(&format!("C2F_SIMD: {value:?}")) && line.contains("portable"), "{line}");
    }
    for value in ["portable", ""] {
        assert!(String::from_utf8_lossy(&run(value).stderr).contains("no/such.pth"));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn no_threads_are_an_error() {
    // Their stacks would need more memory than any machine has.
    let mut command = program();
    let command = command.args(["weights", "inspect", "/no/such.pth"]).env("RUST_MIN_STACK", "999999999999999");
    let output = command.output().unwrap();
    let line = one_line(&[], &String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains("no threads"), "{line}");
}
