//! Pictures of every kind, and files that are none.

use std::path::{Path, PathBuf};

use c2f_data::{Limits, Sample, Source, decode, decode_bytes_within, decode_file, decode_file_within, synthetic};
use image::{ImageFormat, Rgb, RgbImage};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn read_fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

/// The message for a file with these bytes; it must name the file.
fn message(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let message = decode_file(&path).map(|p| p.dimensions()).unwrap_err().to_string();
    assert!(message.starts_with(&path.display().to_string()), "{message}");
    assert!(!message.contains('\n'), "{message}");
    message
}

fn encode(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn what_is_in_memory_is_read_as_a_file_is() {
    let picture = RgbImage::from_fn(7, 5, |x, y| Rgb([x as u8, y as u8, 9]));
    let bytes = encode(&picture, ImageFormat::Png);
    let limits = Limits::default();
    assert_eq!(decode_bytes_within("upload", &bytes, limits).unwrap(), picture);
    for wrong in [&b""[..], b"text", &bytes[..bytes.len() / 2]] {
        let error = decode_bytes_within("upload", wrong, limits).unwrap_err().to_string();
        assert!(error.starts_with("upload: "), "{error}");
    }
    let error = decode_bytes_within("upload", &vec![0; 5 << 20], Limits { max_megapixels: 1 }).unwrap_err();
    assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
}

/// Asserts that a fixture decodes to what Pillow reads in it, but for the rounding of another inverse transform.
fn assert_as_expected(file: &str, expected: &str, tolerance: u8) {
    let picture = decode_file(&fixture(file)).unwrap();
    let expected = image::open(fixture(&format!("{expected}.expected.png"))).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), expected.dimensions(), "{file}");
    let worst = picture.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst <= tolerance, "{file}: a channel differs by {worst}");
}

#[test]
fn jpegs_of_every_colour_space() {
    assert_as_expected("plain.jpg", "plain", 3);
    assert_as_expected("progressive.jpg", "progressive", 3);
    assert_as_expected("grey.jpg", "grey", 3);
    assert_as_expected("cmyk.jpg", "cmyk", 4);
    assert_as_expected("ycck.jpg", "ycck", 4);
    // Pillow interpolates the colours across two pixels where zune-jpeg weighs otherwise.
    assert_as_expected("subsampled.jpg", "subsampled", 12);
}

#[test]
fn exif_orientation_is_applied() {
    // Lossy against the drawing itself: the right corner matters, not the last bit.
    assert_as_expected("exif_rotated.jpg", "exif_rotated", 30);
    assert_eq!(decode_file(&fixture("exif_rotated.jpg")).unwrap().dimensions(), (16, 24));
}

#[test]
fn alpha_is_laid_on_white() {
    assert_as_expected("rgba16.png", "rgba16", 1);
    assert_as_expected("palette.png", "palette", 0);
    assert_as_expected("palette.gif", "transparent", 0);
}

#[test]
fn lossless_formats_by_content_whatever_the_name() {
    let picture = RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8 * 50, y as u8 * 100, 7]));
    let folder = tempfile::tempdir().unwrap();
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        let path = folder.path().join("misnamed.jpg");
        std::fs::write(&path, encode(&picture, format)).unwrap();
        assert_eq!(decode_file(&path).unwrap(), picture, "{format:?}");
    }
}

/// A little-endian TIFF of one directory. Entries: tag, type (3: u16, 4: u32), values. The data begins at byte 8.
fn tiff(entries: &[(u16, u16, &[u32])], data: &[u8]) -> Vec<u8> {
    let (mut directory, mut beside) = ((entries.len() as u16).to_le_bytes().to_vec(), data.to_vec());
    for (tag, kind, values) in entries {
        let width = if *kind == 3 { 2 } else { 4 };
        let mut bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()[..width].to_vec()).collect();
        if bytes.len() > 4 {
            let at = (8 + beside.len()) as u32;
            beside.append(&mut bytes);
            bytes = at.to_le_bytes().to_vec();
        }
        bytes.resize(4, 0);
        directory.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        directory.extend((values.len() as u32).to_le_bytes());
        directory.extend(bytes);
    }
    directory.extend([0; 4]);
    let first = (8 + beside.len()) as u32;
    [b"II*\0".to_vec(), first.to_le_bytes().to_vec(), beside, directory].concat()
}

fn decode_bytes(bytes: &[u8]) -> RgbImage {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.tif");
    std::fs::write(&path, bytes).unwrap();
    decode_file(&path).unwrap()
}

