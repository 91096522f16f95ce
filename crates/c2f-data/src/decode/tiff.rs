//! TIFF, by the crate `tiff`: `image` reads neither palettes nor grey-scale in floating point, and takes colours that are
//! multiplied by their alpha for plain ones.

use std::borrow::Cow;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, RgbImage};
use tiff::decoder::{Decoder, DecodingResult};
use tiff::tags::{CompressionMethod, ExtraSamples, Tag};
use tiff::{ColorType, TiffError};
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::limits::{Limits, too_large};

type Result<T> = std::result::Result<T, String>;

/// Values in floating point are in 0..=1; more than this is no overshoot of a filter but another scale.
const MAX_FLOAT: f64 = 2.0;
const WHITE: u8 = 255;

/// A file whose header is read.
struct Tiff<'a> {
    limits: Limits,
    decoder: Decoder<Cursor<Cow<'a, [u8]>>>,
    size: (u32, u32),
    orientation: Orientation,
    /// The colours that the samples are indices into.
    palette: Option<Vec<[u8; 3]>>,
}

/// What the sample after the colours says.
#[derive(Clone, Copy, PartialEq)]
enum Alpha {
    None,
    /// How much of the colour is seen.
    Straight,
    /// As that; the colours are multiplied by it already ("associated").
    Multiplied,
}

/// Whether these are the first bytes of a TIFF or a `BigTIFF` of either byte order.
pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| bytes.starts_with(*magic))
}

/// Width and height as the file holds them, and how the picture is turned upright.
pub(super) fn header(bytes: &[u8], limits: Limits) -> Result<((u32, u32), Orientation)> {
    let tiff = open(bytes, limits)?;
    Ok((tiff.size, tiff.orientation))
}

/// The first picture of the file, on white.
pub(super) fn decode(bytes: &[u8], limits: Limits) -> Result<(DynamicImage, ImageFormat, Orientation)> {
    let mut tiff = open(bytes, limits)?;
    let picture = pixels(&mut tiff)?;
    Ok((DynamicImage::ImageRgb8(picture), ImageFormat::Tiff, tiff.orientation))
}

fn open(bytes: &[u8], limits: Limits) -> Result<Tiff<'_>> {
    let grey = without_palette(bytes);
    let indexed = grey.is_some();
    let bytes = grey.map_or(Cow::Borrowed(bytes), Cow::Owned);
    let mut of_crate = tiff::decoder::Limits::default();
    of_crate.decoding_buffer_size = limits.max_bytes() as usize;
    of_crate.intermediate_buffer_size = limits.max_bytes() as usize;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(|e| error(&e))?.with_limits(of_crate);
    let size = decoder.dimensions().map_err(|e| error(&e))?;
    limits.check_size(size.0, size.1)?;
    let palette = if indexed { Some(palette(&mut decoder)?) } else { None };
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
    let orientation = orientation.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms);
    Ok(Tiff { limits, decoder, size, orientation, palette })
}

/// A copy that says "grey" where the file says "palette", as the crate reads the samples of the one alone.
fn without_palette(bytes: &[u8]) -> Option<Vec<u8>> {
    const PHOTOMETRIC: usize = 262;
    const PALETTE: usize = 3;
    let little = bytes.first() == Some(&b'I');
    let number = |at: usize, length: usize| {
        let digits = bytes.get(at..at.checked_add(length)?)?;
        let append = |number: usize, digit: &u8| (number << 8) | usize::from(*digit);
        Some(if little { digits.iter().rev().fold(0, append) } else { digits.iter().fold(0, append) })
    };
    let big = number(2, 2)? == 43;
    let (directory, entry_length, value) = if big { (number(8, 8)?, 20, 12) } else { (number(4, 4)?, 12, 8) };
    let count_length = if big { 8 } else { 2 };
    let first = directory.checked_add(count_length)?;
    let entries = (0..number(directory, count_length)?).map(|i| i.checked_mul(entry_length)?.checked_add(first));
    for entry in entries {
        let entry = entry?;
        if number(entry, 2)? == PHOTOMETRIC {
            let at = entry + value;
            let mut grey = (number(at, 2)? == PALETTE).then(|| bytes.to_vec())?;
            grey[at..at + 2].copy_from_slice(if little { &[1, 0] } else { &[0, 1] });
            return Some(grey);
        }
    }
    None
}

fn palette(decoder: &mut Decoder<Cursor<Cow<'_, [u8]>>>) -> Result<Vec<[u8; 3]>> {
    let values = decoder.find_tag_unsigned_vec::<u16>(Tag::ColorMap).map_err(|e| error(&e))?;
    let values = values.ok_or("is a damaged or cut-off TIFF: its palette is missing")?;
    // They go up to 65535; some programs write 0..=255.
    let shift = if values.iter().all(|value| *value < 256) { 0 } else { 8 };
    let (red, others) = values.split_at(values.len() / 3);
    let (green, blue) = others.split_at(red.len());
    Ok(red.iter().zip(green).zip(blue).map(|((r, g), b)| [*r, *g, *b].map(|v| (v >> shift) as u8)).collect())
}

