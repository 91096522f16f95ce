//! JSON as Python writes it.

use std::io::Read;

/// Reads JSON with `NaN`, `Infinity` and `-Infinity` in it, which Python writes and JSON doesn't have, as if zeros stood
/// there. No byte moves, so that the places in messages stay right.
pub(crate) struct WithoutNan<R> {
    inner: R,
    in_string: bool,
    after_backslash: bool,
    /// What must follow of a word that is being replaced.
    rest: &'static [u8],
}

impl<R: Read> WithoutNan<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, in_string: false, after_backslash: false, rest: &[] }
    }

    fn replace(&mut self, byte: u8) -> u8 {
        if self.in_string {
            self.in_string = self.after_backslash || byte != b'"';
            self.after_backslash = !self.after_backslash && byte == b'\\';
            return byte;
        }
        if let Some((expected, rest)) = self.rest.split_first() {
            if byte == *expected {
                self.rest = rest;
                return b' ';
            }
            self.rest = &[];
        }
        match byte {
            b'"' => self.in_string = true,
            b'N' => self.rest = b"aN",
            b'I' => self.rest = b"nfinity",
            _ => {}
        }
        if matches!(byte, b'N' | b'I') { b'0' } else { byte }
    }
}

impl<R: Read> Read for WithoutNan<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for byte in &mut buffer[..count] {
            *byte = self.replace(*byte);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replaced(text: &str) -> String {
        let mut out = String::new();
        WithoutNan::new(text.as_bytes()).read_to_string(&mut out).unwrap();
        out
    }

    #[test]
    fn only_words_outside_of_strings_are_replaced() {
        assert_eq!(
            replaced(r#"{"NaN": NaN, "a": [-Infinity,Infinity]}"#),
            r#"{"NaN": 0  , "a": [-0       ,0       ]}"#
        );
        let strings = r#"["NaN \" Infinity", "\\", null, "Nathan"]"#;
        assert_eq!(replaced(strings), strings);
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(strings in proptest::collection::vec("\\PC{0,8}|[NaI\"\\\\]{0,4}", 0..5)) {
            let json = serde_json::to_string(&(&strings, 1.5, None::<()>, true)).unwrap();
            prop_assert_eq!(replaced(&json), json);
        }
    }
}