#[test]
fn tiffs_of_every_kind() {
    assert_as_expected("bigtiff.tif", "tiff", 0);
    assert_as_expected("palette.tif", "palette_tiff", 0);
    // Grey of 0 to 1: the reference's green.
    let float = decode_file(&fixture("float32.tif")).unwrap();
    let reference = image::open(fixture("tiff.expected.png")).unwrap().into_rgb8();
    for (grey, colour) in float.pixels().zip(reference.pixels()) {
        assert_eq!(*grey, Rgb([colour[1]; 3]));
    }
}

#[test]
fn colours_that_are_multiplied_by_their_alpha_are_not_multiplied_again() {
    const ALPHA: f32 = 90.0 / 255.0;
    let picture = decode_file(&fixture("assoc_alpha.tif")).unwrap();
    let reference = image::open(fixture("tiff.expected.png")).unwrap().into_rgb8();
    for (seen, colour) in picture.iter().zip(reference.iter()) {
        let expected = f32::from(*colour) * ALPHA + 255.0 * (1.0 - ALPHA);
        assert!((f32::from(*seen) - expected).abs() <= 1.0, "{seen}, expected {expected}");
    }
}

#[test]
fn tiffs_in_tiles_planes_bits_and_indices() {
    let grey = |values: [u8; 6]| RgbImage::from_fn(3, 2, |x, y| Rgb([values[(y * 3 + x) as usize]; 3]));
    // One tile of 16 x 16, of which 3 x 2 are the picture.
    let tile: Vec<u8> = (0..=255).collect();
    let size = [(256, 4, &[3][..]), (257, 4, &[2])];
    let tiles =
        [(258, 3, &[8][..]), (262, 3, &[1]), (322, 4, &[16]), (323, 4, &[16]), (324, 4, &[8]), (325, 4, &[256])];
    assert_eq!(decode_bytes(&tiff(&[&size[..], &tiles].concat(), &tile)), grey([0, 1, 2, 16, 17, 18]));
    // Three planes, one after another.
    let planes = [(258, 3, &[8, 8, 8][..]), (262, 3, &[2]), (273, 4, &[8, 14, 20]), (277, 3, &[3])];
    let planes = [&size[..], &planes, &[(279, 4, &[6, 6, 6]), (284, 3, &[2])]].concat();
    let samples: Vec<u8> = (0..18).collect();
    let expected = RgbImage::from_fn(3, 2, |x, y| Rgb([0, 6, 12].map(|plane| plane + (y * 3 + x) as u8)));
    assert_eq!(decode_bytes(&tiff(&planes, &samples)), expected);
    // Two bits a sample, each row from a byte of its own; as grey and as indices.
    let strip = |photometric: &'static [u32]| {
        [&size[..], &[(258, 3, &[2]), (262, 3, photometric), (273, 4, &[8]), (279, 4, &[2])]].concat()
    };
    let packed = [0b00_01_10_00, 0b11_00_01_00];
    assert_eq!(decode_bytes(&tiff(&strip(&[1]), &packed)), grey([0, 85, 170, 255, 0, 85]));
    let colours = [0, 0x4000, 0x8000, 0xff00, 0, 0, 0, 0, 0, 0, 0, 0];
    let indexed = decode_bytes(&tiff(&[&strip(&[3])[..], &[(320, 3, &colours)]].concat(), &packed));
    let reds: Vec<_> = indexed.pixels().map(|p| p.0).collect();
    assert_eq!(reds, [0, 0x40, 0x80, 0xff, 0, 0x40].map(|red| [red, 0, 0]));
    // Grey with alpha: black of which nothing is seen, and a fifth.
    let alpha = [(256, 4, &[2][..]), (257, 4, &[1]), (258, 3, &[8, 8]), (262, 3, &[1]), (273, 4, &[8])];
    let alpha = [&alpha[..], &[(277, 3, &[2]), (279, 4, &[4]), (338, 3, &[2])]].concat();
    let picture = decode_bytes(&tiff(&alpha, &[0, 0, 0, 51]));
    assert_eq!(picture.into_raw(), [255, 255, 255, 204, 204, 204]);
    // Sound, but not read: whole numbers of 32 bits.
    let wide = [&size[..], &[(258, 3, &[32]), (262, 3, &[1]), (273, 4, &[8]), (279, 4, &[24])]].concat();
    let wide = message("wide.tif", &tiff(&wide, &[0; 24]));
    assert!(wide.contains("is a TIFF of a kind that isn't read: whole numbers of 32 bits"), "{wide}");
}