fn pixels(tiff: &mut Tiff<'_>) -> Result<RgbImage> {
    let decoder = &mut tiff.decoder;
    let colours = decoder.colortype().map_err(|e| error(&e))?;
    let alpha = alpha(decoder, colours, tiff.palette.is_some())?;
    check_memory(decoder, colours, tiff.size, tiff.limits)?;
    let mut decoded = DecodingResult::U8(Vec::new());
    let layout = decoder.read_image_to_buffer(&mut decoded).map_err(|e| error(&e))?;

    let (width, height) = tiff.size;
    let count = usize::from(colours.num_samples());
    let pixels = width as usize * height as usize;
    // Samples are side by side, or in one plane each.
    let planar = layout.planes > 1;
    let row = if planar { width as usize } else { width as usize * count };
    // Indices stay as they are.
    let samples = samples(decoded, colours.bit_depth(), row, tiff.palette.is_some())?;
    if samples.len() < pixels * count {
        return Err("is a damaged or cut-off TIFF: fewer pixels than its header says".to_owned());
    }
    let sample =
        |pixel: usize, channel: usize| samples[if planar { channel * pixels + pixel } else { pixel * count + channel }];
    let palette = tiff.palette.as_deref();
    let mut picture = Vec::with_capacity(pixels * 3);
    for pixel in 0..pixels {
        let [a, b, c] = [0, 1, 2].map(|channel| if channel < count { sample(pixel, channel) } else { 0 });
        let rgb = match (palette, colours) {
            (Some(palette), _) => {
                *palette.get(usize::from(a)).ok_or("is a damaged or cut-off TIFF: a colour outside of its palette")?
            }
            (None, ColorType::RGB(_) | ColorType::RGBA(_)) => [a, b, c],
            (None, ColorType::CMYK(_) | ColorType::CMYKA(_)) => cmyk([a, b, c], sample(pixel, 3)),
            (None, ColorType::YCbCr(_)) => ycbcr(a, b, c),
            (None, _) => [a; 3],
        };
        let seen = if alpha == Alpha::None { WHITE } else { sample(pixel, count - 1) };
        picture.extend(match alpha {
            Alpha::None => rgb,
            Alpha::Straight => super::over_white(rgb, seen),
            Alpha::Multiplied => rgb.map(|v| v.saturating_add(WHITE - seen)),
        });
    }
    RgbImage::from_raw(width, height, picture).ok_or_else(|| "is a damaged or cut-off TIFF".to_owned())
}

/// What the last of the samples that are read is. What follows it, and what doesn't say what it is, is passed over.
fn alpha(decoder: &mut Decoder<Cursor<Cow<'_, [u8]>>>, colours: ColorType, indexed: bool) -> Result<Alpha> {
    let extra = decoder.find_tag_unsigned_vec::<u16>(Tag::ExtraSamples).map_err(|e| error(&e))?;
    let first = extra.and_then(|extra| ExtraSamples::from_u16(*extra.first()?));
    match colours {
        // Four colours of RGB, five of CMYK: alpha, though nothing says so.
        ColorType::RGBA(_) | ColorType::CMYKA(_) | ColorType::Multiband { num_samples: 2, .. } if !indexed => {
            Ok(match first {
                Some(ExtraSamples::AssociatedAlpha) => Alpha::Multiplied,
                Some(ExtraSamples::Unspecified) => Alpha::None,
                _ => Alpha::Straight,
            })
        }
        ColorType::Multiband { num_samples, .. } => {
            Err(format!("is a TIFF of a kind that isn't read: {num_samples} values a pixel"))
        }
        ColorType::Lab(_) => Err("is a TIFF of a kind that isn't read: L*a*b* colours".to_owned()),
        _ => Ok(Alpha::None),
    }
}

/// Checks what is allocated for the picture, and for each of its strips or tiles.
fn check_memory(
    decoder: &mut Decoder<Cursor<Cow<'_, [u8]>>>,
    colours: ColorType,
    size: (u32, u32),
    limits: Limits,
) -> Result<()> {
    let layout = decoder.image_buffer_layout().map_err(|e| error(&e))?;
    // A byte for every sample is made of wider ones.
    let wider = if colours.bit_depth() == 8 { 0 } else { u64::from(colours.num_samples()) };
    let narrow = u64::from(size.0) * u64::from(size.1) * wider;
    limits.check_bytes("TIFF", (layout.complete_len as u64).saturating_add(narrow))?;
    let samples = decoder.find_tag_unsigned::<u16>(Tag::SamplesPerPixel).map_err(|e| error(&e))?.unwrap_or(1);
    let (width, height) = decoder.chunk_dimensions();
    limits.check_bytes("TIFF", u64::from(width) * u64::from(samples) * u64::from(colours.bit_depth()) / 8)?;
    let compression = decoder.find_tag_unsigned::<u16>(Tag::Compression).map_err(|e| error(&e))?;
    if compression == Some(CompressionMethod::ModernJPEG.to_u16()) {
        check_jpegs(decoder, (width.min(size.0), height.min(size.1)))?;
    }
    Ok(())
}

