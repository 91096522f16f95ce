//! Ten thousand mutated inputs through everything that reads what anybody may have written: no panic, no hang, no more than
//! 1 GiB of memory.

#[path = "../../../fuzz/targets.rs"]
mod targets;

use std::alloc::System;
use std::path::{Path, PathBuf};

use cap::Cap;
use proptest::prelude::*;
use proptest::sample::Index;
use targets::TARGETS;

/// An allocation beyond it fails, which ends the test.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 1 << 30);

/// Inputs for each format: with twelve of them, ten thousand in all.
const CASES: u32 = 840;

/// What is done to a file. Places are shares of its length.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Repeat(Index, u8, u8),
    /// A number that is easily taken for a size.
    Number(Index, u64, bool),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    let number = prop_oneof![Just(0), Just(1), Just(u64::MAX), Just(0x7fff_ffff), Just(1 << 31), any::<u64>()];
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        4 => (index(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (index(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (index(), 1..32u8).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (index(), 1..32u8, 1..64u8).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        3 => (index(), number, any::<bool>()).prop_map(|(at, value, wide)| Change::Number(at, value, wide)),
        1 => index().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    let until = |at: usize, count: usize| (at + count).min(length);
    match change {
        Change::Set(at, value) => bytes[at.index(length)] = *value,
        Change::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Change::Insert(at, new) => {
            let at = at.index(length);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..until(at, usize::from(*count)));
        }
        Change::Repeat(at, count, times) => {
            let at = at.index(length);
            let part = bytes[at..until(at, usize::from(*count))].repeat(usize::from(*times));
            bytes.splice(at..at, part);
        }
        Change::Number(at, value, wide) => {
            let (at, value) = (at.index(length), value.to_le_bytes());
            let end = until(at, if *wide { 8 } else { 4 });
            bytes[at..end].copy_from_slice(&value[..end - at]);
        }
        Change::Cut(at) => bytes.truncate(at.index(length)),
    }
}

/// The files of a format, by name.
fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn ten_thousand_mutated_inputs() {
    for (name, read) in TARGETS {
        let files: Vec<Vec<u8>> = corpus(name).iter().map(|path| std::fs::read(path).unwrap()).collect();
        let folder = tempfile::tempdir().unwrap();
        for bytes in &files {
            read(folder.path(), bytes);
        }
        let inputs = (any::<Index>(), prop::collection::vec(change(), 1..6));
        // The same inputs every time: new ones are the fuzzer's.
        let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
        let seed = [7; 32];
        let rng = proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &seed);
        let mut runner = proptest::test_runner::TestRunner::new_with_rng(config, rng);
        let outcome = runner.run(&inputs, |(file, changes)| {
            let mut bytes = files[file.index(files.len())].clone();
            for change in &changes {
                apply(&mut bytes, change);
            }
            read(folder.path(), &bytes);
            Ok(())
        });
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
    }
}
