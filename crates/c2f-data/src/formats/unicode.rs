//! Names that are the same text in different bytes: `é` is one character, or `e` and an accent, as macOS writes it.

use unicode_normalization::UnicodeNormalization;

/// Whether two names are the same text.
pub(crate) fn same_name(a: &str, b: &str) -> bool {
    a.nfc().eq(b.nfc())
}

/// The name composed, as most systems write it, and decomposed, as macOS does.
pub(crate) fn spellings(name: &str) -> [String; 2] {
    [name.nfc().collect(), name.nfd().collect()]
}

/// The name composed.
pub(crate) fn composed(name: &str) -> String {
    if name.is_ascii() { name.to_owned() } else { name.nfc().collect() }
}