/// Checks that no strip or tile is a JPEG that says it is larger than what it is of.
fn check_jpegs(decoder: &mut Decoder<Cursor<Cow<'_, [u8]>>>, (width, height): (u32, u32)) -> Result<()> {
    /// A tile is filled up at the picture's edge, a strip to whole blocks.
    const MARGIN: usize = 1024;
    let tables = decoder.find_tag(Tag::JPEGTables).map_err(|e| error(&e))?;
    let tables = tables.map(tiff::decoder::ifd::Value::into_u8_vec).transpose().map_err(|e| error(&e))?;
    let [offsets, lengths] = if decoder.get_chunk_type() == tiff::decoder::ChunkType::Strip {
        [Tag::StripOffsets, Tag::StripByteCounts]
    } else {
        [Tag::TileOffsets, Tag::TileByteCounts]
    }
    .map(|tag| decoder.get_tag_u64_vec(tag));
    let (offsets, lengths) = (offsets.map_err(|e| error(&e))?, lengths.map_err(|e| error(&e))?);
    let file = decoder.inner().get_ref();
    let options =
        DecoderOptions::default().set_max_width(width as usize + MARGIN).set_max_height(height as usize + MARGIN);
    for (offset, length) in offsets.iter().zip(lengths) {
        let start = (*offset as usize).min(file.len());
        let part = &file[start..start.saturating_add(length as usize).min(file.len())];
        // The tables end with a marker that is in the way, the part starts with one.
        let jpeg = match tables.as_deref() {
            Some([tables @ .., _, _]) => [tables, part.get(2..).unwrap_or_default()].concat(),
            _ => part.to_vec(),
        };
        let headers = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(&jpeg), options).decode_headers();
        headers.map_err(|e| format!("is a damaged or cut-off TIFF: {e:?}"))?;
    }
    Ok(())
}

/// The samples in a byte each: of `bits` bits in rows of `row`, of 16 bits, or in floating point.
fn samples(decoded: DecodingResult, bits: u8, row: usize, indexed: bool) -> Result<Vec<u8>> {
    match decoded {
        DecodingResult::U8(bytes) if bits == 8 => Ok(bytes),
        DecodingResult::U8(bytes) if bits < 8 => Ok(unpack(&bytes, bits, row, indexed)),
        DecodingResult::U16(values) if bits == 16 && !indexed => {
            Ok(values.iter().map(|v| ((u32::from(*v) + 128) / 257) as u8).collect())
        }
        DecodingResult::F16(values) => floats(values.iter().map(|v| f64::from(v.to_f32()))),
        DecodingResult::F32(values) => floats(values.iter().map(|v| f64::from(*v))),
        DecodingResult::F64(values) => floats(values.iter().copied()),
        _ => Err(format!("is a TIFF of a kind that isn't read: whole numbers of {bits} bits")),
    }
}

/// Samples of less than 8 bits, packed into bytes, each row from a byte of its own.
fn unpack(bytes: &[u8], bits: u8, row: usize, indexed: bool) -> Vec<u8> {
    let bits = usize::from(bits);
    let most = (1_u16 << bits) - 1;
    let rows = bytes.chunks_exact((row * bits).div_ceil(8));
    let unpacked = rows.flat_map(|bytes| {
        (0..row).map(move |i| {
            let at = i * bits;
            // A sample of 3, 5, 6 or 7 bits may reach into the next byte.
            let pair = u16::from_be_bytes([bytes[at / 8], bytes.get(at / 8 + 1).copied().unwrap_or(0)]);
            (pair >> (16 - at % 8 - bits)) & most
        })
    });
    unpacked.map(|value| if indexed { value as u8 } else { (value * 255 / most) as u8 }).collect()
}

fn floats(values: impl Iterator<Item = f64>) -> Result<Vec<u8>> {
    let byte = |value: f64| {
        if value > MAX_FLOAT {
            return Err(format!("is a TIFF of a kind that isn't read: values up to {value}, expected 0 to 1"));
        }
        Ok((value.clamp(0.0, 1.0) * 255.0).round() as u8)
    };
    values.map(byte).collect()
}

fn cmyk(cmy: [u8; 3], black: u8) -> [u8; 3] {
    let light = 1.0 - f32::from(black) / 255.0;
    cmy.map(|v| ((255.0 - f32::from(v)) * light) as u8)
}

fn ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let [y, cb, cr] = [f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0];
    [y + 1.402 * cr, y - 0.344_136 * cb - 0.714_136 * cr, y + 1.772 * cb].map(|v| v.round().clamp(0.0, 255.0) as u8)
}

fn error(error: &TiffError) -> String {
    match error {
        TiffError::LimitsExceeded => too_large("TIFF"),
        TiffError::UnsupportedError(what) => format!("is a TIFF of a kind that isn't read: {what}"),
        error => format!("is a damaged or cut-off TIFF: {error}"),
    }
}
