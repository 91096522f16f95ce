#![no_main]

#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    // A panic that is caught and becomes an error is none of what is looked for; libFuzzer would abort at it.
    c2f_data::hide_caught_panics();
    tempfile::tempdir().expect("a folder")
});

fuzz_target!(|bytes: &[u8]| targets::webdataset(FOLDER.path(), bytes));
