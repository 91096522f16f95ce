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

/// A file with these bytes, read.
fn decoded(bytes: &[u8]) -> Result<image::RgbImage, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jpg");
    std::fs::write(&path, bytes).unwrap();
    decode_file(&path).map_err(|error| error.to_string())
}

fn plain() -> Vec<u8> {
    std::fs::read(fixtures().join("420-together-baseline-plain.jpg")).unwrap()
}

#[test]
fn what_lies_behind_the_picture_is_not_looked_at() {
    let plain = plain();
    let expected = decoded(&plain).unwrap();
    // A film, in which anything may stand: a scan that seems to begin, one that seems to end.
    for film in
        [&b"\xff\xda film"[..], b"film \xff\xd9", b"\xff\xd8\xff\xe1\xff\xff", b"\0\0\0\x18ftypmp42\xff\xda\xff\xc3"]
    {
        assert_eq!(decoded(&[&plain, film].concat()).unwrap(), expected);
    }
    let header = &plain[..plain.len() / 2];
    for cut in [&plain[..plain.len() - 2], header, &plain[..20], &[header, &[0xff, 0xd8]].concat()] {
        let error = decoded(cut).unwrap_err();
        assert!(error.contains("cut-off JPEG"), "{error}");
    }
}

#[test]
fn an_end_marker_within_a_segment_ends_nothing() {
    let plain = plain();
    // A thumbnail in a comment.
    let thumbnail = b"\xff\xfe\0\x08\xff\xd8\xff\xd9\xff\xda";
    let with_thumbnail = [&plain[..2], thumbnail, &plain[2..]].concat();
    assert_eq!(decoded(&with_thumbnail).unwrap(), decoded(&plain).unwrap());
    let error = decoded(&with_thumbnail[..with_thumbnail.len() - 2]).unwrap_err();
    assert!(error.contains("cut-off JPEG"), "{error}");
}

#[test]
fn kinds_that_are_not_read_are_named() {
    let plain = plain();
    let frame = plain.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    for (marker, precision, kind) in
        [(0xc3, 8, "lossless"), (0xc5, 8, "hierarchical"), (0xc9, 8, "arithmetically coded"), (0xc1, 12, "12-bit")]
    {
        let mut bytes = plain.clone();
        (bytes[frame + 1], bytes[frame + 4]) = (marker, precision);
        let error = decoded(&bytes).unwrap_err();
        assert!(error.contains(&format!("is a {kind} JPEG, which is unsupported")), "{error}");
    }
}