#[test]
fn kinds_that_are_not_read_are_named_whatever_the_ending() {
    let heic = message("photo.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    assert!(heic.contains("is a HEIC picture, which isn't read; JPEG, PNG, WebP, GIF, BMP and TIFF are"), "{heic}");
    let page = message("photo.jpg", b"<!DOCTYPE html><title>404</title>");
    assert!(page.contains("is an HTML page"), "{page}");
}

/// Small files that say that they need much.
#[test]
fn nothing_is_allocated_before_it_is_checked() {
    // 9000 x 9000 of 16-bit RGBA: 648 MB.
    let mut png = huge_png(9000, 9000);
    (png[24], png[25]) = (16, 6);
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    let png = message("deep.png", &png);
    assert!(png.contains("is a PNG that needs more memory to decode than is allowed"), "{png}");
    // An Exif chunk of 3.75 GB.
    let mut webp = encode(&RgbImage::new(2, 2), ImageFormat::WebP);
    let picture = webp.split_off(12);
    webp[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    webp.extend(b"VP8X\x0a\0\0\0\x08\0\0\0\x01\0\0\x01\0\0");
    webp.extend(picture);
    webp.extend(b"EXIF");
    webp.extend(0xe000_0000_u32.to_le_bytes());
    let webp = message("exif.webp", &webp);
    assert!(webp.contains("is a damaged or cut-off WebP: a part of it is longer than the file"), "{webp}");
    // A tile of 4 billion pixels, and a strip that is a JPEG of 16000 x 16000.
    let size = [(256, 4, &[3][..]), (257, 4, &[2]), (258, 3, &[8]), (262, 3, &[1])];
    let tile = [(322, 4, &[0xffff_fff0][..]), (323, 4, &[16]), (324, 4, &[8]), (325, 4, &[256])];
    let tile = message("tile.tif", &tiff(&[&size[..], &tile].concat(), &[0; 256]));
    assert!(tile.contains("is a TIFF that needs more memory to decode than is allowed"), "{tile}");
    let mut jpeg = read_fixture("grey.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x3e, 0x80, 0x3e, 0x80]);
    let length = [jpeg.len() as u32];
    let strip = [&size[..], &[(259, 3, &[7]), (273, 4, &[8]), (279, 4, &length)]].concat();
    let strip = message("strip.tif", &tiff(&strip, &jpeg));
    assert!(strip.contains("is a damaged or cut-off TIFF") && strip.contains("16000"), "{strip}");
}

#[test]
fn one_pixel_is_a_picture() {
    let picture = RgbImage::from_pixel(1, 1, Rgb([200, 100, 50]));
    let folder = tempfile::tempdir().unwrap();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif] {
        let path = folder.path().join("one");
        std::fs::write(&path, encode(&picture, format)).unwrap();
        assert_eq!(decode_file(&path).unwrap().dimensions(), (1, 1), "{format:?}");
    }
}

#[test]
fn what_is_no_picture_says_so() {
    assert!(message("empty.jpg", b"").ends_with("is empty"));
    let text = message("text.jpg", b"hello world, I am text");
    assert!(text.contains("is no JPEG, PNG, WebP, GIF, BMP or TIFF: it starts with `hello world,`"), "{text}");
    assert!(message("two.jpg", &[0xff, 0xd8]).contains("it starts with ff d8"));
    let folder = tempfile::tempdir().unwrap();
    assert!(decode_file(folder.path()).unwrap_err().to_string().contains("is no file"));
    let missing = decode_file(&folder.path().join("missing.jpg")).unwrap_err().to_string();
    assert!(missing.contains("missing.jpg"), "{missing}");
}

#[test]
fn a_jpeg_cut_off_anywhere_is_an_error() {
    let noise = RgbImage::from_fn(96, 64, |x, y| {
        let v = (x * 7919 + y * 104_729) ^ (x * y * 31);
        Rgb([v as u8, (v >> 3) as u8, (v >> 5) as u8])
    });
    let large = encode(&noise, ImageFormat::Jpeg);
    let cases = ["plain.jpg", "subsampled.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"]
        .map(|n| (n, read_fixture(n)))
        .into_iter()
        .chain([("large.jpg", large.clone())]);
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in cases {
        let path = folder.path().join(name);
        for keep in (3..bytes.len()).step_by(1 + bytes.len() / 300) {
            std::fs::write(&path, &bytes[..keep]).unwrap();
            let result = decode_file(&path);
            assert!(result.is_err(), "{name}: {keep} of {} bytes decoded", bytes.len());
        }
    }
    let half = read_fixture("plain.jpg");
    assert!(message("half.jpg", &half[..half.len() / 2]).contains("is a cut-off JPEG"));
    // More codes than a Huffman table can have.
    let mut damaged = large;
    let table = damaged.windows(2).position(|w| w == [0xff, 0xc4]).unwrap();
    damaged[table + 5..table + 21].fill(0xff);
    assert!(message("damaged.jpg", &damaged).contains("is a damaged or cut-off JPEG"));
}

#[test]
fn other_formats_cut_off_are_errors() {
    let picture = RgbImage::from_fn(40, 30, |x, y| Rgb([(x * y) as u8, (x * 6) as u8, (y * 8) as u8]));
    for (format, name) in [
        (ImageFormat::Png, "PNG"),
        (ImageFormat::WebP, "WebP"),
        (ImageFormat::Gif, "GIF"),
        (ImageFormat::Bmp, "BMP"),
        (ImageFormat::Tiff, "TIFF"),
    ] {
        let bytes = encode(&picture, format);
        for part in [2, 3, 4] {
            let message = message("cut", &bytes[..bytes.len() - bytes.len() / part]);
            assert!(message.contains(&format!("is a damaged or cut-off {name}")), "{message}");
        }
    }
}

/// A PNG whose header alone says that it is huge.
fn huge_png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = encode(&RgbImage::new(1, 1), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { (c >> 1) ^ 0xedb8_8320 } else { c >> 1 })
    })
}

