//! Fields of a line.

/// The fields of one line, separated by tabs if there are any and by commas if not; quotes as in CSV. `None` if a
/// quote is not closed.
pub(crate) fn fields(line: &str) -> Option<Vec<String>> {
    let separator = if line.contains('\t') { '\t' } else { ',' };
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut()?;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => quoted = true,
            c if c == separator && !quoted => fields.push(String::new()),
            c => field.push(c),
        }
    }
    (!quoted).then(|| fields.iter().map(|f| f.trim().to_owned()).collect())
}
