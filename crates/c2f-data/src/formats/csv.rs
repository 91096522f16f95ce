//! Fields of a line.

/// The most fields that a line may have: each takes some memory of its own, however short it is.
const MAX_FIELDS: usize = 1000;

/// What stands between the fields of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Separator {
    /// This character.
    Character(char),
    /// Spaces, however many.
    Spaces,
}

impl Separator {
    /// What separates the fields of this line: tabs if it has any; if not, commas, semicolons, bars or spaces.
    pub(crate) fn of(line: &str) -> Self {
        let found = ['\t', ',', ';', '|'].into_iter().find(|&separator| {
            let mut quoted = false;
            line.chars().any(|character| {
                quoted ^= character == '"';
                character == separator && !quoted
            })
        });
        match found {
            Some(separator) => Self::Character(separator),
            None if line.trim().contains(' ') => Self::Spaces,
            None => Self::Character(','),
        }
    }
}

/// The fields of one line; quotes as in CSV. The error says what is wrong with the line.
pub(crate) fn fields(line: &str, separator: Separator) -> Result<Vec<String>, String> {
    let line = if separator == Separator::Spaces { line.trim() } else { line };
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let count = fields.len();
        let field = &mut fields[count - 1];
        let separates = match separator {
            Separator::Character(separator) => character == separator,
            Separator::Spaces => character == ' ' && characters.peek() != Some(&' '),
        };
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => quoted = true,
            _ if separates && !quoted => {
                if count == MAX_FIELDS {
                    return Err(format!("has more than {MAX_FIELDS} fields"));
                }
                fields.push(String::new());
            }
            character => field.push(character),
        }
    }
    if quoted {
        return Err("a quote is not closed".to_owned());
    }
    Ok(fields.iter().map(|field| field.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        fields(line, Separator::of(line)).unwrap()
    }

    #[test]
    fn lines_are_separated_as_people_do() {
        for line in ["a b.jpg\tJay, Blue", "a b.jpg,\"Jay, Blue\"", "a b.jpg; \"Jay, Blue\"", "a b.jpg|\"Jay, Blue\""] {
            assert_eq!(split(line), ["a b.jpg", "Jay, Blue"], "{line}");
        }
        assert_eq!(split(" a.jpg   \"Blue Jay\" train "), ["a.jpg", "Blue Jay", "train"]);
        assert_eq!(split("a.jpg,\"The \"\"crow\"\"\","), ["a.jpg", "The \"crow\"", ""]);
        assert_eq!(split("a.jpg"), ["a.jpg"]);
    }

    #[test]
    fn too_many_fields_are_an_error() {
        let commas = ",".repeat(MAX_FIELDS);
        assert!(fields(&commas, Separator::of(&commas)).unwrap_err().contains("more than 1000 fields"));
        assert!(fields("a,\"b", Separator::Character(',')).unwrap_err().contains("quote"));
    }
}