#[test]
fn huge_pictures_are_refused_by_their_header() {
    let png = message("huge.png", &huge_png(20_000, 20_000));
    assert!(png.contains("20000 x 20000 pixels, expected at most 120 megapixels"), "{png}");
    let wide = message("wide.png", &huge_png(2_000_000_000, 1));
    assert!(wide.contains("needs more memory to decode than is allowed"), "{wide}");
    for (format, places) in [
        // Where width and height stand in what the encoders write, and in how many bytes.
        (ImageFormat::Bmp, [(18, 4), (22, 4)]),
        (ImageFormat::Gif, [(6, 2), (8, 2)]),
    ] {
        let mut bytes = encode(&RgbImage::new(1, 1), format);
        for (at, length) in places {
            bytes[at..at + length].copy_from_slice(&60_000_u32.to_le_bytes()[..length]);
        }
        let bomb = message("huge", &bytes);
        assert!(bomb.contains("60000 x 60000") || bomb.contains("than is allowed"), "{bomb}");
    }
    let mut jpeg = read_fixture("plain.jpg");
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x4e, 0x20, 0x4e, 0x20]);
    let jpeg = message("huge.jpg", &jpeg);
    assert!(jpeg.contains("20000 x 20000 pixels, expected at most 120 megapixels"), "{jpeg}");
}

#[test]
fn the_limit_is_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let picture = RgbImage::from_pixel(1500, 1000, Rgb([10, 20, 30]));
    let within = |path: &Path, max_megapixels| decode_file_within(path, Limits { max_megapixels });
    for (name, format) in [("a.jpg", ImageFormat::Jpeg), ("a.png", ImageFormat::Png), ("a.tif", ImageFormat::Tiff)] {
        let path = folder.path().join(name);
        std::fs::write(&path, encode(&picture, format)).unwrap();
        let error = within(&path, 1).unwrap_err().to_string();
        let reason = if name == "a.tif" { "is larger than 4 MiB" } else { "expected at most 1 megapixels" };
        assert!(error.contains(reason) && error.contains("max_megapixels"), "{error}");
        assert_eq!(within(&path, 2).unwrap().dimensions(), (1500, 1000));
    }
    // What the default refuses, a higher limit looks into: these bytes end behind the header.
    let path = folder.path().join("huge.png");
    std::fs::write(&path, huge_png(20_000, 10_000)).unwrap();
    assert!(decode_file(&path).unwrap_err().to_string().contains("expected at most 120 megapixels"));
    assert!(within(&path, 200).unwrap_err().to_string().contains("cut-off PNG"));
}

#[test]
fn damaged_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let mut state = 1_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize
    };
    for name in
        ["plain.jpg", "progressive.jpg", "cmyk.jpg", "exif_rotated.jpg", "rgba16.png", "palette.gif", "palette.tif"]
    {
        let whole = read_fixture(name);
        for _ in 0..200 {
            let mut bytes = whole.clone();
            for _ in 0..=random() % 4 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(picture) = decode_file(&path) {
                assert!(picture.width() > 0 && picture.height() > 0);
            }
        }
    }
}

#[test]
fn synthetic_pictures_are_drawn() {
    let scene = synthetic::Scene::new(1, synthetic::Split::Train, 3, 10);
    let picture = decode(&Sample::new("drawing", scene.class, Source::Synthetic { scene, size: 32 })).unwrap();
    assert_eq!(picture, scene.draw(32).image);
}
