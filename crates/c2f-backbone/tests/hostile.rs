//! Weight files made to take all memory, and ten thousand damaged ones.

mod common;

use std::collections::BTreeMap;

use c2f_backbone::read_weights;
use candle_core::Tensor;
use common::{dict, file, tensor, text, zip};
use proptest::prelude::*;

const ZIP: &[u8] = include_bytes!("fixtures/zip.pth");
const LEGACY: &[u8] = include_bytes!("fixtures/legacy.pth");

/// Reads a file, and looks at the most memory that this process has had: no test here may make it large.
fn read(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, String> {
    let (_folder, path) = file(bytes);
    let result = read_weights(&path).map_err(|error| error.to_string());
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kilobytes < 400 << 10, "{kilobytes} KiB");
    }
    result
}

/// A file of 3 MB whose storage has many tensors.
fn views(shape: &[u32], strides: &[u32], offset: fn(u32) -> u32) -> Vec<u8> {
    let items: Vec<_> = (0..1000).map(|i| (format!("layer{i}"), tensor(0, offset(i), shape, strides))).collect();
    let items: Vec<_> = items.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    zip(&[dict(&items), b".".to_vec()].concat(), &[&vec![0; 3 << 20]])
}

#[test]
fn views_of_a_storage_share_it() {
    let tensors = read(&views(&[700_000], &[1], |i| i)).unwrap();
    assert_eq!((tensors.len(), tensors["layer999"].dims()), (1000, &[700_000][..]));
    // A copy of what lies scattered is made once.
    assert_eq!(read(&views(&[700, 1000], &[1, 700], |_| 7)).unwrap().len(), 1000);
}

#[test]
fn copies_take_no_more_than_the_file() {
    let error = read(&views(&[700, 1000], &[1, 700], |i| i)).unwrap_err();
    assert!(error.contains("would take more than the file"), "{error}");
    let error = read(&views(&[1000, 1000, 1000], &[0, 0, 1], |_| 0)).unwrap_err();
    assert!(error.contains("layer0: shape [1000, 1000, 1000]"), "{error}");
}

#[test]
fn compressed_entries_are_refused() {
    let error = read(include_bytes!("fixtures/compressed.pth")).unwrap_err();
    assert!(error.contains("archive/data/0"), "{error}");
}

#[test]
fn entries_that_lie_over_each_other_are_refused() {
    let items: Vec<_> = (0..500).map(|i| (format!("layer{i}"), tensor(i, 0, &[1], &[1]))).collect();
    let items: Vec<_> = items.iter().map(|(name, tensor)| (name.as_str(), tensor.clone())).collect();
    let large = vec![0; 3 << 20];
    let storages: Vec<&[u8]> = std::iter::once(&large[..]).chain((1..500).map(|_| &large[..4])).collect();
    let mut bytes = zip(&[dict(&items), b".".to_vec()].concat(), &storages);
    // In the central directory, every storage's checksum, sizes and place become the first one's.
    let records: Vec<_> = (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == *b"PK\x01\x02").collect();
    let first = bytes[records[1]..][..46].to_vec();
    for &at in &records[2..] {
        bytes[at + 16..at + 28].copy_from_slice(&first[16..28]);
        bytes[at + 42..at + 46].copy_from_slice(&first[42..46]);
    }
    assert!(read(&bytes).is_err());
}

