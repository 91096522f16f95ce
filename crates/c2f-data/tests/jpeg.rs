//! Every way in which a JPEG may be laid out gives what libjpeg-turbo, behind Pillow, makes of it.

use std::path::{Path, PathBuf};

use c2f_data::decode_file;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpeg")
}

#[test]
fn every_layout_of_every_sampling() {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) =
            path.file_stem().and_then(|stem| stem.to_str()).filter(|_| path.extension() == Some("jpg".as_ref()))
        else {
            continue;
        };
        let sampling = name.split('-').next().unwrap();
        let expected = image::open(fixtures().join(format!("{sampling}.png"))).unwrap().into_rgb8();
        compared += 1;
        match decode_file(&path) {
            Err(error) => wrong.push(error.to_string()),
            Ok(picture) => {
                assert_eq!(picture.dimensions(), expected.dimensions());
                let difference = picture.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                if difference > 4 {
                    wrong.push(format!("{name}: off by {difference}"));
                }
            }
        }
    }
    assert_eq!(compared, 9 * 8 + 4);
    wrong.sort();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
