//! What reaches the terminal: results on stdout, all else on stderr. No name of a file or class can steer the terminal, and
//! no reader that has gone away stops the work.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// Writes a result to stdout. A reader that has gone away (`| head`) is no failure.
///
/// # Errors
/// If it can't be written, such as on a full disk.
pub fn print(text: &str) -> io::Result<()> {
    let text = text.trim_end();
    if text.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{}", printable(text)).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes a line to stderr, if anybody still listens there.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}

/// The text with whatever a terminal would act upon as `\uXXXX`, but for line ends and tabs: escape sequences, other control
/// characters and those that turn the direction of writing. JSON means the same before and after.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| acts(c) && !matches!(c, '\n' | '\t'))
}

/// A name as a part of a line or a column: [`printable`], and without line ends and tabs.
pub fn word(name: &str) -> Cow<'_, str> {
    escaped(name, acts)
}

fn escaped(text: &str, unwanted: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&unwanted) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if unwanted(c) {
            // All of them are below 0x10000.
            let _ = write!(clean, "\\u{:04x}", u32::from(c));
        } else {
            clean.push(c);
        }
    }
    clean.into()
}

/// C0, DEL and C1; line and paragraph separators; marks, embeddings, overrides and isolates of the writing direction.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_the_terminal() {
        for (raw, clean) in [
            ("Pied_Kingfisher été 翠鳥", "Pied_Kingfisher été 翠鳥"),
            ("a\u{1b}[31mb\r", "a\\u001b[31mb\\u000d"),
            ("\u{7f}\u{9b}2J\u{202e}gpj", "\\u007f\\u009b2J\\u202egpj"),
            ("line\n\tline", "line\n\tline"),
        ] {
            assert_eq!(printable(raw), clean);
        }
        assert_eq!(word("a\n\tb"), "a\\u000a\\u0009b");
    }

    #[test]
    fn json_means_the_same() {
        let value = serde_json::json!({ "class": "a\u{1b}[31m\u{9b}\u{202e}\n\"" });
        let text = value.to_string();
        let clean = printable(&text);
        assert!(clean.chars().all(|c| !acts(c)), "{clean}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
    }
}