#[test]
fn shapes_of_any_length_and_claims_of_any_size_are_refused() {
    let long = vec![1; 100_000];
    let error = read(&zip(&[dict(&[("w", tensor(0, 0, &long, &long))]), b".".to_vec()].concat(), &[&[0; 4]]));
    assert!(error.unwrap_err().contains("100000 dimensions"));

    let error = read(&[&100_000_000_u64.to_le_bytes()[..], b"{}"].concat()).unwrap_err();
    assert!(error.contains("claims 100000000 bytes"), "{error}");
    let error = read(&[&u64::MAX.to_le_bytes()[..], b"{}"].concat()).unwrap_err();
    assert!(error.contains("claims"), "{error}");

    // Sizes whose product is 0, but has no room on the way.
    let header = br#"{"w":{"dtype":"F32","shape":[0,9223372036854775807,4],"data_offsets":[0,0]}}"#;
    assert!(read(&[&(header.len() as u64).to_le_bytes()[..], header].concat()).is_err());

    // An error doesn't repeat all that a name can hold.
    let name = "n".repeat(1 << 20);
    let error = read(&zip(&[dict(&[(&name, tensor(0, 0, &[1], &[1]))]), b".".to_vec()].concat(), &[&[0; 4]]));
    assert!(error.unwrap_err().len() < 1000);
    let error = read(&zip(&[dict(&[(&name, text("x"))]), b".".to_vec()].concat(), &[]));
    assert!(error.unwrap_err().len() < 1000);
}

#[test]
fn a_pickle_of_nothing_but_values_ends() {
    for opcode in [b')', b'(', b'}', b'N'] {
        read(&zip(&vec![opcode; 20 << 20], &[])).unwrap_err();
    }
    // Each value holds the one before it, and is memoised.
    let nested: Vec<u8> = b")".iter().copied().chain(b"\x85\x94".iter().copied().cycle().take(20 << 20)).collect();
    read(&zip(&nested, &[])).unwrap_err();
}

/// A change of a file: at a place, which is a share of its length.
#[derive(Clone, Debug)]
enum Edit {
    Flip(f64, u8),
    Cut(f64),
    Insert(f64, Vec<u8>),
    Repeat(f64, usize),
    Number(f64, u32),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let place = || 0.0..1.0;
    let number = prop_oneof![Just(0), Just(u32::MAX), Just(i32::MAX as u32), Just(1 << 24), any::<u32>()];
    let edit = prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Flip(at, byte)),
        1 => place().prop_map(Edit::Cut),
        2 => (place(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        2 => (place(), 1_usize..64).prop_map(|(at, length)| Edit::Repeat(at, length)),
        2 => (place(), number).prop_map(|(at, number)| Edit::Number(at, number)),
    ];
    prop::collection::vec(edit, 1..6)
}

fn apply(bytes: &mut Vec<u8>, edits: &[Edit]) {
    for edit in edits {
        let place = |at: f64| ((bytes.len() as f64 * at) as usize).min(bytes.len());
        match *edit {
            Edit::Flip(at, byte) => {
                let at = place(at);
                bytes.iter_mut().skip(at).take(1).for_each(|old| *old ^= byte);
            }
            Edit::Cut(at) => bytes.truncate(place(at)),
            Edit::Insert(at, ref new) => drop(bytes.splice(place(at)..place(at), new.iter().copied())),
            Edit::Repeat(at, length) => {
                let at = place(at);
                let piece = bytes[at..bytes.len().min(at + length)].to_vec();
                bytes.splice(at..at, piece);
            }
            Edit::Number(at, number) => {
                let at = place(at);
                bytes.iter_mut().skip(at).zip(number.to_le_bytes()).for_each(|(old, new)| *old = new);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Four files for each list of edits: both of PyTorch's formats, a zip file whose checksums are right although its pickle is
    /// not, and safetensors.
    #[test]
    fn damaged_files_are_read_or_refused(edits in edits()) {
        let pickle = dict(&[("model", dict(&[("a", tensor(0, 0, &[2, 2], &[1, 2])), ("b", tensor(1, 1, &[3], &[1]))]))]);
        let mut pickle = [pickle, b".".to_vec()].concat();
        apply(&mut pickle, &edits);
        let header = br#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"I64","shape":[],"data_offsets":[16,24]}}"#;
        let mut safetensors = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 24]].concat();
        apply(&mut safetensors, &edits);
        let (mut new, mut old) = (ZIP.to_vec(), LEGACY.to_vec());
        apply(&mut new, &edits);
        apply(&mut old, &edits);
        for bytes in [zip(&pickle, &[&[0; 16], &[0; 16]]), safetensors, new, old] {
            let _ = read(&bytes);
        }
    }
}
